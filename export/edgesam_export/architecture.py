"""Which network a checkpoint holds, read off its keys and shapes. Knows no tensor's values."""

from __future__ import annotations

from collections.abc import Mapping

from edgesam.errors import ExportError
from edgesam_export.graphs import tiny_vit
from edgesam_export.graphs.tiny_vit import TinyViT

Shapes = Mapping[str, tuple[int, ...]]

ARCHITECTURES = {"tiny-vit": tiny_vit.recognise}

# A key that only SAM's own decoder has: without it there is nothing to prompt.
_DECODER_KEY = "mask_decoder.mask_tokens.weight"


def recognise(shapes: Shapes, asked: str | None, where: str) -> tuple[str, TinyViT]:
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
        raise ExportError(f"{where} has no {_DECODER_KEY}: {_seen(shapes)}, not a SAM checkpoint")
    for name, recogniser in ARCHITECTURES.items():
        if asked in (None, name) and (found := recogniser(shapes)) is not None:
            return name, found
    tried = asked or " or ".join(ARCHITECTURES)
    raise ExportError(f"{where} does not hold a {tried}: {_seen(shapes)}")


def _seen(shapes: Shapes) -> str:
    first = next(iter(shapes), "none")
    return f"it has {len(shapes)} tensors, the first is {first}"
