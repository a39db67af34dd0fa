"""Reading pictures, volumes and cines by content; writing masks by suffix. Knows no model.

`read` looks at a file's first bytes, not at its name; of a NIfTI pair's voxels, at its header's.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import overload

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.formats.dicom.dicomdir import is_dicomdir
from edgesam.formats.dicom.reading import looks_like_dicom, read_dicom
from edgesam.formats.dicom.study import read_study
from edgesam.formats.nifti import looks_like_nifti, pair_head, read_nifti
from edgesam.formats.nrrd import looks_like_nrrd, read_nrrd
from edgesam.formats.picture import write_mask, write_picture
from edgesam.formats.raster import read_raster
from edgesam.formats.writing import write
from edgesam.image import Image
from edgesam.origin import File
from edgesam.volume import Volume

__all__ = ["is_study", "read", "write", "write_mask", "write_picture"]

# Enough for NIfTI-1's magic at byte 344 and NIfTI-2's header size.
_HEAD = 544
_ZIP = b"PK\x03\x04"


@overload
def read(path: str | os.PathLike[str], *, frame: int, series: int | str | None = None) -> Image: ...
@overload
def read(
    path: str | os.PathLike[str], *, frame: None = None, series: int | str | None = None
) -> Image | Volume | Cine: ...
def read(
    path: str | os.PathLike[str], *, frame: int | None = None, series: int | str | None = None
) -> Image | Volume | Cine:
    """A picture, a volume or a cine, whichever is there.

    Image: PNG, JPEG, TIFF, BMP, GIF, WebP, a DICOM file of one frame. Volume: a folder, DICOMDIR
    or zip of DICOM slices, an enhanced multi-frame DICOM file, NIfTI, NRRD. Cine: a multi-frame
    file without a place in the patient, as ultrasound, angiography, or a TIFF of several pages.

    Files are decoded one at a time: a call waits while another thread decodes. Python warnings
    that other threads raise meanwhile are not shown, as warning filters belong to the process.

    Args:
        path: a file or a folder.
        frame: of a multi-frame file, from 0: read as a picture by itself.
        series: which one, where a folder, DICOMDIR or zip holds several: its number in the list
            that the error shows, or its SeriesInstanceUID.

    Raises:
        ImageError: the file cannot be read, or there is no such frame or series.
        VolumeError: its slices make no volume; the message says why.
    """
    file = Path(path)
    if is_study(file):
        if frame is not None:
            raise ImageError(
                f"{file}: holds files, not frames; leave the frame out, or give a file"
            )
        return read_study(file, series=series)
    head = _head(file)
    if looks_like_dicom(head):
        return read_dicom(File(file), frame=frame, series=series)
    if series is not None:
        raise ImageError(f"{file}: is one file; series are chosen from a folder, DICOMDIR or zip")
    if looks_like_nifti(head) or looks_like_nrrd(head):
        if frame is not None:
            raise ImageError(f"{file}: is a volume, without frames; take a slice of it")
        return read_nifti(file) if looks_like_nifti(head) else read_nrrd(file)
    return read_raster(file, frame=frame)


def is_study(path: Path) -> bool:
    """Whether several files are meant: a folder, a DICOMDIR or a zip archive.

    Raises:
        ImageError: there is nothing, or it cannot be opened.
    """
    if path.is_dir():
        return True
    head = _head(path)
    return head[:4] == _ZIP or is_dicomdir(head, path)


def _head(file: Path) -> bytes:
    """The file's first bytes, unpacked if it is gzipped; voxels of a NIfTI pair: its header's."""
    if head := pair_head(file):
        return head
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        raise ImageError(f"{file}: no such file or folder") from None
    except OSError as error:
        raise ImageError(f"{file}: cannot be opened: {error.strerror}") from error
    if not head:
        raise ImageError(f"{file}: is empty (0 bytes); get a fresh copy")
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(file) as unpacked:
            head = unpacked.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        raise ImageError(f"{file}: is a damaged gzip file; get a fresh copy") from None
    if not looks_like_nifti(head):
        raise ImageError(f"{file}: is gzipped and not NIfTI; unpack it first")
    return head
