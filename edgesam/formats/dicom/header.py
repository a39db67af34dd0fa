"""Opens a DICOM file up to its pixels, and says why one is no picture; decodes nothing.

Messages name the file, the SOP class and the transfer syntax, never another value of the header.
Everything here that reads must stand inside ``quiet("pydicom")``.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from edgesam.errors import ImageError
from edgesam.formats.dicom.element import text, whole
from edgesam.origin import File

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# Segmentation, Surface Segmentation and Label Map Segmentation Storage, PS3.4 B.5.
_SEGMENTATIONS = {f"1.2.840.10008.5.1.4.1.1.66.{n}" for n in (4, 5, 7)}
_ROWS = 0x00280010
_DESCRIPTION = 0x0028  # of the pixels: the last group needed of a file of one frame
_BRIEF = 1 << 16  # bytes that most headers fit into: reading from memory is faster
HEAD = 132
"""Bytes that :func:`looks_like_dicom` looks at."""
_MOST_FRAMES = 1_000_000  # a file that claims more is damaged


@dataclass(frozen=True, eq=False)
class Header:
    """What stands before the pixels of a file.

    Attributes:
        dataset: all of it.
        pixels_at: where the element with the pixels begins, in bytes; of a deflated file
            meaningless.
    """

    dataset: Dataset
    pixels_at: int


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file's first :data:`HEAD` bytes are DICOM: the preamble, or a data set without."""
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


def header_of(file: File, stream: BinaryIO) -> Dataset:
    """Everything before the pixels.

    Raises:
        ImageError: it cannot be read.
    """
    from pydicom import dcmread

    try:
        return dcmread(stream, stop_before_pixels=True, force=True)
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its header cannot be read") from None


def brief_header(file: File, stream: BinaryIO, tags: Sequence[int]) -> Dataset:
    """The elements ``tags``, read no further than they reach in a file of one frame.

    Raises:
        ImageError: it cannot be read.
    """
    from pydicom.filereader import read_partial

    reached = False

    def behind(tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG001
        nonlocal reached
        reached = tag >> 16 > _DESCRIPTION  # comparing a whole tag of pydicom's is slow
        return reached

    with contextlib.suppress(Exception):  # then the whole header says what is wrong
        head = io.BytesIO(stream.read(_BRIEF))
        header = read_partial(head, behind, force=True, specific_tags=list(tags))
        # Files of several frames say more in the groups behind; others may be out of order.
        if reached and _ROWS in header and (whole(header, "NumberOfFrames") or 1) == 1:
            return header
    stream.seek(0)
    return header_of(file, stream)


def image_header(file: File) -> Header:
    """What stands before the pixels of an object that has some.

    Raises:
        ImageError: it cannot be read, or is no image.
    """
    try:
        with file.open() as stream:
            header = Header(header_of(file, stream), stream.tell())
    except ImageError:
        raise
    except Exception:
        raise damaged(file, "it cannot be opened") from None
    if reason := no_image(file, header.dataset):
        raise ImageError(f"{file}: {reason}")
    return header


def no_image(file: File, header: Dataset) -> str | None:
    """Why an object is no image; None if it is one.

    Raises:
        ImageError: its description cannot be read.
    """
    from pydicom.uid import UID

    try:
        kind = text(header, "SOPClassUID")
        rows, columns = whole(header, "Rows"), whole(header, "Columns")
        segmentation = kind in _SEGMENTATIONS or text(header, "Modality") == "SEG"
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its header cannot be read") from None
    if segmentation:
        return "is a DICOM segmentation (SEG), not an image; give the images it was drawn on"
    if "Rows" not in header and "Columns" not in header:
        name = UID(kind).name if UID(kind).is_valid else "of an unknown class"
        return f"this DICOM object ({name}) holds no image"
    if not rows or not columns or rows < 0 or columns < 0:
        return f"the image has no pixels: {rows or 0} rows of {columns or 0}"
    return None


def frame_count(file: File, header: Dataset) -> int:
    """How many frames a file says it has.

    Raises:
        ImageError: it says no number, or an absurd one.
    """
    try:
        count = whole(header, "NumberOfFrames") or 1
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its description of the pixels cannot be read") from None
    if not 1 <= count <= _MOST_FRAMES:
        raise damaged(file, "its number of frames cannot be right")
    return count


def transfer_syntax(file: File, header: Dataset) -> tuple[UID, bool]:
    """How the pixels are encoded, and whether the file says so itself.

    Raises:
        ImageError: it is not a UID.
    """
    from pydicom.uid import UID

    try:
        declared = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
        syntax = declared or _native_syntax(header)
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its description of the pixels cannot be read") from None
    if not syntax.is_valid:
        raise damaged(file, "its transfer syntax is not a UID")
    return syntax, bool(declared)


def damaged(file: File, what: str) -> ImageError:
    """The error for a file that a fresh copy may mend."""
    return ImageError(f"{file}: damaged or not DICOM: {what}; get a fresh copy")


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
