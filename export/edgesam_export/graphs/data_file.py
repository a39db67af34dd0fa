"""A graph's large weights in a file beside it; knows bytes, no graph.

A protobuf message ends at 2 GB, and has to be in memory as a whole when it is written and when it
is read. Here tensors are written one after the other, and an engine can map the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgesam_export.graphs.weights import Promise

_PAGE = 4096  # engines map a tensor from the page it begins on


@dataclass(frozen=True)
class Placed:
    """Where a tensor's bytes lie in the file."""

    offset: int
    length: int


def write_data_file(path: Path, tensors: Iterable[Promise]) -> tuple[Path, list[Placed]]:
    """Write tensors to a file whose name then carries the start of its sha256.

    Args:
        path: of the graph the tensors belong to.
        tensors: one is in memory at a time.

    Returns:
        The file, beside the graph, and where each tensor lies in it.
    """
    digest = hashlib.sha256()
    places: list[Placed] = []
    unnamed = path.with_suffix(".data")
    with unnamed.open("wb") as file:
        for tensor in tensors:
            gap = bytes(-file.tell() % _PAGE)
            little = np.dtype(tensor.dtype).newbyteorder("<")
            data = tensor.read().astype(little, copy=False).tobytes()
            for part in (gap, data):
                file.write(part)
                digest.update(part)
            places.append(Placed(file.tell() - len(data), len(data)))
            del data, part  # before the next is read
    named = path.with_name(f"{path.stem}.{digest.hexdigest()[:8]}.data")
    unnamed.replace(named)
    return named, places


def external(name: str, promise: Promise, file: Path, place: Placed) -> ir.ExternalTensor:
    """The reference that a graph beside the file holds."""
    return ir.ExternalTensor(
        file.name,
        place.offset,
        place.length,
        ir.DataType.from_numpy(np.dtype(promise.dtype)),
        shape=ir.Shape(promise.shape),
        name=name,
        base_dir=file.parent,
    )
