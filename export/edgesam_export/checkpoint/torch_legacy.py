"""The format of torch < 1.6 (and ``_use_new_zipfile_serialization=False``); knows its layout only.

Five pickles follow each other: a magic number, a protocol version, facts about the machine, the
object, and the list of storage keys. Then, for each key of the list, the storage: its element
count as 8 bytes and its elements, both little-endian on every machine (``_legacy_save`` in
torch/serialization.py, ``THPStorage_writeFileRaw`` in torch/csrc/serialization.cpp).
"""

from __future__ import annotations

from typing import IO

from edgesam_export.checkpoint.mapped_file import Extent, MappedFile
from edgesam_export.checkpoint.storages import parse_storage_id
from edgesam_export.checkpoint.tensors import Contents, Storage
from edgesam_export.checkpoint.unpickler import unpickle
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read_legacy(file: MappedFile) -> Contents:
    """The contents of a file that begins as a pickle."""
    stream = file.stream()
    if unpickle(stream, _no_storage) != MAGIC:
        raise UnreadableError("is a Python pickle, but not one that torch.save wrote")
    if unpickle(stream, _no_storage) != PROTOCOL:
        raise UnreadableError(f"is not of torch's legacy protocol {PROTOCOL}: save it anew")
    unpickle(stream, _no_storage)
    roots: dict[str, Storage] = {}

    def persistent_load(saved: object) -> Storage:
        named = parse_storage_id(saved)
        if roots.setdefault(named.root.key, named.root) != named.root:
            raise UnreadableError(f"states two sizes for storage {shown(named.root.key)!r}")
        return named.view

    root = unpickle(stream, persistent_load)
    keys = unpickle(stream, _no_storage)
    return Contents("legacy", root, _locate(stream, file.size, keys, roots), "little")


def _locate(
    stream: IO[bytes], size: int, keys: object, roots: dict[str, Storage]
) -> dict[str, Extent]:
    """Where each storage lies, from the list of keys that stands before the first of them."""
    if not isinstance(keys, list):
        raise UnreadableError("has no list of storages: download it again")
    extents: dict[str, Extent] = {}
    offset = stream.tell()
    for key in keys:
        if not isinstance(key, str) or key not in roots or key in extents:
            raise UnreadableError("lists a storage that no tensor uses, or one storage twice")
        nbytes = roots[key].nbytes
        count = stream.read(8)
        offset += 8
        if len(count) < 8 or offset + nbytes > size:
            raise UnreadableError(
                f"is cut short: storage {shown(key)!r} lies past the end of its {size} bytes; "
                "download it again"
            )
        if int.from_bytes(count, "little") * roots[key].dtype.itemsize != nbytes:
            raise UnreadableError(f"has a storage {shown(key)!r} whose size is not the stated one")
        extents[key] = Extent(offset, nbytes)
        offset += nbytes
        stream.seek(offset)
    for key in roots:
        if key not in extents:
            raise UnreadableError(f"lacks the storage {shown(key)!r}")
    return extents


def _no_storage(_: object) -> Storage:
    raise UnreadableError("names a storage where torch.save never does: refused")
