"""What a NRRD header says of its voxels: size, type, place; reads no voxels and no file.

Fields are those of teem.sourceforge.net/nrrd/format.html, as pynrrd parses them. Errors do not
name the file.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.affine import checked_affine
from edgesam.errors import VolumeError

Header = dict[str, Any]

TEXT = ("ascii", "text", "txt")
"""Encodings that have no byte order."""
GEOMETRY = (
    *("space", "space dimension", "space directions", "space origin", "space units"),
    *("spacings", "units"),
)
"""All fields that say where voxels are."""

_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, "
        "int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
# Millimetres to the left, the back and the head that go one along each axis of the space.
_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
}
_IN_SPACE = ("domain", "space", "none", "???")
# Units of length in millimetres; an empty one is unknown, and taken as mm.
_MILLIMETRES = {
    **dict.fromkeys(("", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns"), 0.001),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 0.001),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-6),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}

_log = logging.getLogger("edgesam")


def array_shape(header: Header) -> tuple[int, int, int]:
    """Of the array, the fastest axis first.

    Raises:
        VolumeError: another number of axes than three, one that is not in space, or an array that
            cannot be.
    """
    shape = tuple(int(size) for size in header["sizes"])
    if int(header["dimension"]) != len(shape) or min(shape, default=0) < 1:
        raise VolumeError(f"damaged: its header promises an array of {shape}; get a fresh copy")
    if len(shape) != 3:
        raise VolumeError(
            f"has {len(shape)} axes, {shape}, and a volume has three; save one channel, time or "
            "layer as a file of its own"
        )
    for kind in header.get("kinds", ()):
        if str(kind).lower() not in _IN_SPACE:
            raise VolumeError(f"one of its axes {shape} is not in space but colours, time or such")
    first, second, third = shape
    return first, second, third


def stored_dtype(header: Header) -> np.dtype[Any]:
    """Of the values as the file has them, in its byte order.

    Raises:
        VolumeError: blocks of bytes, or a type or byte order that is not there.
    """
    name = " ".join(str(header["type"]).split())
    if name not in _TYPES:
        raise VolumeError("its voxels are no integers or floats; convert it")
    code = _TYPES[name]
    if code.endswith("1") or str(header["encoding"]).lower() in TEXT:
        return np.dtype(code)
    order = {"little": "<", "big": ">"}.get(str(header.get("endian")).lower())
    if order is None:
        raise VolumeError("damaged: its header gives no byte order; get a fresh copy")
    return np.dtype(order + code)


def lps_affine(header: Header) -> tuple[NDArray[np.float64], str | None]:
    """Index -> LPS millimetres, and whether of ``space directions`` or ``spacings``.

    Without an anatomical space the orientation is a guess (LPS); without spacings too the affine
    counts voxels, and None is returned with it.

    Raises:
        VolumeError: an axis that is not in space, a unit of length that is not known, or an affine
            that cannot be inverted.
    """
    affine = np.eye(4)
    if "space directions" not in header:
        spacings = np.abs(np.asarray(header.get("spacings", np.nan), np.float64))
        known = spacings.shape == (3,) and bool(np.isfinite(spacings).all() and spacings.all())
        if known:
            affine[:3, :3] = np.diag(spacings * _scales(header.get("units")))
        _log.warning(
            "the file says no orientation%s: it is taken as LPS, and left and right may be swapped",
            "" if known else " and no spacing",
        )
        return checked_affine(affine), "spacings" if known else None
    nowhere = [np.nan] * 3
    # pynrrd has NaN for an axis that is not in space, or None where it was told so.
    rows = [nowhere if row is None else row for row in header["space directions"]]
    directions = np.array(rows, np.float64)
    if directions.shape != (3, 3) or np.isnan(directions).any():
        raise VolumeError("its three axes are not in one space of three; save it as a volume")
    affine[:3, :3] = directions.T
    affine[:3, 3] = header.get("space origin", 0.0)
    affine[:3] *= _scales(header.get("space units"))[:, np.newaxis]
    signs = _SPACES.get(str(header.get("space", "")).lower())
    if signs is None:
        _log.warning(
            "the file's space is not the patient's: it is taken as LPS, and left and right may be "
            "swapped"
        )
        signs = (1.0, 1.0, 1.0)
    return checked_affine(np.diag([*signs, 1.0]) @ affine), "space directions"


def _scales(units: Any) -> NDArray[np.float64]:
    """(3,) millimetres in each of three units; those that are not given are taken as mm.

    Raises:
        VolumeError: a unit that is not known, or another number of them than three.
    """
    given = [str(unit).strip().lower() for unit in units or ("", "", "")]
    if not all(unit in _MILLIMETRES for unit in given):
        raise VolumeError(
            "its unit of length is none of m, cm, mm, µm, nm and inch; save it with one of these"
        )
    if len(given) != 3:
        raise VolumeError(
            f"damaged: its header gives {len(given)} units for three axes; get a fresh copy"
        )
    return np.array([_MILLIMETRES[unit] for unit in given])
