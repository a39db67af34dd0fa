"""One frame of a DICOM file as an `Image`: values, window, colours, place; knows no series."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgesam.errors import ImageError
from edgesam.formats.dicom.element import text
from edgesam.formats.dicom.header import Header, damaged, frame_count
from edgesam.formats.dicom.lut import apply_modality, apply_palette, default_voi
from edgesam.formats.dicom.pixels import decode
from edgesam.formats.dicom.place import place_of
from edgesam.image import Image
from edgesam.origin import Origin, Part

if TYPE_CHECKING:
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
# What pydicom hands out as RGB, and RGB itself: PS3.3 C.7.6.3.1.2.
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

_CODE = re.compile("[A-Z0-9_]{1,10}")


def image_of(part: Part, header: Header) -> Image:
    """The frame with its place and origin; to be called inside ``quiet("pydicom")``.

    Args:
        part: the file and the frame.
        header: the file's.

    Raises:
        ImageError: it cannot be decoded.
    """
    picture = values_of(part, header)
    frames = frame_count(part.file, header.dataset)
    place = place_of(header.dataset, part.frame, frames, part.file)
    return replace(picture, place=place, origin=Origin("dicom", (part,)))


def values_of(part: Part, header: Header) -> Image:
    """The same, without place and origin."""
    file, frame, dataset = part.file, part.frame, header.dataset
    try:
        interpretation = str(dataset.get("PhotometricInterpretation", ""))
        bits = int(dataset.BitsAllocated)
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its description of the pixels cannot be read") from None
    modality = modality_of(dataset)
    if interpretation not in (*GREY, *_COLOUR, "PALETTE COLOR"):
        raise ImageError(f"{file}: its photometric interpretation is not supported")
    stored = decode(file, header, frame)
    try:
        if interpretation in _COLOUR:
            return Image(stored, modality=modality)
        if interpretation == "PALETTE COLOR":
            return Image(apply_palette(stored, dataset), modality=modality)
        if bits == 1:
            stored = stored * np.uint8(255)
        pixels = apply_modality(stored, dataset, frame, file)
        voi = default_voi(dataset, frame, pixels.dtype.kind != "u", file)
        return Image(pixels, voi, inverted=interpretation == "MONOCHROME1", modality=modality)
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from None
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its lookup tables or window cannot be read") from None


def modality_of(header: Dataset) -> str | None:
    """DICOM's code for the kind of machine; None if there is none, or it is no code.

    It is shown in lists and messages, so nothing that could be a name gets through.
    """
    try:
        code = text(header, "Modality")
    except Exception:  # not chained: pydicom's messages quote values
        return None
    return code if _CODE.fullmatch(code) else None


def is_mosaic(header: Dataset) -> bool:
    """Siemens' private quirk: the tiles of all slices in one picture, as the image type says."""
    try:
        return "MOSAIC" in text(header, "ImageType").split("\\")
    except Exception:  # not chained: pydicom's messages quote values
        return False
