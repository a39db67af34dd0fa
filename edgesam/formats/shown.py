"""The pictures that labels lie on, one by one, as a person sees them; knows no file format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesam.affine import patient_axes
from edgesam.cine import Cine
from edgesam.errors import VolumeError
from edgesam.image import Image
from edgesam.labels import Labels, Source, grid
from edgesam.place import Place
from edgesam.plane import NAMES
from edgesam.volume import Volume

Kind = Literal["slice", "frame", "picture"]


@dataclass(frozen=True, eq=False)
class Shown:
    """One slice, frame or picture with its labels.

    Attributes:
        kind: what it is.
        index: which slice or frame, from 0 in the source's order; 0 of a picture.
        array: (H, W) labels, rows and columns as the source shows them.
        source: what they lie on.
        axis: of a slice without its volume, ``axial``, ``coronal`` or ``sagittal``; None if that
            is not known. Slices of a volume are those along its own axis.
    """

    kind: Kind
    index: int
    array: NDArray[Any]
    source: Source
    axis: str | None = None

    @property
    def name(self) -> str:
        """For people and files, never from a header: ``slice-0060``, ``coronal-0010``."""
        return self.kind if self.kind == "picture" else f"{self.axis or self.kind}-{self.index:04d}"

    def image(self) -> Image:
        """The picture itself, read now.

        Raises:
            ImageError: it cannot be decoded.
        """
        if isinstance(self.source, Volume):
            return self.source.slice(self.index)
        if isinstance(self.source, Cine):
            return self.source.frame(self.index)
        return self.source

    def objects(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Each label that is here, from 1, and its (H, W) bool."""
        for number in np.unique(self.array):
            if number:
                yield int(number), self.array == number


def shown(labels: Labels, source: Source) -> list[Shown]:
    """The slices, frames or the picture that hold a label, in order.

    Raises:
        VolumeError: the labels are of another size than the source, or have numbers without name.
    """
    if labels.array.shape != grid(source):
        raise VolumeError(f"the labels are {labels.array.shape}, the source is {grid(source)}")
    most = int(labels.array.max())
    if most > len(labels.labels):
        raise VolumeError(f"label {most} has no name: there are {len(labels.labels)}")
    if isinstance(source, Image):
        kind, index = _kind_of(source.place)
        return [Shown(kind, index, labels.array, source, _axis_of(source.place))] if most else []
    if isinstance(source, Cine):
        frames = np.flatnonzero(labels.array.any(axis=(1, 2))).tolist()
        return [Shown("frame", index, labels.array[index], source) for index in frames]
    others = tuple(axis for axis in range(3) if axis != source.stacked)
    slices = np.flatnonzero(labels.array.any(axis=others)).tolist()
    return [Shown("slice", i, source.plane(i).of(labels.array), source) for i in slices]


def between(labels: Labels, source: Source) -> list[Shown]:
    """The same from the first to the last, with those in between that hold no label."""
    found = shown(labels, source)
    if len(found) < 2:
        return found
    kind, indices = found[0].kind, range(found[0].index, found[-1].index + 1)
    if isinstance(source, Volume):
        return [Shown(kind, i, source.plane(i).of(labels.array), source) for i in indices]
    return [Shown(kind, i, labels.array[i], source) for i in indices]


def _kind_of(place: Place | None) -> tuple[Kind, int]:
    """What a picture of its own is of."""
    if place is not None and place.plane is not None:
        return "slice", place.plane.index
    if place is not None and place.frame is not None:
        return "frame", place.frame
    return "picture", 0


def _axis_of(place: Place | None) -> str | None:
    """The plane's name in radiology; of oblique ones the closest."""
    if place is None or place.plane is None or place.affine is None:
        return None
    return NAMES[patient_axes(place.affine)[2][0]]
