"""The zip format of torch >= 1.6; knows zip archives, nothing of what the tensors mean.

Layout (``_save`` in torch/serialization.py): ``<prefix>/data.pkl`` holds the object,
``<prefix>/data/<key>`` each storage's raw bytes, ``<prefix>/byteorder`` ``little`` or ``big``
(absent before torch 2.1, then little). Entries are stored uncompressed, so storages are read in
place. The entries' CRCs are not compared: torch can be told to save without computing them, and
that a file is the promised one is shown by its sha256.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from edgesam_export.checkpoint.dtypes import ByteOrder
from edgesam_export.checkpoint.mapped_file import Extent, MappedFile
from edgesam_export.checkpoint.storages import parse_storage_id
from edgesam_export.checkpoint.tensors import Contents, Storage
from edgesam_export.checkpoint.unpickler import unpickle
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

MAX_PICKLE = 64 << 20  # bytes; a SAM's data.pkl has under 200 KB

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of name and extra field
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800


def read_zip(file: MappedFile) -> Contents:
    """The contents of a file that begins as a zip archive."""
    entries = _directory(file)
    archive = _Archive(file, entries, _prefix(entries))
    byteorder = archive.byteorder()
    pickled = archive.text_entry("data.pkl", MAX_PICKLE)
    extents: dict[str, Extent] = {}

    def persistent_load(saved: object) -> Storage:
        root = parse_storage_id(saved).root
        if root.key not in extents:
            extents[root.key] = archive.extent(f"data/{root.key}")
        if extents[root.key].nbytes != root.nbytes:
            raise UnreadableError(
                f"has {extents[root.key].nbytes} bytes for storage {shown(root.key)!r} "
                f"where its pickle says {root.nbytes}"
            )
        return root

    return Contents("zip", unpickle(io.BytesIO(pickled), persistent_load), extents, byteorder)


@dataclass(frozen=True)
class _Archive:
    """The entries under one prefix."""

    file: MappedFile
    entries: Mapping[str, zipfile.ZipInfo]
    prefix: str

    def extent(self, name: str) -> Extent:
        """Where an entry's bytes lie; its local header is checked against the directory."""
        info = self.entries.get(self.prefix + name)
        if info is None:
            raise UnreadableError(f"lacks the entry {shown(self.prefix + name)}")
        label = shown(self.prefix + name)
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableError(f"is an encrypted archive ({label}): decrypt it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableError(
                f"compresses {label} by method {info.compress_type}: save it uncompressed"
            )
        stored = info.compress_type == zipfile.ZIP_STORED
        if stored and info.compress_size != info.file_size:
            raise UnreadableError(f"states two lengths for {label}: download it again")
        header = self.file.read(max(info.header_offset, 0), _LOCAL_HEADER.size)
        if info.header_offset < 0 or len(header) < _LOCAL_HEADER.size:
            raise UnreadableError(f"is cut short: {label} lies outside the file")
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        name_offset = info.header_offset + _LOCAL_HEADER.size
        encoding = "utf-8" if info.flag_bits & _UTF8_NAME else "cp437"
        local_name = self.file.read(name_offset, name_length).decode(encoding, "replace")
        if signature != b"PK\x03\x04" or local_name != info.orig_filename:
            raise UnreadableError(f"has no entry {label} where its directory says")
        offset = name_offset + name_length + extra_length
        if offset + info.compress_size > self.file.size:
            raise UnreadableError(f"is cut short: {label} lies outside the file")
        return Extent(offset, info.file_size, None if stored else info.compress_size)

    def text_entry(self, name: str, limit: int) -> bytes:
        """A small entry's bytes, copied."""
        extent = self.extent(name)
        if extent.nbytes > limit:
            raise UnreadableError(f"has a {name} of {extent.nbytes} bytes: refused")
        buffer, start = self.file.buffer(extent)
        return bytes(buffer[start : start + extent.nbytes])

    def byteorder(self) -> ByteOrder:
        """Of the storages; little where torch before 2.1 did not say."""
        if f"{self.prefix}byteorder" not in self.entries:
            return "little"
        match self.text_entry("byteorder", limit=64):
            case b"little":
                return "little"
            case b"big":
                return "big"
            case other:
                raise UnreadableError(f"has the unknown byte order {shown(repr(other))}")


def _directory(file: MappedFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's central directory by name."""
    try:
        with zipfile.ZipFile(file.stream()) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, struct.error, NotImplementedError):
        raise UnreadableError(
            f"is cut short: it begins as a zip archive, but its directory at the end is missing "
            f"or damaged ({file.size} bytes found); download it again"
        ) from None
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.orig_filename  # as written: Windows would turn backslashes into slashes
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise UnreadableError(f"has an entry with the path {shown(name)}: refused")
        if name in entries:
            raise UnreadableError(f"has two entries named {shown(name)}: refused")
        entries[name] = info
    return entries


def _prefix(entries: Mapping[str, zipfile.ZipInfo]) -> str:
    """The folder inside the archive that holds ``data.pkl``, with its slash."""
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        names = ", ".join(shown(name, 40) for name in list(entries)[:4])
        raise UnreadableError(
            f"is a zip archive with {len(pickles)} data.pkl, not a checkpoint "
            f"(it holds {names or 'nothing'}): unpack it if the checkpoint lies inside"
        )
    prefix = pickles[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in entries:
        raise UnreadableError(
            "is a TorchScript archive (torch.jit.save): save the model's state_dict() instead"
        )
    return prefix
