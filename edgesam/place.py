"""Where a picture lies and how large its pixels are. Geometry only: knows no file, no patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesam.plane import Plane

_SQUARE = 1e-3  # headers round: pixels that differ less are square


@dataclass(frozen=True)
class Region:
    """A part of a picture with pixels of one known size. An ultrasound picture may have several.

    Attributes:
        box: x0, y0, x1, y1 in pixels, the last ones included.
        row: millimetres from the centre of a row to the next (vertical).
        column: millimetres from the centre of a column to the next (horizontal).
        source: the DICOM attribute or the format that says so, as ``PixelSpacing``;
            ``ImagerPixelSpacing`` is measured at the detector, larger than in the patient.
    """

    box: tuple[int, int, int, int]
    row: float
    column: float
    source: str


@dataclass(frozen=True, eq=False)
class Place:
    """What is known of a picture's place.

    Attributes:
        regions: where pixels have a known size in millimetres; empty where none is known.
        thickness: millimetres from this plane to its neighbour, None if unknown.
        affine: (4, 4), (x, y, planes further on, 1) -> patient millimetres (LPS), None if unknown;
            pixel centres are at whole numbers.
        plane: which voxels of a volume the picture shows, None if it is not of a volume.
        frame: which frame of a cine it is, from 0; None if it is not of a cine.
        aspect: height of a pixel by its width, where a file says that but no size.
    """

    regions: tuple[Region, ...] = ()
    thickness: float | None = None
    affine: NDArray[np.float64] | None = None
    plane: Plane | None = None
    frame: int | None = None
    aspect: float = 1.0

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel by its width, where the picture as a whole says so: else 1."""
        if len(self.regions) == 1:
            aspect = self.regions[0].row / self.regions[0].column
        else:
            aspect = self.aspect
        return 1.0 if abs(aspect - 1) < _SQUARE else aspect

    def region(self, box: tuple[int, int, int, int]) -> Region | None:
        """The first region that holds the whole box x0, y0, x1, y1; None if there is none."""
        x0, y0, x1, y1 = box
        for region in self.regions:
            left, top, right, bottom = region.box
            if left <= x0 and top <= y0 and x1 <= right and y1 <= bottom:
                return region
        return None
