"""How large a mask is in millimetres, and where that is unknown; knows no file and no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.affine import checked_affine
from edgesam.errors import VolumeError
from edgesam.place import Place, Region
from edgesam_kernels.calipers import diameters

UNKNOWN = "unknown spacing"
_AT_DETECTOR = "ImagerPixelSpacing"


@dataclass(frozen=True)
class Measured:
    """The size of one object in one picture. ``str`` of it is a line for a person.

    Attributes:
        pixels: how many there are.
        spacing: size of a pixel, row by column as DICOM has it, and what says so:
            ``PixelSpacing 0.977 x 0.977 mm``, or ``unknown spacing``: then all others are None.
            ``at the detector`` is said of ImagerPixelSpacing: there everything is larger than in
            the patient, by the magnification.
        area_mm2: square millimetres.
        volume_ml: area by the distance to the neighbouring slice, in millilitres, of this one
            slice; None also where that distance is unknown.
        longest_mm: longest diameter, in millimetres, as RECIST 1.1 measures; see
            :mod:`edgesam_kernels.calipers`.
        perpendicular_mm: the longest at right angles to it.
    """

    pixels: int
    spacing: str = UNKNOWN
    area_mm2: float | None = None
    volume_ml: float | None = None
    longest_mm: float | None = None
    perpendicular_mm: float | None = None

    def __str__(self) -> str:
        if self.area_mm2 is None:
            return f"{self.pixels} pixels, {self.spacing}"
        big = self.area_mm2 >= 100
        area = f"{self.area_mm2 / 100:.1f} cm2" if big else f"{self.area_mm2:.1f} mm2"
        longest = f"longest {self.longest_mm:.1f} x {self.perpendicular_mm:.1f} mm"
        return f"{area}, {longest} ({self.spacing})"


def measure(array: NDArray[np.bool_], place: Place | None) -> Measured:
    """The size of the mask (H, W) bool of a picture that lies there.

    A pixel's size is that of the region which holds the whole mask; ultrasound pictures may have
    several regions (DICOM PS3.3 C.8.5.5) and a mask across two of them has no size.
    """
    pixels = int(np.count_nonzero(array))
    region = None if place is None else _region(array, place)
    if place is None or region is None:
        return Measured(pixels)
    basis = _basis(region, place)
    area = pixels * abs(float(np.linalg.det(basis)))
    longest, perpendicular = diameters(array, basis)
    volume = None
    if place.thickness is not None:  # where it is unknown, an affine has a mere 1 for it
        volume = area * place.thickness / 1000
        if place.affine is not None:  # it may be sheared
            volume = measure_volume(array, place.affine)
    spacing = f"{region.source} {region.row:.3g} x {region.column:.3g} mm"
    if region.source == _AT_DETECTOR:
        spacing += ", at the detector"
    return Measured(pixels, spacing, area, volume, longest, perpendicular)


def measure_volume(array: NDArray[np.bool_], affine: ArrayLike) -> float:
    """Millilitres of the voxels that are True, of an array of any shape.

    Args:
        array: booleans.
        affine: (4, 4), index -> millimetres; its axes may be oblique and sheared (gantry tilt).

    Raises:
        VolumeError: the array is not booleans, or the affine cannot be one.
    """
    if array.dtype != np.bool_:
        raise VolumeError(f"a mask is booleans; found {array.dtype}")
    voxel = abs(float(np.linalg.det(checked_affine(affine)[:3, :3])))
    return int(np.count_nonzero(array)) * voxel / 1000


def _region(array: NDArray[np.bool_], place: Place) -> Region | None:
    """The region that holds all of the mask; of an empty one the picture's only region."""
    rows, columns = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if len(rows) == 0:
        return place.regions[0] if len(place.regions) == 1 else None
    return place.region((int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])))


def _basis(region: Region, place: Place) -> NDArray[np.float64]:
    """One pixel to the right and one down, in millimetres of the plane, as columns (2, 2)."""
    cosine = 0.0
    if place.affine is not None:  # a plane across the slices of a tilted gantry is sheared
        right, down = place.affine[:3, 0], place.affine[:3, 1]
        cosine = float(right @ down / (np.linalg.norm(right) * np.linalg.norm(down)))
    sine = float(np.sqrt(1 - cosine**2))
    return np.array([[region.column, region.row * cosine], [0.0, region.row * sine]])
