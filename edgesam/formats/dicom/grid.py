"""Where a DICOM header says a frame's pixels lie in the patient, and how large they are.

Knows one frame at a time: no series, no ultrasound. Numbers that are none are errors, as a place
that is guessed is worse than none; sizes that cannot be (zero, negative) count as absent.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ImageError
from edgesam.formats.dicom.element import decimals
from edgesam.formats.dicom.header import damaged
from edgesam.formats.dicom.lut import functional_group
from edgesam.origin import File

if TYPE_CHECKING:
    from pydicom import Dataset

Vector = tuple[float, float, float]

# PS3.3: 10.7.1.1 (or the functional group, C.7.6.16.2.1), C.8.7.4 and others, C.8.1.2.
IN_PATIENT = "PixelSpacing"
AT_DETECTOR = ("ImagerPixelSpacing", "NominalScannedPixelSpacing")
_SPACINGS = (IN_PATIENT, *AT_DETECTOR)
_UNIT = 1e-2  # a direction's length may differ that much from 1, and two from perpendicular

_log = logging.getLogger("edgesam")


@dataclass(frozen=True)
class Grid:
    """Of one frame.

    Attributes:
        position: centre of the first pixel, in patient millimetres (LPS); None if unknown.
        along_row: direction to the next column, a unit vector; None together with ``position``.
        along_column: direction to the next row.
        spacing: millimetres from row to row and from column to column, None if unknown.
        source: the attribute that ``spacing`` is from.
        thickness: millimetres to the neighbouring slice, or else of the slice; None if unknown.
    """

    position: Vector | None = None
    along_row: Vector | None = None
    along_column: Vector | None = None
    spacing: tuple[float, float] | None = None
    source: str | None = None
    thickness: float | None = None

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slice: the row's direction x the column's."""
        across = np.cross(self.along_row or (1, 0, 0), self.along_column or (0, 1, 0))
        unit: NDArray[np.float64] = across / np.linalg.norm(across)
        return unit

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """(x, y, planes further on, 1) -> millimetres (PS3.3 C.7.6.2.1.1), None if unknown.

        Millimetres at a detector have no place in the patient. Planes further on are 1 mm apart
        where the file does not say.
        """
        if self.position is None or self.spacing is None or self.source != IN_PATIENT:
            return None
        row, column = self.spacing
        matrix = np.eye(4)
        matrix[:3, 0] = np.multiply(self.along_row or (), column)
        matrix[:3, 1] = np.multiply(self.along_column or (), row)
        matrix[:3, 2] = self.normal * (self.thickness or 1.0)
        matrix[:3, 3] = self.position
        return matrix


def grid_of(header: Dataset, frame: int, frames: int, file: File) -> Grid:
    """What the header says of a frame, from 0, of ``frames``.

    Raises:
        ImageError: text or too few numbers where a position, direction or size belongs; directions
            that are not two perpendicular unit vectors.
    """
    try:
        plane = functional_group(header, frame, "PlanePositionSequence")
        turned = functional_group(header, frame, "PlaneOrientationSequence")
        measures = functional_group(header, frame, "PixelMeasuresSequence")
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its functional groups cannot be read") from None
    position = along_row = along_column = None
    # One position at the top of a file of several frames is not theirs.
    if frames == 1 or plane is not header:
        place = numbers(plane, "ImagePositionPatient", 3, file)
        cosines = numbers(turned, "ImageOrientationPatient", 6, file)
        if place and cosines:
            position = place[0], place[1], place[2]
            along_row = cosines[0], cosines[1], cosines[2]
            along_column = cosines[3], cosines[4], cosines[5]
            _check_directions(along_row, along_column, file)
    spacing, source = _spacing(measures, header, file)
    thickness = None
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        found = numbers(measures, name, 1, file)
        if found and found[0] and thickness is None:
            thickness = abs(found[0])  # nuclear medicine counts it negative
    return Grid(position, along_row, along_column, spacing, source, thickness)


def numbers(group: Dataset, name: str, count: int | None, file: File) -> tuple[float, ...] | None:
    """``count`` numbers of an element, None for any; None if it is absent or empty.

    Raises:
        ImageError: it holds something else.
    """
    try:
        found = decimals(group, name)
    except Exception:  # not chained: pydicom's messages quote values
        found = (math.nan,)
    if not found:
        return None
    right = count is None or len(found) == count
    if not right or not all(math.isfinite(number) for number in found):
        what = {None: "numbers", 1: "a number"}.get(count, f"{count} numbers")
        raise ImageError(f"{file}: its {name} is not {what}; get a fresh copy or repair the header")
    return found


def _spacing(
    measures: Dataset, header: Dataset, file: File
) -> tuple[tuple[float, float] | None, str | None]:
    for name in _SPACINGS:
        group = measures if name in measures else header
        found = numbers(group, name, 2, file)
        if found and min(found) > 0:
            return (found[0], found[1]), name
        if found:
            _log.warning("%s: its %s is not above zero: ignored", file, name)
    return None, None


def _check_directions(along_row: Vector, along_column: Vector, file: File) -> None:
    lengths = math.hypot(*along_row), math.hypot(*along_column)
    if max(abs(length - 1) for length in lengths) > _UNIT or (
        abs(float(np.dot(along_row, along_column))) > _UNIT
    ):
        raise ImageError(
            f"{file}: its ImageOrientationPatient is not two perpendicular directions; "
            "repair the header"
        )
