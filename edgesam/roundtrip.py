"""A test mask through every writer and back, on a given volume: ``edgesam doctor STUDY`` asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesam.centroids import KINDS, centroid, mask_centroid
from edgesam.errors import EdgeSamError
from edgesam.formats.writing import Kind, check_source, write
from edgesam.volume import Volume

_SUFFIX: dict[Kind, str] = {
    "nifti": ".nii.gz",
    "nrrd": ".nrrd",
    "geojson": ".geojson",
    "coco": ".json",
}
_EXTRA: dict[Kind, str] = {"nifti": "volumes", "nrrd": "volumes"}  # all others: dicom
_CLOSE = 0.1  # of a voxel


@dataclass(frozen=True)
class Trip:
    """What came back from one format.

    Attributes:
        kind: the format.
        millimetres: between the test mask's centre and that in the file; None if they were not
            compared.
        close: it is within a tenth of the smallest side of a voxel.
        reason: why they were not compared; empty if they were.
        unreadable: the mask was written, and its file could not be read back.
    """

    kind: Kind
    millimetres: float | None
    close: bool
    reason: str = ""
    unreadable: bool = False

    @property
    def problem(self) -> bool:
        """The mask was written and is not where it was; not so if it could not be compared."""
        return self.unreadable or (self.millimetres is not None and not self.close)


def round_trips(volume: Volume) -> Iterator[Trip]:
    """One for each format, in a temporary folder that is removed at the end."""
    mask = asymmetric_mask(volume.shape)
    there = mask_centroid(mask, volume.affine)
    with tempfile.TemporaryDirectory(prefix="edgesam-") as folder:
        for kind in KINDS:
            path = Path(folder) / f"{kind}{_SUFFIX.get(kind, '.dcm')}"
            try:
                check_source(Path(path.name), kind, volume)
                write(path, mask, volume, kind=kind)
            except EdgeSamError as error:
                yield Trip(kind, None, close=False, reason=_told(error, path))
                continue
            yield _back(path, kind, volume, there)
            path.unlink()


def _told(error: EdgeSamError, path: Path) -> str:
    """Why it was not written, without the name of a temporary file."""
    reason = str(error)
    for name in (str(path), path.name):
        reason = reason.removeprefix(f"cannot write {name}: ")
    return reason


def _back(path: Path, kind: Kind, volume: Volume, there: NDArray[np.float64]) -> Trip:
    """What a file says of a mask whose centre (3,) is ``there``, in patient millimetres."""
    if volume.spacing_source is None:
        reason = "unknown spacing: it was written, and there are no millimetres to compare"
        return Trip(kind, None, close=False, reason=reason)
    try:
        away = float(np.linalg.norm(centroid(path, kind, volume) - there))
    except ImportError:
        extra = f'pip install "edgesam[{_EXTRA.get(kind, "dicom")}]"'
        reason = f"it was written; to read it back a package is missing; try: {extra}"
        return Trip(kind, None, close=False, reason=reason)
    except Exception as error:  # whatever it is: a report is no place for a traceback
        # Not its words: a library's may quote what a header holds.
        reason = f"could not be read back ({type(error).__name__}); do not rely on this format"
        return Trip(kind, None, close=False, reason=reason, unreadable=True)
    return Trip(kind, away, close=away < _CLOSE * min(volume.spacing))


def asymmetric_mask(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """(I, J, K) booleans whose centre moves with any flip, swap of axes or shift.

    A block at the low end of each axis, at another part of each, with bars along two edges.
    """
    mask = np.zeros(shape, np.bool_)
    ends = zip(shape, (0.05, 0.1, 0.2), (0.2, 0.4, 0.6), strict=True)
    first, second, third = (_part(count, low, high) for count, low, high in ends)
    mask[first, second, third] = True
    mask[first, second.start, _part(shape[2], 0.2, 0.65)] = True
    mask[_part(shape[0], 0.05, 0.4), second.start, third.start] = True
    return mask


def _part(count: int, low: float, high: float) -> slice:
    start = int(low * count)
    return slice(start, max(start + 1, int(high * count)))
