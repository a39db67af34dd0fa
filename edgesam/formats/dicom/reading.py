"""Reads one frame of a DICOM object as an `Image`; knows no series, no geometry, no patient.

Messages name the file, the SOP class and the transfer syntax, never another value of the header.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgesam.errors import ImageError
from edgesam.formats.dicom_lut import apply_modality, apply_palette, default_voi
from edgesam.formats.frame import choose_frame
from edgesam.formats.quiet import quiet
from edgesam.image import Image

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# Segmentation, Surface Segmentation and Label Map Segmentation Storage, PS3.4 B.5.
_SEGMENTATIONS = {f"1.2.840.10008.5.1.4.1.1.66.{n}" for n in (4, 5, 7)}
_GREY = ("MONOCHROME1", "MONOCHROME2")
# What pydicom hands out as RGB, and RGB itself: PS3.3 C.7.6.3.1.2.
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file's first 132 bytes are DICOM: with the preamble, or a data set without it."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHL", head[:8])
        # A bare data set opens with file meta (0002,00xx) or identification (0008,00xx) elements,
        # each with an explicit type of two capitals or else a length.
        if group in (0x0002, 0x0008) and element <= 0x0020:
            kind = head[4:6]
            return (kind.isalpha() and kind.isupper()) or length < 1 << 16
    return False


def read_dicom(path: Path, *, frame: int | None = None) -> Image:
    """The picture in a DICOM file, or its ``frame`` (from 0, as numpy counts) if it has several.

    Grey pixels are in the modality's units, with the file's own window or VOI LUT beside them;
    PALETTE COLOR and YBR become RGB. Only the wanted frame is decoded.
    """
    with quiet("pydicom"):
        header = _header(path)
        try:
            index = choose_frame(frame, int(header.get("NumberOfFrames") or 1), path)
            interpretation = str(header.get("PhotometricInterpretation", ""))
            bits = int(header.BitsAllocated)
            modality = str(header.get("Modality") or "") or None
        except (AttributeError, TypeError, ValueError):
            raise _damaged(path, "its description of the pixels cannot be read") from None
        if interpretation not in (*_GREY, *_COLOUR, "PALETTE COLOR"):
            raise ImageError(f"{path}: its photometric interpretation is not supported")
        stored = _decode(path, header, index)
        try:
            if interpretation in _COLOUR:
                return Image(stored, modality=modality)
            if interpretation == "PALETTE COLOR":
                return Image(apply_palette(stored, header), modality=modality)
            if bits == 1:
                stored = stored * np.uint8(255)
            pixels = apply_modality(stored, header, index)
            voi = default_voi(header, index, pixels)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from None
        except Exception:  # not chained: pydicom's messages quote values
            raise _damaged(path, "its lookup tables or window cannot be read") from None
    return Image(pixels, voi, inverted=interpretation == "MONOCHROME1", modality=modality)


def _header(path: Path) -> Dataset:
    """Everything before the pixels of an object that has some."""
    from pydicom import dcmread
    from pydicom.uid import UID

    try:
        header = dcmread(path, stop_before_pixels=True, force=True)
        kind = UID(str(header.get("SOPClassUID", "")))
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        segmentation = kind in _SEGMENTATIONS or header.get("Modality") == "SEG"
    except Exception:  # not chained: pydicom's messages quote values
        raise _damaged(path, "its header cannot be read") from None
    if segmentation:
        raise ImageError(
            f"{path}: is a DICOM segmentation (SEG), not an image; give the images it was drawn on"
        )
    if "Rows" not in header and "Columns" not in header:
        name = kind.name if kind.is_valid else "of an unknown class"
        raise ImageError(f"{path}: this DICOM object ({name}) holds no image")
    if rows < 1 or columns < 1:
        raise ImageError(f"{path}: the image has no pixels: {rows} rows of {columns}")
    return header


def _decode(path: Path, header: Dataset, index: int) -> npt.NDArray[Any]:
    """The stored values of one frame: (H, W) or (H, W, 3) RGB."""
    from pydicom import dcmread
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import (
        UID,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
    )

    try:
        declared = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
        syntax = declared or _native_syntax(header)
        eight_bit = header.get("BitsStored") == 8
    except Exception:  # not chained: pydicom's messages quote values
        raise _damaged(path, "its description of the pixels cannot be read") from None
    if not syntax.is_valid:
        raise _damaged(path, "its transfer syntax is not a UID")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(
            f"{path}: its pixels are in {syntax.name}, which edgesam does not read; "
            "convert it to an uncompressed or JPEG 2000 file"
        ) from None
    twelve_bit = syntax == JPEGExtended12Bit and not eight_bit  # not gdcm's either
    wants_codecs = not twelve_bit and any("gdcm" in need for need in decoder.missing_dependencies)
    if not decoder.is_available:
        raise _undecodable(path, syntax, wants_codecs)
    # Lossy JPEG differs a little between decoders: the one that is always installed decides.
    plugin = "pillow" if syntax == JPEGBaseline8Bit else ""
    streamable = declared and syntax != DeflatedExplicitVRLittleEndian
    try:
        if streamable and header.original_encoding == (
            syntax.is_implicit_VR,
            syntax.is_little_endian,
        ):
            stored = pixel_array(path, index=index, decoding_plugin=plugin)
            return _native_order(stored)
        whole = dcmread(path, force=True)
        whole.file_meta.TransferSyntaxUID = syntax
        return _native_order(pixel_array(whole, index=index, decoding_plugin=plugin))
    except MemoryError:
        raise ImageError(f"{path}: does not fit into memory") from None
    except Exception:  # decoders raise nearly anything on damaged pixels, and quote values
        if (wants_codecs and not plugin) or twelve_bit:
            raise _undecodable(path, syntax, wants_codecs) from None
        raise _damaged(
            path, f"its pixels ({syntax.name}) cannot be decoded or are missing"
        ) from None


def _native_order(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _native_syntax(header: Dataset) -> UID:
    """The uncompressed syntax that a header without a declared one was read in."""
    from pydicom.uid import (
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _undecodable(path: Path, syntax: UID, wants_codecs: bool) -> ImageError:
    if wants_codecs:
        return ImageError(
            f"{path}: no installed decoder reads its pixels ({syntax.name}), or they are damaged; "
            'try: pip install "edgesam[codecs]"'
        )
    return ImageError(
        f"{path}: edgesam has no decoder for its pixels ({syntax.name}), or they are damaged; "
        "convert it to an uncompressed or JPEG 2000 file"
    )


def _damaged(path: Path, what: str) -> ImageError:
    return ImageError(f"{path}: damaged or not DICOM: {what}; get a fresh copy")
