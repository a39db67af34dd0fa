"""Which network a checkpoint holds, read off its keys and shapes. Knows no tensor's values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from edgesam.errors import ExportError
from edgesam.manifest import Role
from edgesam_export.graphs import image_side, mask_decoder, tiny_vit, vit
from edgesam_export.graphs.net import Net
from edgesam_export.graphs.weights import Shape, Weights

# A key that only SAM's own decoder has: without it there is nothing to prompt.
_DECODER_KEY = "mask_decoder.mask_tokens.weight"
_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
_SHOWN = 3  # keys that an error names of each sort


class Encoder(Protocol):
    """What was read off the shapes of an image encoder."""

    @property
    def image_size(self) -> int:
        """Side of the square input, in pixels."""

    @property
    def grid(self) -> int:
        """Side of the embedding, in tokens."""

    @property
    def working_memory(self) -> int:
        """Bytes that a picture surely takes beside the weights."""

    @property
    def for_gpu(self) -> Encoder:
        """The same network, whose graph is to be written for a GPU."""


class Family(Protocol):
    """An architecture: one module of :mod:`edgesam_export.graphs`."""

    KEY: re.Pattern[str]
    UNUSED: re.Pattern[str]

    def recognise(self, shapes: Mapping[str, Shape], /) -> Any:
        """The encoder whose weights these are, or None."""

    def build(self, arch: Any, weights: Weights, /) -> Net:
        """Its graph."""


ARCHITECTURES: dict[str, Family] = {"tiny-vit": tiny_vit, "vit": vit}


def recognise(shapes: Mapping[str, Shape], asked: str | None, where: str) -> tuple[str, Encoder]:
    """The architecture's name and what its shapes say.

    Args:
        shapes: of the checkpoint's tensors, by key.
        asked: the architecture the user names, or None.
        where: the checkpoint, for errors.

    Raises:
        ExportError: none fits, or the one that was named does not.
    """
    if asked is not None and asked not in ARCHITECTURES:
        raise ExportError(f"no architecture is called {asked!r}; known: {', '.join(ARCHITECTURES)}")
    if _DECODER_KEY not in shapes:
        raise ExportError(
            f"{where} has no {_DECODER_KEY}: {_seen(shapes)}, not a SAM checkpoint; its keys begin "
            f"with {', '.join(_PARTS)}"
        )
    for name, family in ARCHITECTURES.items():
        if asked in (None, name) and (found := family.recognise(shapes)) is not None:
            return name, found
    tried = asked or " or ".join(ARCHITECTURES)
    closest = max(ARCHITECTURES, key=lambda name: _likeness(shapes, name))
    likeness = _likeness(shapes, closest)
    hint = f"; closest is {closest}, {likeness} of whose keys it has" if likeness else ""
    elsewhere = likeness and asked not in (None, closest)
    other = f": leave out --arch or pass --arch {closest}" if elsewhere else ""
    raise ExportError(f"{where} does not hold a {tried}: {_seen(shapes)}{hint}{other}")


def build(
    name: str, encoder: Encoder, tensors: Mapping[str, Any], shapes: Mapping[str, Shape], where: str
) -> dict[Role, Net]:
    """The graphs of a bundle by their roles, their weights promised.

    Raises:
        ExportError: tensors are missing, of another shape, or have no place in the network.
    """
    family, weights = ARCHITECTURES[name], Weights(tensors, shapes)
    try:
        nets: dict[Role, Net] = {
            "image_encoder": family.build(encoder, weights),
            "image_side": image_side.build(weights, encoder.grid),
            "mask_decoder": mask_decoder.build(weights, encoder.image_size, encoder.grid),
        }
    except (ArithmeticError, IndexError, ValueError) as error:
        # Of shapes that others follow from. Keys that were not reached are not unknown.
        _complain(name, weights, [], where)
        raise ExportError(f"{where} has a tensor of an unexpected shape: {error}") from error
    ours = (key for key in shapes if key.startswith(_PARTS) and key not in weights.taken)
    unknown = [key for key in ours if not family.UNUSED.fullmatch(key)]
    _complain(name, weights, unknown, where)
    return nets


def _complain(name: str, weights: Weights, unknown: Sequence[str], where: str) -> None:
    """Raise what is wrong with the keys, if anything is."""
    faults = [
        *_some("lacks", weights.missing),
        *_some("has of another shape", weights.misshapen),
        *_some("has besides", unknown),
    ]
    if not faults:
        return
    advice = (
        "pass the plain network's checkpoint, adapters and LoRA merged into it"
        if unknown
        else "download it again, or pass --arch if another architecture is meant"
    )
    raise ExportError(f"{where} is closest to a {name}, but {', '.join(faults)}: {advice}")


def _some(verb: str, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{verb} {', '.join(keys[:_SHOWN])}{more}"]


def _likeness(keys: Iterable[str], name: str) -> int:
    return sum(bool(ARCHITECTURES[name].KEY.fullmatch(key)) for key in keys)


def _seen(shapes: Mapping[str, Shape]) -> str:
    first = next(iter(shapes), "none")
    return f"it has {len(shapes)} tensors, the first is {first}"
