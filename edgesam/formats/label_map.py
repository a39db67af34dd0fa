"""Label maps as voxel formats have them: their integers, axes and bytes; knows no header."""

from __future__ import annotations

import gzip
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import VolumeError
from edgesam.labels import Labels
from edgesam.volume import Volume


def in_file_order(labels: Labels, source: Volume) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The labels in uint8, or little-endian uint16 if they need it, and their affine (LPS).

    Volumes of DICOM slices are (slice, row, column) arrays. They are written as (column, row,
    slice), nothing flipped, as other programs do and expect; other volumes keep their axes.

    Raises:
        VolumeError: the labels are not of the volume's size.
    """
    if labels.array.shape != source.shape:
        raise VolumeError(f"the labels are {labels.array.shape}, the volume is {source.shape}")
    array = labels.array.astype("|u1" if int(labels.array.max()) < 256 else "<u2")
    if source.origin is None or source.origin.format != "dicom":
        return array, source.affine
    return array.transpose(2, 1, 0), source.affine[:, [2, 1, 0, 3]]


def packed(data: bytes) -> bytes:
    """Gzipped without a name or a time, so that the same data give the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as stream:
        stream.write(data)
    return buffer.getvalue()
