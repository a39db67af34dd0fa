"""What a DICOM header says its pixel values mean: modality, VOI, palette; decodes no pixels.

Enhanced multi-frame objects keep these in functional groups, per frame or shared by all; others
at the top of the header. A functional group wins where there is one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgesam.errors import ImageError
from edgesam.formats.dicom.element import decimals, whole
from edgesam.image import LookupTable
from edgesam.origin import File
from edgesam.window import Window, WindowFunction

if TYPE_CHECKING:
    from pydicom import Dataset

_SHARED, _OWN = 0x52009229, 0x52009230  # the sequences of functional groups

# PS3.3 C.11.2.1.3; an empty or absent value means LINEAR.
_FUNCTIONS: dict[str, WindowFunction] = {
    "": "linear",
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear_exact",
    "SIGMOID": "sigmoid",
}

_log = logging.getLogger("edgesam")


def value_type(header: Dataset, frame: int) -> np.dtype[Any]:
    """What :func:`apply_modality` gives, as far as the header alone tells.

    Float pixels have no representation (PS3.3 C.7.6.24); a header that gives them one misleads.
    """
    bits = max(8, whole(header, "BitsAllocated") or 0)
    representation = whole(header, "PixelRepresentation")
    if representation is None and bits >= 32:
        stored = np.dtype(f"f{bits // 8}")
    else:
        stored = np.dtype(f"{'i' if representation == 1 else 'u'}{bits // 8}")
    group = functional_group(header, frame, "PixelValueTransformationSequence")
    if group.get("ModalityLUTSequence"):
        return np.dtype(np.uint16)
    slope, intercept = _rescale(group)
    if slope == 0 or (slope, intercept) == (1, 0):
        return stored
    ends = (0, 0) if stored.kind == "f" else _stored_range(header)
    return _scaled_type(stored, slope, intercept, ends)


def apply_modality(
    stored: npt.NDArray[Any], header: Dataset, frame: int, file: File
) -> npt.NDArray[Any]:
    """(H, W) stored values in the modality's units (PS3.3 C.11.1), Hounsfield units for CT.

    Whole-numbered slopes and intercepts keep integers, in the smallest of int16, int32 and int64
    that the header's bits need; others give float32, or float64 for more than 16 stored bits.
    """
    group = functional_group(header, frame, "PixelValueTransformationSequence")
    if sequence := group.get("ModalityLUTSequence"):
        signed = whole(header, "PixelRepresentation") == 1
        return _sequence_table(sequence[0], header, signed).look_up(stored)
    if (_number(group, "RescaleSlope") is None) != (_number(group, "RescaleIntercept") is None):
        _log.warning("%s: has only one of rescale slope and intercept: ignored", file)
    slope, intercept = _rescale(group)
    if slope == 0:
        _log.warning("%s: its rescale slope is 0, which would wipe the picture: ignored", file)
        return stored
    if (slope, intercept) == (1, 0):
        return stored
    low, high = _stored_range(header)
    if stored.dtype.kind != "f":
        low, high = min(low, int(stored.min())), max(high, int(stored.max()))
    wanted = _scaled_type(stored.dtype, slope, intercept, (low, high))
    if wanted.kind == "f":
        values = stored.astype(np.float64) * slope + intercept
        return values.astype(wanted, copy=False)
    integers = stored.astype(np.int64) * int(slope) + int(intercept)
    return integers.astype(wanted, copy=False)


def default_voi(
    header: Dataset, frame: int, signed: bool, file: File
) -> Window | LookupTable | None:
    """The file's own first VOI LUT, else its first window, else None; for values in its units.

    A VOI LUT goes first, as in pydicom: a window beside it is an approximation of it.

    Args:
        header: of the file.
        frame: from 0.
        signed: the values in the modality's units are.
        file: named in warnings.
    """
    group = functional_group(header, frame, "FrameVOILUTSequence")
    if sequence := group.get("VOILUTSequence"):
        return _sequence_table(sequence[0], header, signed)
    level, width = _number(group, "WindowCenter"), _number(group, "WindowWidth")
    if level is None or width is None:
        return None
    function = _FUNCTIONS.get(str(group.get("VOILUTFunction") or "").strip().upper())
    if function is None or not width > 0:
        _log.warning("%s: its own window has no width or an unknown function: ignored", file)
        return None
    # Below 1 LINEAR is undefined; files with float or scaled-down pixels mean LINEAR_EXACT.
    return Window(level, width, "linear_exact" if function == "linear" and width < 1 else function)


def apply_palette(stored: npt.NDArray[Any], header: Dataset) -> npt.NDArray[np.uint8]:
    """(H, W) indexes into the header's palette (PS3.3 C.7.6.3.1.5) as (H, W, 3) RGB."""
    if "RedPaletteColorLookupTableData" not in header:
        from pydicom.pixels.processing import apply_color_lut

        segmented = apply_color_lut(stored, header)[:, :, :3]
        return (segmented >> (8 * segmented.dtype.itemsize - 8)).astype(np.uint8)
    signed = whole(header, "PixelRepresentation") == 1
    tables = [
        _table(
            header[f"{colour}PaletteColorLookupTableDescriptor"].value,
            header[f"{colour}PaletteColorLookupTableData"].value,
            header,
            signed,
        )
        for colour in ("Red", "Green", "Blue")
    ]
    # Writers shift 8-bit colours left to 16 bits, so 65280 is full; some declare 16 and do not.
    shift = 8 if max(int(table.values.max()) for table in tables) > 255 else 0
    colours = [table.look_up(stored) >> shift for table in tables]
    return np.stack(colours, axis=2).astype(np.uint8)


