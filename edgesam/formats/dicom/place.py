"""The `Place` of a DICOM frame: its grid in the patient, ultrasound regions, aspect; no pixels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgesam.errors import ImageError
from edgesam.formats.dicom.grid import grid_of, numbers
from edgesam.origin import File
from edgesam.place import Place, Region

if TYPE_CHECKING:
    from pydicom import Dataset

_CENTIMETRES = 3  # of Physical Units X and Y Direction, PS3.3 C.8.5.5.1.2

_log = logging.getLogger("edgesam")


def place_of(header: Dataset, frame: int, frames: int, file: File) -> Place | None:
    """What the header says of the place of a frame, from 0; None if it says nothing.

    Raises:
        ImageError: something else than numbers where numbers belong.
    """
    size = int(header.Columns), int(header.Rows)
    grid = grid_of(header, frame, frames, file)
    regions: tuple[Region, ...]
    if grid.spacing and grid.source:
        box = (0, 0, size[0] - 1, size[1] - 1)
        regions = (Region(box, *grid.spacing, grid.source),)
    else:
        regions = _ultrasound(header, size, file)
    shapes = {round(region.row / region.column, 4) for region in regions}
    place = Place(
        regions=regions,
        thickness=grid.thickness,
        affine=grid.affine,
        frame=frame if frames > 1 and grid.position is None else None,
        aspect=shapes.pop() if len(shapes) == 1 else _aspect(header, file),
    )
    unknown = not regions and place.aspect == 1 and place.affine is None and place.frame is None
    return None if unknown else place


def _ultrasound(header: Dataset, size: tuple[int, int], file: File) -> tuple[Region, ...]:
    """The regions whose two axes are distances (PS3.3 C.8.5.5); not time, not velocity."""
    found = []
    try:
        for item in header.get("SequenceOfUltrasoundRegions") or ():
            units = item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection")
            x, y = (abs(float(item.get(f"PhysicalDelta{axis}") or 0)) for axis in "XY")
            if units != (_CENTIMETRES, _CENTIMETRES) or not (0 < x < 1e3 and 0 < y < 1e3):
                continue
            x0, y0, x1, y1 = (
                int(item[f"RegionLocation{end}"].value)
                for end in ("MinX0", "MinY0", "MaxX1", "MaxY1")
            )
            # Some writers count the last pixel's far edge. A region that reaches further belongs
            # to a picture that was cut or scaled afterwards: its pixels have another size.
            if not (0 <= x0 <= x1 <= size[0] and 0 <= y0 <= y1 <= size[1]):
                _log.warning("%s: an ultrasound region reaches outside the picture: ignored", file)
                continue
            box = (x0, y0, min(x1, size[0] - 1), min(y1, size[1] - 1))
            found.append(Region(box, 10 * y, 10 * x, "UltrasoundRegion"))
    except Exception:  # not chained: pydicom's messages quote values
        raise ImageError(
            f"{file}: its ultrasound regions cannot be read; repair the header"
        ) from None
    return tuple(found)


def _aspect(header: Dataset, file: File) -> float:
    """Height of a pixel by its width (PS3.3 C.7.6.3.1.7), 1 where the file does not say."""
    found = numbers(header, "PixelAspectRatio", 2, file)
    if not found:
        return 1.0
    if min(found) <= 0:
        _log.warning("%s: its PixelAspectRatio is not above zero: ignored", file)
        return 1.0
    return found[0] / found[1]
