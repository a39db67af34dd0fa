"""Many pictures one after another, each read when it is its turn. Knows no model and no thread."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.formats import read
from edgesam.formats.dicom.header import HEAD, looks_like_dicom
from edgesam.image import Image
from edgesam.prepared import Picture
from edgesam.volume import Volume

Source = (
    str
    | os.PathLike[str]
    | Volume
    | Cine
    | Image
    | NDArray[Any]
    | Iterable[Picture | str | os.PathLike[str]]
)
"""What :func:`pictures` takes."""


def pictures(source: Source, every: int = 1) -> Iterator[tuple[int, Callable[[], Picture]]]:
    """The number of each picture in the source, from 0, and what reads it.

    What is left out by ``every`` is not read, unless the source is an iterable, which gives its
    pictures only one after another.

    Args:
        source: a volume (its slices along the axis they are stacked along), a cine, the path of
            either, the path of a folder of pictures (in the order of their names, ``2.png`` before
            ``10.png``) or of one picture, an array of grey (N, H, W) or colour (N, H, W, 3)
            pictures, or an iterable of pictures and paths.
        every: only pictures 0, ``every``, 2 ``every`` and so on.

    Raises:
        ImageError: there is nothing to read. VolumeError: a folder's slices make no volume.
    """
    if isinstance(source, str | os.PathLike):
        source = opened(Path(source))
    if isinstance(source, Volume):
        return _each(source.count(), every, source.slice)
    if isinstance(source, Cine):
        return _each(len(source), every, source.frame)
    if isinstance(source, Image):
        source = [source]
    if isinstance(source, np.ndarray):
        source = _stack(source)
    return ((index, partial(_read, item)) for index, item in _spaced(iter(source), every))


def _each(
    count: int, every: int, read_one: Callable[[int], Picture]
) -> Iterator[tuple[int, Callable[[], Picture]]]:
    return ((index, partial(read_one, index)) for index in range(0, count, every))


def _spaced(items: Iterator[Any], every: int) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(items):
        if index % every == 0:
            yield index, item
        del item  # the next one may take its time


def _read(item: Picture | str | os.PathLike[str]) -> Picture:
    return read(item) if isinstance(item, str | os.PathLike) else item


def opened(path: Path, *, series: int | str | None = None) -> Volume | Cine | Image | list[Path]:
    """What is there; a folder without DICOM files of its own, but with others, as their paths.

    Args:
        path: of a file or a folder.
        series: which one of several, as :func:`edgesam.read` takes it.

    Raises:
        ImageError: there is nothing to read. VolumeError: a folder's slices make no volume.
    """
    if path.is_dir() and series is None:
        files = sorted(
            (file for file in path.iterdir() if file.is_file() and file.name[0] != "."), key=_order
        )
        if files and not any(_is_dicom(file) for file in files):
            return files
    return read(path, series=series)


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return looks_like_dicom(stream.read(HEAD))
    except OSError as error:
        raise ImageError(f"{file}: cannot be opened: {error.strerror}") from error


def _order(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _stack(array: NDArray[Any]) -> NDArray[Any]:
    """An array of pictures; one picture by itself would be taken for its rows.

    Raises:
        ImageError: it may be one picture.
    """
    if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        return array
    raise ImageError(
        f"an array of pictures is (N, height, width) or (N, height, width, 3); found "
        f"{array.shape}: of one picture make a list, [picture]"
    )