def functional_group(header: Dataset, frame: int, name: str) -> Dataset:
    """The item that holds a frame's ``name`` macro (PS3.3 C.7.6.16.2), else the header itself.

    Its own goes before the one that all frames share.
    """
    if _OWN not in header and _SHARED not in header:
        return header
    own = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for group in (*own[frame : frame + 1], *shared[:1]):
        if sequence := group.get(name):
            item: Dataset = sequence[0]
            return item
    return header


def _rescale(group: Dataset) -> tuple[float, float]:
    """Slope and intercept, 1 and 0 where the file does not give both."""
    slope, intercept = _number(group, "RescaleSlope"), _number(group, "RescaleIntercept")
    return (1.0, 0.0) if slope is None or intercept is None else (slope, intercept)


def _scaled_type(
    stored: np.dtype[Any], slope: float, intercept: float, ends: tuple[int, int]
) -> np.dtype[Any]:
    """The type for slope * value + intercept of values from ``ends[0]`` to ``ends[1]``."""
    if stored.kind == "f" or not (slope.is_integer() and intercept.is_integer()):
        exact = stored.itemsize <= 2 and stored.kind != "f"
        return np.dtype(np.float32 if exact else np.float64)
    low, high = sorted(int(slope) * end + int(intercept) for end in ends)
    fits = [t for t in (np.int16, np.int32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max]
    return np.dtype(fits[0] if fits else np.int64)


def _number(group: Dataset, name: str) -> float | None:
    """The first value of a number element; None if it is absent or empty."""
    values = decimals(group, name)
    return values[0] if values else None


def _stored_range(header: Dataset) -> tuple[int, int]:
    bits = int(whole(header, "BitsStored") or 0)
    signed = whole(header, "PixelRepresentation") == 1
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _sequence_table(item: Dataset, header: Dataset, signed: bool) -> LookupTable:
    return _table(item.LUTDescriptor, item.LUTData, header, signed)


def _table(descriptor: Any, data: Any, header: Dataset, signed: bool) -> LookupTable:
    """A table from its descriptor (entries, first value mapped, bits) and its data."""
    count, first, bits = (int(value) for value in descriptor)
    count = count or 1 << 16
    if signed and first >= 1 << 15:
        first -= 1 << 16  # one element type serves both signs, and writers take the unsigned one
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] is not False else ">"
        # Two 8-bit entries may share a word.
        entry = "u1" if len(data) <= count + 1 else f"{order}u2"
        entries = np.frombuffer(data, dtype=entry).astype(np.uint16)
    else:
        entries = (np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF).astype(np.uint16)
    entries = entries[:count]
    if not len(entries):
        raise ImageError("a lookup table in the DICOM header is empty")
    return LookupTable(first, entries, bits)
