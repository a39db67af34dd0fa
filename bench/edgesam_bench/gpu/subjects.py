"""The models that are measured: where their bundles are, or how they come to be. Runs none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesam.bundle import Bundle, find_bundle, open_bundle
from edgesam.checkpoint_store import checkpoint_path
from edgesam.errors import EdgeSamError, ParityError
from edgesam.models import find
from edgesam_bench.exported import exported
from edgesam_bench.random_golden import SEED
from edgesam_bench.random_weights import GENTLE, TINY_VIT, random_state_dict

MODELS = ("lite-medsam", "sam-vit-b", "mobile-sam")
RANDOM = ("sam-vit-b",)  # whose checkpoint no package index has
_HALF = ("fp32", "fp16")
_SHAPES = Path("tests/golden/shapes.json")  # of the repository, where this is run from


@dataclass(frozen=True, eq=False)
class Subject:
    """One model.

    Attributes:
        model: its name.
        bundle: its bundle.
        weights: the official ones, or seeded random ones, which cost the same.
        checkpoint: the official file, None if it is not on this machine.
        state: the random weights, None of official ones.
        doubt: why the weights are random that need not be, None if they need.
    """

    model: str
    bundle: Bundle
    weights: Literal["official", "random"]
    checkpoint: Path | None
    state: Mapping[str, NDArray[Any]] | None
    doubt: str | None = None


@contextmanager
def prepared(model: str, given: Mapping[str, Path], scratch: Path) -> Iterator[Subject]:
    """A model's bundle: that which was named, else one made here, else the home's.

    ``edgesam pull`` writes no fp16, which is what a GPU is for: where the checkpoint is at hand, a
    bundle that has it is made for the time being. A model that was not pulled has random weights.

    Args:
        model: one of :data:`MODELS`.
        given: model -> a bundle's folder.
        scratch: a folder for what is made.

    Raises:
        EdgeSamError: there is no bundle, and none can be made.
    """
    if model in given:
        checkpoint = _checkpoint(model)
        yield Subject(model, open_bundle(given[model]), "official", checkpoint, None)
    elif model in RANDOM:
        yield from _random(model, scratch, None)
    else:
        yield from _official(model, scratch)


def _random(model: str, scratch: Path, doubt: str | None) -> Iterator[Subject]:
    state = random_state_dict(_shapes(model), SEED, GENTLE if model in RANDOM else TINY_VIT)
    checkpoint = save_safetensors(scratch / f"{model}.safetensors", state)
    with exported(checkpoint, find(model).profile.name, _HALF, scratch) as folder:
        yield Subject(model, open_bundle(folder), "random", None, state, doubt)


def _official(model: str, scratch: Path) -> Iterator[Subject]:
    checkpoint = _checkpoint(model)
    try:
        bundle: Bundle | None = find_bundle(model)
    except EdgeSamError as error:
        if checkpoint is None:
            yield from _random(model, scratch, str(error))
            return
        bundle = None
    if bundle is not None and ("fp16" in bundle.variants or checkpoint is None):
        yield Subject(model, bundle, "official", checkpoint, None)
        return
    assert checkpoint is not None
    with exported(checkpoint, find(model).profile.name, _HALF, scratch) as folder:
        yield Subject(model, open_bundle(folder), "official", checkpoint, None)


def _checkpoint(model: str) -> Path | None:
    path = checkpoint_path(find(model))
    return path if path.is_file() else None


def _shapes(model: str) -> dict[str, tuple[int, ...]]:
    try:
        found = json.loads(_SHAPES.read_text("utf-8"))[model]
    except (OSError, ValueError, KeyError):
        raise ParityError(
            f"{_SHAPES} has no shapes of {model}: run this from the root of the repository"
        ) from None
    return {key: tuple(shape) for key, shape in found.items()}


def save_safetensors(file: Path, state: Mapping[str, NDArray[Any]]) -> Path:
    """Weights as a file that ``edgesam export`` reads; float32 and int64 alone."""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    header, offset = {}, 0
    for key, array in state.items():
        end = offset + array.nbytes
        header[key] = {
            "dtype": kinds[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in state.values():
            stream.write(np.ascontiguousarray(array).tobytes())
    return file
