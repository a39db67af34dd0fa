"""Writes masks and pictures as PNG and TIFF; knows no volume and reads nothing."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesam.atomic import write_atomic
from edgesam.errors import ImageError


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
