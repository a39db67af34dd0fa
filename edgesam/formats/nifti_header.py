"""What a NIfTI header says of its voxels: size, values, place; reads no voxels and no file.

Fields and codes are those of nifti1.h and nifti2.h (nifti.nimh.nih.gov). NIfTI's world grows to
the right, the front and the head (RAS); ours is DICOM's (LPS). Errors do not name the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.affine import LPS_TO_RAS, checked_affine, to_patient, voxel_size
from edgesam.errors import VolumeError
from edgesam.formats.file_voxels import native

Header = Any  # nibabel's Nifti1Header or Nifti2Header, whose methods have no types

# All that says where voxels are; other fields may name the patient and are never copied.
_GEOMETRY = (
    *("dim", "pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # of xyzt_units; unknown ones are taken as mm
_APART = 0.1  # of a voxel: what a qform may be away from the sform
# And radians: near a half turn, which every LPS array is, a quaternion of 32-bit floats is no
# better, as its first number is the root of what the others leave of 1.
_TURNED = 7e-4

_log = logging.getLogger("edgesam")


def array_shape(header: Header) -> tuple[int, int, int]:
    """Of the array (I, J, K), without further axes of length 1; a picture has one slice.

    Raises:
        VolumeError: sizes that no array has, or another number of axes.
    """
    count = int(header["dim"][0])
    shape = tuple(int(size) for size in header["dim"][1 : 1 + max(0, count)])
    if not 1 <= count <= 7 or min(shape) < 1:
        raise VolumeError(f"damaged: its header promises an array of {shape}; get a fresh copy")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise VolumeError(
            f"has {len(shape)} axes, {shape}: a series or vectors, and a volume has three; "
            "save one of its volumes as a file of its own"
        )
    if len(shape) == 1:
        raise VolumeError(f"has one axis of {shape[0]} values, and a volume has three")
    first, second, third = (*shape, 1)[:3]
    return first, second, third


def stored_dtype(header: Header) -> np.dtype[Any]:
    """Of the values as the file has them, in its byte order.

    Raises:
        VolumeError: complex numbers, colours, single bits or 128-bit floats.
    """
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except Exception:  # a code that nibabel does not know
        dtype = np.dtype("V1")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise VolumeError(
            "its voxels are complex, colours or of a rare type, not integers or floats of up to "
            "64 bits; convert it"
        )
    return dtype


def scaling(
    header: Header, stored: np.dtype[Any]
) -> tuple[np.dtype[Any], Callable[[NDArray[Any]], NDArray[Any]]]:
    """The type of values with slope and intercept applied, and how they come of stored ones."""
    slope, intercept = header.get_slope_inter()  # None for a slope of 0, which means none
    if slope is None or (slope == 1 and intercept == 0):
        return stored.newbyteorder("="), native
    if stored.kind != "f" and slope.is_integer() and intercept.is_integer():
        times, plus, info = int(slope), int(intercept), np.iinfo(stored)
        ends = [times * int(end) + plus for end in (info.min, info.max)]
        fits = [
            np.dtype(kind)
            for kind in (np.int16, np.int32, np.int64)
            if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max
        ]
        if fits:
            return fits[0], lambda values: (values.astype(np.int64) * times + plus).astype(fits[0])
    exact = stored.kind != "f" and stored.itemsize <= 2
    dtype = np.dtype(np.float32 if exact else np.float64)

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore", invalid="ignore"):  # Image refuses NaN and infinity
            whole: NDArray[Any] = (values.astype(np.float64) * slope + intercept).astype(dtype)
        return whole

    return dtype, scaled


def lps_affine(
    original: Header, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float64], str | None]:
    """Index -> LPS millimetres, and whether of ``sform``, ``qform`` or ``pixdim``.

    The sform goes before the qform. Where neither is coded the orientation is a guess, nibabel's:
    the first axis to the left, the middle of the array at the origin. None if spacing is unknown
    too: the affine then counts voxels.

    Raises:
        VolumeError: an affine that cannot be inverted, or a quaternion that is no rotation.
    """
    header = original.copy()
    # Signs that mean nothing: of sizes, and of a qfac other than -1, which stands for 1.
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    if header["dim"][0] == 2 and not header["pixdim"][3] > 0:
        header["pixdim"][3] = 1  # a picture has no third size
    scale = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    to_lps = LPS_TO_RAS @ np.diag([scale, scale, scale, 1.0])
    sform = to_lps @ header.get_sform() if header["sform_code"] else None
    try:
        qform = to_lps @ header.get_qform() if header["qform_code"] else None
    except Exception:  # not chained: nibabel's words would say less
        if sform is None:
            raise VolumeError("its qform is no rotation; set a right one") from None
        _log.warning("the file's qform is no rotation; its sform is used")
        qform = None
    if sform is not None:
        affine = checked_affine(sform)
        if qform is not None:
            _compare(affine, qform, shape)
        return affine, "sform"
    if qform is not None:
        return checked_affine(qform), "qform"
    sizes = header["pixdim"][1:4]
    known = bool(np.isfinite(sizes).all() and (sizes > 0).all())
    _log.warning(
        "the file says no orientation (its sform and qform codes are 0)%s: it is taken as Analyze "
        "files lie, and left and right may be swapped",
        "" if known else " and no spacing",
    )
    if known:
        return checked_affine(to_lps @ header.get_base_affine()), "pixdim"
    header["pixdim"][1:4] = 1
    return checked_affine(LPS_TO_RAS @ header.get_base_affine()), None


def _compare(
    sform: NDArray[np.float64], qform: NDArray[np.float64], shape: tuple[int, ...]
) -> None:
    apart = _apart(sform, qform, shape)
    extent = float(np.dot(voxel_size(sform), shape))
    if not apart <= _APART * min(voxel_size(sform)) + _TURNED * extent:  # a NaN is apart too
        _log.warning("the file's sform and qform differ by up to %.3g mm; the sform is used", apart)


def _apart(
    first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    """Millimetres between the corners of an array in two places, the most of them."""
    corners = list(product(*((0, size - 1) for size in shape)))
    moved = to_patient(first, corners) - to_patient(second, corners)
    return float(np.linalg.norm(moved, axis=1).max())


def copy_place(header: Header, kept: Header) -> None:
    """Gives ``header`` the axes, sizes, units, codes and both matrices of another, as they are."""
    for field in _GEOMETRY:
        header[field] = kept[field]


def set_place(
    header: Header, shape: tuple[int, ...], affine: NDArray[np.float64] | None, code: int
) -> None:
    """Writes where voxels are, the affine being from LPS; where it is None, no codes and no sizes.

    The default of a size is 1, which reads as known: it becomes 0. nifti1.h wants sizes above 0;
    nibabel and ITK open a 0 as 1.

    Some programs read only the qform. It is set where it says the same, to a tenth of a voxel:
    not for axes that are not at right angles.
    """
    header.set_data_shape(shape)
    if affine is None:
        header["pixdim"][1:4] = 0
        return
    ras = LPS_TO_RAS @ affine
    header.set_xyzt_units("mm")
    header.set_sform(ras, code)
    header.set_qform(ras, code)  # and sizes
    if _apart(ras, header.get_qform(), shape) > _APART * min(voxel_size(ras)):
        header["qform_code"] = 0
