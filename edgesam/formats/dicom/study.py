"""Finds the DICOM series in a folder, a DICOMDIR or a zip archive; decodes no pixels.

Files that are no DICOM image are left out, and how many is logged. Members of an archive are read
in memory, never unpacked onto the disk.
"""

from __future__ import annotations

import io
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError
from edgesam.formats.dicom.dicomdir import is_dicomdir, named_files
from edgesam.formats.dicom.header import HEAD, brief_header, damaged, looks_like_dicom, no_image
from edgesam.formats.dicom.reading import open_series
from edgesam.formats.dicom.series import Series, choose_series, sort_series
from edgesam.formats.dicom.slice import Slice, slices_of, wanted_tags
from edgesam.formats.quiet import quiet
from edgesam.image import Image
from edgesam.origin import File
from edgesam.volume import Volume

if TYPE_CHECKING:
    from io import RawIOBase

MOST_UNPACKED = 32 << 30
"""Bytes that an archive's members may come to, together."""
_MOST_MEMBER = 4 << 30  # a member is unpacked into memory
_HEAD = 544

_log = logging.getLogger("edgesam")


def read_study(path: Path, *, series: int | str | None = None) -> Image | Volume | Cine:
    """The one series, or the one of several that is asked for.

    Args:
        path: a folder, searched with all below it; a DICOMDIR; a zip archive; or one file.
        series: its number in the list that the error shows (:attr:`Series.number`), or its
            SeriesInstanceUID.

    Raises:
        ImageError: there is no DICOM image, or a file is damaged.
        VolumeError: there are several series, or slices make no volume.
    """
    return open_series(choose_series(path, find_series(path), series))


def find_series(path: Path) -> list[Series]:
    """All series there, by SeriesNumber; at least one.

    Headers are read one after another; calls from other threads that read files wait.

    Raises:
        ImageError: there is no DICOM image, or a file is damaged.
    """
    tags: list[int] | None = None
    found: list[Slice] = []
    others = 0
    with quiet("pydicom"):
        for file, stream in _files(path):
            if tags is None:
                tags = wanted_tags()
            slices = _slices(file, stream, tags)
            others += not slices
            found += slices
    if not found:
        seen = f"{others} files, but no DICOM image in them" if others else "no file"
        raise ImageError(f"{path}: holds {seen}; give the folder with the images")
    if others:
        _log.info("%s: %d files that are no DICOM image were left out", path, others)
    return sort_series(path, found)


def _slices(file: File, stream: BinaryIO, tags: list[int]) -> list[Slice]:
    """Those in a file; none if it is no DICOM image."""
    try:
        head = stream.read(HEAD)
    except Exception:  # a damaged member of an archive raises nearly anything
        raise damaged(file, "it cannot be read") from None
    if not looks_like_dicom(head):
        return []
    stream.seek(0)
    try:
        header = brief_header(file, stream, tags)
        return [] if no_image(file, header) else slices_of(file, header)
    except EdgeSamError:
        if head[128:] == b"DICM":
            raise
        return []  # it only began like DICOM


def _files(path: Path) -> Iterator[tuple[File, BinaryIO]]:
    """Every file there, open, in the order of names."""
    if path.is_dir():
        yield from _opened(_below(path))
        return
    head = b""
    for _, stream in _opened([path]):
        head = stream.read(_HEAD)
    if head[:2] == b"PK":
        yield from _members(path)
    elif is_dicomdir(head, path):
        yield from _opened(named_files(path))
    else:
        yield from _opened([path])


def _below(folder: Path) -> Iterator[Path]:
    def give_up(error: OSError) -> None:
        raise ImageError(f"{error.filename}: cannot be opened: {error.strerror}") from None

    for place, folders, names in os.walk(folder, onerror=give_up):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            if file.is_file():  # not a socket, nor a link to nowhere
                yield file


def _opened(paths: Iterator[Path] | list[Path]) -> Iterator[tuple[File, BinaryIO]]:
    for path in paths:
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise ImageError(f"{path}: no such file or folder") from None
        except OSError as error:
            raise ImageError(f"{path}: cannot be opened: {error.strerror}") from None
        with stream:
            yield File(path), stream


def _members(path: Path) -> Iterator[tuple[File, BinaryIO]]:
    """The members of an archive, each open while it is its turn."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ImageError(f"{path}: damaged or not a zip archive; get a fresh copy") from None
    with archive:
        members = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check_sizes(path, members)
        for entry in members:
            file = File(path, entry.filename)
            if entry.flag_bits & 1:
                raise ImageError(f"{path}: is encrypted; unpack it with its password first")
            try:
                stream = io.BufferedReader(cast("RawIOBase", archive.open(entry)))
            except Exception:  # not chained: it may quote names
                raise damaged(file, "it cannot be unpacked") from None
            with stream:
                yield file, stream


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Against archives made to fill a memory: zipfile unpacks no more than a member declares."""
    whole = sum(entry.file_size for entry in members)
    largest = max((entry.file_size for entry in members), default=0)
    if whole > MOST_UNPACKED or largest > _MOST_MEMBER:
        raise ImageError(
            f"{path}: unpacks to {whole / 2**30:.1f} GiB, its largest file to "
            f"{largest / 2**30:.1f}; the limits against decompression bombs are "
            f"{MOST_UNPACKED >> 30} and {_MOST_MEMBER >> 30}: unpack it yourself if you trust it"
        )
