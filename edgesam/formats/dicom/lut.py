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
from edgesam.image import LookupTable
from edgesam.window import Window, WindowFunction

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.3 C.11.2.1.3; an empty or absent value means LINEAR.
_FUNCTIONS: dict[str, WindowFunction] = {
    "": "linear",
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear_exact",
    "SIGMOID": "sigmoid",
}

_log = logging.getLogger("edgesam")


def apply_modality(stored: npt.NDArray[Any], header: Dataset, frame: int) -> npt.NDArray[Any]:
    """(H, W) stored values in the modality's units (PS3.3 C.11.1), Hounsfield units for CT.

    Whole-numbered slopes and intercepts keep integers, in the smallest of int16, int32 and int64
    that the header's bits need; others give float32, or float64 for more than 16 stored bits.
    """
    group = _functional_group(header, frame, "PixelValueTransformationSequence")
    if sequence := group.get("ModalityLUTSequence"):
        signed = header.get("PixelRepresentation") == 1
        return _sequence_table(sequence[0], header, signed).look_up(stored)
    slope, intercept = _number(group, "RescaleSlope"), _number(group, "RescaleIntercept")
    if slope is None or intercept is None or (slope == 1 and intercept == 0):
        return stored
    if slope == 0:
        _log.warning("the file's rescale slope is 0, which would wipe the picture: ignored")
        return stored
    if stored.dtype.kind == "f" or not (slope.is_integer() and intercept.is_integer()):
        exact = stored.dtype.itemsize <= 2 and stored.dtype.kind != "f"
        values = stored.astype(np.float64) * slope + intercept
        return values.astype(np.float32) if exact else values
    whole = stored.astype(np.int64) * int(slope) + int(intercept)
    ends = [int(slope) * end + int(intercept) for end in _stored_range(header)]
    low, high = min(*ends, int(whole.min())), max(*ends, int(whole.max()))
    fits = [t for t in (np.int16, np.int32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max]
    return whole.astype(fits[0]) if fits else whole


def default_voi(
    header: Dataset, frame: int, pixels: npt.NDArray[Any]
) -> Window | LookupTable | None:
    """The file's own first VOI LUT, else its first window, else None; for ``pixels`` in its units.

    A VOI LUT goes first, as in pydicom: a window beside it is an approximation of it.
    """
    group = _functional_group(header, frame, "FrameVOILUTSequence")
    if sequence := group.get("VOILUTSequence"):
        return _sequence_table(sequence[0], header, signed=pixels.dtype.kind != "u")
    level, width = _number(group, "WindowCenter"), _number(group, "WindowWidth")
    if level is None or width is None:
        return None
    function = _FUNCTIONS.get(str(group.get("VOILUTFunction") or "").strip().upper())
    if function is None or not width > 0:
        _log.warning("the file's own window has no width or an unknown function: ignored")
        return None
    # Below 1 LINEAR is undefined; files with float or scaled-down pixels mean LINEAR_EXACT.
    return Window(level, width, "linear_exact" if function == "linear" and width < 1 else function)


def apply_palette(stored: npt.NDArray[Any], header: Dataset) -> npt.NDArray[np.uint8]:
    """(H, W) indexes into the header's palette (PS3.3 C.7.6.3.1.5) as (H, W, 3) RGB."""
    if "RedPaletteColorLookupTableData" not in header:
        from pydicom.pixels.processing import apply_color_lut

        segmented = apply_color_lut(stored, header)[:, :, :3]
        return (segmented >> (8 * segmented.dtype.itemsize - 8)).astype(np.uint8)
    signed = header.get("PixelRepresentation") == 1
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


def _functional_group(header: Dataset, frame: int, name: str) -> Dataset:
    """The item that holds a frame's ``name`` macro: its own, the shared one, else the header."""
    own = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for group in (*own[frame : frame + 1], *shared[:1]):
        if sequence := group.get(name):
            item: Dataset = sequence[0]
            return item
    return header


def _number(group: Dataset, name: str) -> float | None:
    """The first value of a number element; None if it is absent or empty."""
    value = group.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, (str, int, float)):
        return float(value)
    return float(value[0]) if len(value) else None


def _stored_range(header: Dataset) -> tuple[int, int]:
    bits = int(header.BitsStored)
    signed = header.get("PixelRepresentation") == 1
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
