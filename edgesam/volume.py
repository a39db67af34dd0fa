"""Voxels in patient space, read plane by plane when they are asked for. Knows no file format."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.affine import array_axis, checked_affine, orientation, voxel_size
from edgesam.errors import VolumeError
from edgesam.image import Image, LookupTable
from edgesam.levels import Levels
from edgesam.origin import Origin
from edgesam.place import Place, Region
from edgesam.plane import NAMES, Plane
from edgesam.window import Window

Axis = Literal["axial", "coronal", "sagittal"]

_log = logging.getLogger("edgesam")


class Voxels(Protocol):
    """Where a volume's values come from: an array, or files that are read when they are needed."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the whole array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values, in the machine's byte order."""

    def plane(self, axis: int, index: int) -> NDArray[Any]:
        """(A, B): the plane across that axis, its own axes in the array's order."""

    def voi(self, axis: int, index: int) -> Window | LookupTable | None:
        """The file's own window or table for that plane."""

    def array(self) -> NDArray[Any]:
        """All of it."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Voxels of an array.

    Attributes:
        values: (I, J, K) integers or floats.
        window: the file's own.
    """

    values: NDArray[Any]
    window: Window | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the array."""
        first, second, third = self.values.shape
        return first, second, third

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self.values.dtype

    def plane(self, axis: int, index: int) -> NDArray[Any]:
        """A view of the array."""
        plane: NDArray[Any] = self.values[(slice(None),) * axis + (index,)]
        return plane

    def voi(self, axis: int, index: int) -> Window | LookupTable | None:  # noqa: ARG002
        """The same for every plane."""
        return self.window

    def array(self) -> NDArray[Any]:
        """The array itself."""
        return self.values


@dataclass(frozen=True, eq=False)
class Volume:
    """An array of voxels with its place in the patient.

    Attributes:
        voxels: where values come from.
        affine: (4, 4), the array's index, in the array's own axis order -> millimetres in patient
            space, LPS as in DICOM. Read-only.
        stacked: the array's axis along which slices are counted by default: that of DICOM's
            slices, else the one closest to the patient's long axis.
        as_stored: planes across ``stacked`` are shown with their rows and columns as they are
            stored (DICOM slices, which scanners store as they are to be shown); all other planes,
            and all planes of other formats, as radiology shows them.
        spacing_source: which attribute or format the affine's millimetres come from; None if
            the file gives no spacing and the affine counts voxels.
        inverted: small values are bright (MONOCHROME1).
        modality: DICOM's code (``CT``, ``MR``...), None when the files say none.
        origin: the files it was read from, None for an array.
    """

    voxels: Voxels
    affine: NDArray[np.float64]
    stacked: int = 0
    as_stored: bool = False
    spacing_source: str | None = "affine"
    inverted: bool = False
    modality: str | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", checked_affine(self.affine))

    @classmethod
    def from_array(
        cls, array: NDArray[Any], affine: ArrayLike, *, modality: str | None = None
    ) -> Volume:
        """A volume of (I, J, K) integers or floats; see :attr:`affine`.

        Raises:
            VolumeError: another number of axes, no voxels, a type that is no number, or an affine
                that cannot be one.
        """
        values = np.asarray(array)
        if values.ndim != 3 or values.size == 0 or values.dtype.kind not in "iuf":
            raise VolumeError(
                f"a volume is an array of three axes of integers or floats; found {values.shape} "
                f"of {values.dtype}"
            )
        matrix = checked_affine(affine)
        return cls(InMemory(values), matrix, long_axis(matrix), modality=modality)

    @classmethod
    def of_image(cls, image: Image) -> Volume:
        """A volume of one slice, the picture's rows and columns being its second and third axis.

        Where the distance to the next slice is unknown it is taken as 1 mm, with a warning.

        Raises:
            VolumeError: the picture has no known place in the patient, or is in colour.
        """
        place = image.place
        if place is None or place.affine is None or image.pixels.ndim != 2:
            raise VolumeError("the picture has no known place in the patient, or is in colour")
        if place.thickness is None:
            _log.warning("the slice's thickness is unknown: 1 mm is taken")
        affine = place.affine[:, [2, 1, 0, 3]]  # x, y, slices on -> slice, row, column
        return cls(
            InMemory(image.pixels[np.newaxis]),
            affine,
            as_stored=True,
            spacing_source=place.regions[0].source if place.regions else "affine",
            inverted=image.inverted,
            modality=image.modality,
            origin=image.origin,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the array."""
        return self.voxels.shape

    @property
    def array(self) -> NDArray[Any]:
        """All voxels, in the files' units and axis order; read at the first use, then kept."""
        return self.voxels.array()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres from voxel to voxel along each axis of the array."""
        return voxel_size(self.affine)

    @property
    def orientation(self) -> str:
        """Where each axis of the array goes, as ``LPS``; of oblique axes the closest."""
        return orientation(self.affine)

    def count(self, axis: Axis | None = None) -> int:
        """How many slices there are."""
        return self.shape[self._axis(axis)]

    def plane(self, index: int, axis: Axis | None = None) -> Plane:
        """Which voxels :meth:`slice` shows, and how they lie in the picture.

        Raises:
            VolumeError: there is no such slice.
        """
        across = self._axis(axis)
        count = self.shape[across]
        if not 0 <= index < count:
            raise VolumeError(f"there is no slice {index}: this volume has {count}, 0..{count - 1}")
        if self.as_stored and across == self.stacked:
            return Plane.stored(self.shape, across, index)
        return Plane.on_screen(self.shape, across, index, self.affine)

    def slice(self, index: int, window: Levels | None = None, *, axis: Axis | None = None) -> Image:
        """One slice as a picture that knows its place.

        Args:
            index: from 0, in the array's order.
            window: grey levels to show, unless :meth:`edgesam.Sam.embed` is given others.
            axis: ``axial``, ``coronal`` or ``sagittal``, of oblique planes the closest; None is
                the one that slices are stacked along.

        Raises:
            VolumeError: there is no such slice. ImageError: it cannot be decoded.
        """
        plane = self.plane(index, axis)
        return Image(
            plane.picture(self.voxels.plane(plane.axis, index)),
            voi=self.voxels.voi(plane.axis, index),
            inverted=self.inverted,
            modality=self.modality,
            window=window,
            place=self._place(plane),
            origin=self._origin(plane),
        )

    def slices(self, window: Levels | None = None, *, axis: Axis | None = None) -> Iterator[Image]:
        """All slices in order, each read when it is its turn."""
        return (self.slice(index, window, axis=axis) for index in range(self.count(axis)))

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        mm = " x ".join(f"{v:.3g}" for v in self.spacing)
        spacing = f"{mm} mm" if self.spacing_source else "unknown spacing"
        return f"Volume({self.modality or 'voxels'}, {size}, {self.orientation}, {spacing})"

    def _axis(self, axis: Axis | None) -> int:
        if axis is None:
            return self.stacked
        if axis not in NAMES:
            raise ValueError(f"axis is {axis!r}, not one of {', '.join(NAMES)}")
        return array_axis(self.affine, NAMES.index(axis))

    def _place(self, plane: Plane) -> Place:
        if self.spacing_source is None:
            return Place(plane=plane)
        sizes = self.spacing
        whole = (0, 0, plane.width - 1, plane.height - 1)
        row, column = sizes[plane.row_axis], sizes[plane.column_axis]
        source = self.spacing_source
        if self.as_stored and plane.axis != self.stacked:
            source = f"slice positions and {source}"
        return Place(
            regions=(Region(whole, row, column, source),),
            thickness=sizes[plane.axis],
            affine=plane.affine(self.affine),
            plane=plane,
        )

    def _origin(self, plane: Plane) -> Origin | None:
        """A DICOM slice is an image of its own; a plane across slices, or of other files, not."""
        if self.origin is None or self.origin.format != "dicom" or plane.axis != self.stacked:
            return None
        return replace(self.origin, parts=(self.origin.parts[plane.index],))


def long_axis(affine: NDArray[np.float64]) -> int:
    """The array's axis closest to the patient's long axis: slices across it are axial."""
    return array_axis(affine, NAMES.index("axial"))
