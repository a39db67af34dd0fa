"""Reading pictures and writing masks, by content and by suffix; knows no model and no volume.

`read` looks at a file's first bytes, not at its name. DICOM and raster pictures are read; what
holds a volume (NIfTI, NRRD) is recognised and refused.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesam.atomic import write_atomic
from edgesam.errors import ImageError
from edgesam.formats.dicom import looks_like_dicom, read_dicom
from edgesam.formats.raster import read_raster
from edgesam.image import Image

# Enough for NIfTI-1's magic at byte 344 and NIfTI-2's header size.
_HEAD = 544


def read(path: str | os.PathLike[str], *, frame: int | None = None) -> Image:
    """The picture in a DICOM, PNG, JPEG, TIFF, BMP, GIF or WebP file.

    Files are decoded one at a time: a call waits while another thread decodes. Python warnings
    that other threads raise meanwhile are not shown, as warning filters belong to the process.

    Args:
        path: one file.
        frame: counted from 0; needed where a file holds several.
    """
    file = Path(path)
    head = _head(file)
    if _is_volume(head):
        raise ImageError(
            f"{file}: is a NIfTI or NRRD volume, and volumes are not read yet; "
            "save a slice as PNG, TIFF or DICOM"
        )
    if looks_like_dicom(head):
        return read_dicom(file, frame=frame)
    return read_raster(file, frame=frame)


def write_mask(path: str | os.PathLike[str], mask: npt.NDArray[Any]) -> None:
    """Writes (H, W) booleans as 0/255, or a label map as it is, to PNG or TIFF by suffix.

    Labels are 0 to 65535 of any integer type: stored in 8 bits if they fit, else in 16.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff"):
        raise ImageError(f"cannot write {file}: a mask is written as .png, .tif or .tiff")
    if mask.ndim != 2 or mask.size == 0 or mask.dtype.kind not in "biu":
        raise ImageError(
            f"cannot write {file}: a mask must be (height, width) booleans or whole-numbered "
            f"labels; found shape {mask.shape} of {mask.dtype}"
        )
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > 65535:
        raise ImageError(f"cannot write {file}: labels must be 0 to 65535; found {low} to {high}")
    if mask.dtype.kind == "b":
        levels: npt.NDArray[Any] = mask.astype(np.uint8) * np.uint8(255)
    else:
        levels = mask.astype(np.uint8 if high <= 255 else np.uint16)
    if suffix == ".png":
        _write(file, levels, "PNG")
    else:
        _write(file, levels, "TIFF", compression="tiff_adobe_deflate")


def write_picture(path: str | os.PathLike[str], rgb: npt.NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) uint8 to PNG."""
    file = Path(path)
    if file.suffix.lower() != ".png":
        raise ImageError(f"cannot write {file}: a picture is written as .png")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0 or rgb.dtype != np.uint8:
        raise ImageError(
            f"cannot write {file}: a picture must be (height, width, 3) uint8; "
            f"found shape {rgb.shape} of {rgb.dtype}"
        )
    _write(file, rgb, "PNG")


def _write(file: Path, pixels: npt.NDArray[Any], kind: str, **options: Any) -> None:
    from PIL import Image as Pillow

    encoded = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(encoded, kind, **options)
    write_atomic(file, encoded.getvalue(), error=ImageError)


def _head(file: Path) -> bytes:
    """The file's first bytes, unpacked if it is gzipped."""
    if file.is_dir():
        raise ImageError(f"{file}: is a folder; give one file in it")
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        raise ImageError(f"{file}: no such file") from None
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
    if not _is_volume(head):
        raise ImageError(f"{file}: is gzipped; unpack it first")
    return head


def _is_volume(head: bytes) -> bool:
    """NIfTI-1 (single file or header), NIfTI-2, Analyze's sibling header, or NRRD."""
    nifti1 = head[344:348] in (b"n+1\0", b"ni1\0")
    nifti2 = head[4:8] in (b"n+2\0", b"ni2\0")
    return nifti1 or nifti2 or head[:4] == b"NRRD"
