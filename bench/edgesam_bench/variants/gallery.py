"""Every picture below a folder, as ``edgesam segment`` would read it. Knows no model.

A picture is known by a hash alone: the sha256 of its file, or, where a file holds several (slices,
frames), of that and its number. Names and headers go no further than error messages.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgesam.cine import Cine
from edgesam.digest import sha256_of
from edgesam.errors import EdgeSamError, ImageError
from edgesam.formats import read
from edgesam.image import Image
from edgesam.volume import Volume
from edgesam_bench.variants.modalities import modality_of
from edgesam_bench.variants.stacks import Stack, stacks_in

PER_STACK = 4  # pictures of one volume, series or cine
_LEAST_LEVELS = 16  # grey levels: fewer are an empty slice, or labels
_FLATTEST = 0.7  # share of equal neighbours: pictures have up to .55, label maps .81 and more
_TRIED = 3  # neighbours of a slice that shows nothing

_log = logging.getLogger("edgesam")

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Sample:
    """One picture.

    Attributes:
        key: sha256 in hexadecimal, its only name.
        group: the same text for all that was taken together: of one file, volume or DICOM study.
        modality: one of :data:`edgesam_bench.variants.modalities.KNOWN`, or ``unknown``.
        read: the picture, read now.
    """

    key: str
    group: str
    modality: str
    read: Callable[[], Image] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Gallery:
    """What a folder holds.

    Attributes:
        samples: in the order of their hashes, none twice.
        faults: one line for each file that could not be used.
    """

    samples: Sequence[Sample]
    faults: Sequence[str]


def open_gallery(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Gallery:
    """All pictures below a folder; of each volume, series and cine a few.

    What shows nothing is left out: empty slices, and label maps, which nobody would segment.

    Raises:
        ImageError: there is no such folder, or no picture in it that can be read.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder; give the folder of the pictures")
    found: dict[str, Sample] = {}
    faults: list[str] = []
    stacks = list(stacks_in(folder, faults))
    for number, stack in enumerate(stacks, start=1):
        progress(f"looking at {number} of {len(stacks)} pictures, series and volumes")
        try:
            for sample in _samples(stack, folder):
                found.setdefault(sample.key, sample)
        except EdgeSamError as error:
            faults.append(" ".join(str(error).split()))
    for line in faults:
        _log.info("left out: %s", line)
    if not found:
        why = f"; the first of {len(faults)} reasons: {faults[0]}" if faults else ""
        raise ImageError(f"{folder}: holds no picture that can be read{why}")
    return Gallery([found[key] for key in sorted(found)], faults)


@dataclass(frozen=True)
class _Reader:
    """Reads one picture of a file again, the same way each time."""

    path: Path
    series: int | None
    index: int

    def __call__(self) -> Image:
        whole = _whole(self.path, self.series)
        if isinstance(whole, Image):
            return whole
        return whole.frame(self.index) if isinstance(whole, Cine) else whole.slice(self.index)


def _samples(stack: Stack, folder: Path) -> Iterator[Sample]:
    for path in _spread(stack.files, PER_STACK):
        whole = _whole(path, stack.series)
        below = path.relative_to(folder).parts
        modality = modality_of(whole.modality, below[0] if len(below) > 1 else None)
        sha256 = sha256_of(path)
        for reader in _shown(path, stack.series, whole):
            key = sha256
            if not isinstance(whole, Image):
                place = f"{sha256}:{stack.series}:{reader.index}"
                key = hashlib.sha256(place.encode()).hexdigest()
            yield Sample(key, stack.study or sha256, modality, reader)


def _shown(path: Path, series: int | None, whole: Image | Volume | Cine) -> Iterator[_Reader]:
    """Readers of a few pictures that show something."""
    count = 1
    if not isinstance(whole, Image):
        count = len(whole) if isinstance(whole, Cine) else whole.count()
    for start in _spread(range(count), PER_STACK):
        for index in range(start, min(start + _TRIED, count)):
            reader = _Reader(path, series, index)
            if _shows_something(reader()):
                yield reader
                break


@lru_cache(maxsize=1)  # slices of one volume follow each other
def _whole(path: Path, series: int | None) -> Image | Volume | Cine:
    return read(path, series=series)


def _shows_something(image: Image) -> bool:
    """Whether it has grey levels, and noise: labels have few, or none."""
    grey = image.to_rgb8()[0].max(axis=2)
    counts = np.bincount(grey.ravel(), minlength=256)
    if np.count_nonzero(counts) < _LEAST_LEVELS:
        return False
    left, right = grey[:, :-1], grey[:, 1:]
    inside = (left != counts.argmax()) | (right != counts.argmax())
    return bool((left == right)[inside].mean() < _FLATTEST)


def _spread(things: Sequence[Thing], most: int) -> list[Thing]:
    """At most so many, evenly apart, none from the very ends."""
    count = min(most, len(things))
    return [things[(2 * i + 1) * len(things) // (2 * count)] for i in range(count)]
