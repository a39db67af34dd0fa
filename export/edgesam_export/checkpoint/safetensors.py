"""The safetensors format; knows its layout only.

8 bytes little-endian length N, N bytes of JSON, then the data. The JSON maps each name to dtype,
shape and ``data_offsets`` (first byte and end, from the data's start); ``__metadata__`` is not a
tensor. Data is little-endian, row-major, without holes or overlaps
(https://github.com/huggingface/safetensors, README).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType

from edgesam_export.checkpoint.dtypes import DTYPES
from edgesam_export.checkpoint.mapped_file import Extent, MappedFile
from edgesam_export.checkpoint.tensors import (
    MAX_COUNT,
    MAX_DIMENSIONS,
    Contents,
    Storage,
    Tensor,
    make_tensor,
)
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

MAX_HEADER = 100_000_000  # bytes: the format's own limit

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "F64": "float64",
        "F32": "float32",
        "F16": "float16",
        "BF16": "bfloat16",
        "I64": "int64",
        "I32": "int32",
        "I16": "int16",
        "I8": "int8",
        "U64": "uint64",
        "U32": "uint32",
        "U16": "uint16",
        "U8": "uint8",
        "BOOL": "bool",
    }
)


def read_safetensors(file: MappedFile) -> Contents:
    """The contents of a file whose ninth byte opens a JSON object."""
    length = int.from_bytes(file.read(0, 8), "little")
    if length > MAX_HEADER or 8 + length > file.size:
        raise UnreadableError(
            f"is cut short, or no safetensors file: its header would take {length} of "
            f"{file.size} bytes"
        )
    header = _header(file.read(8, length))
    tensors: dict[str, Tensor] = {}
    extents: dict[str, Extent] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            tensors[name], extents[name] = _entry(name, entry, 8 + length)
    _check_coverage(extents, 8 + length, file.size)
    return Contents("safetensors", tensors, extents, "little")


def _header(text: bytes) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = dict(pairs)
        if len(names) != len(pairs):
            raise UnreadableError("has a safetensors header that names something twice: refused")
        return names

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise UnreadableError(
            "has a safetensors header that is not JSON: download it again"
        ) from None
    if not isinstance(header, dict):
        raise UnreadableError("has a safetensors header that is not a JSON object")
    return header


def _entry(name: str, entry: object, data: int) -> tuple[Tensor, Extent]:
    """One tensor of the header; ``data`` is where the data begins in the file."""
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise UnreadableError(f"describes the tensor {shown(name)} incompletely: refused")
    if code not in _NAMES:
        raise UnreadableError(
            f"holds {shown(name)} as {shown(code)}, which edgesam does not read: "
            "save it as dense float tensors"
        )
    dtype = DTYPES[_NAMES[code]]
    if not 0 <= begin <= end <= MAX_COUNT:
        raise UnreadableError(f"has impossible offsets for {shown(name)}: refused")
    # Before anything is multiplied: a header can list millions of huge numbers.
    if len(shape) > MAX_DIMENSIONS or not all(
        type(size) is int and 0 <= size <= MAX_COUNT for size in shape
    ):
        raise UnreadableError(f"has an impossible shape for {shown(name)}: refused")
    needed = math.prod(shape) * dtype.itemsize
    if needed != end - begin:
        raise UnreadableError(
            f"gives {shown(name)} {end - begin} bytes, but its shape {tuple(shape)} needs {needed}"
        )
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    tensor = make_tensor(Storage(name, dtype, needed), dtype, 0, shape, strides)
    return tensor, Extent(data + begin, needed)


def _check_coverage(extents: Mapping[str, Extent], data: int, size: int) -> None:
    """Refuse overlapping tensors, holes, and data that the file has too little or too much of."""
    reached = data
    for name, extent in sorted(extents.items(), key=lambda item: (item[1].offset, item[1].nbytes)):
        if extent.offset != reached:
            what = "overlaps the tensor before it" if extent.offset < reached else "follows a hole"
            raise UnreadableError(f"has a tensor {shown(name)} that {what}: refused")
        reached += extent.nbytes
    if reached != size:
        raise UnreadableError(
            f"is cut short or has bytes too many: {reached} bytes expected, {size} found; "
            "download it again"
        )
