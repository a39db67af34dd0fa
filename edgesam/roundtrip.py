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
_CLOSE = 0.1  # of a voxel


@dataclass(frozen=True)
class Trip:
    """What came back from one format.

    Attributes:
        kind: the format.
        millimetres: between the test mask's centre and that in the file; None if it could not be
            written for this volume.
        close: it is within a tenth of the smallest side of a voxel.
        reason: why it was not written; empty if it was.
    """

    kind: Kind
    millimetres: float | None
    close: bool
    reason: str = ""


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
                yield Trip(kind, None, close=False, reason=str(error))
                continue
            back = float(np.linalg.norm(centroid(path, kind, volume) - there))
            yield Trip(kind, back, close=back < _CLOSE * min(volume.spacing))
            path.unlink()


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
