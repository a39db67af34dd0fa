"""What is in a DLPack capsule, read without a C extension. Knows no device.

Structures as in dlpack.h, version 0 (``dltensor``) and 1 (``dltensor_versioned``).
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

CPU, CUDA, CUDA_MANAGED = 1, 2, 13
READ_ONLY = 1
KINDS = {0: "i", 1: "u", 2: "f"}
BOOL = 6

# Capsules keep a pointer to their name: these live as long as the module.
_NAMES = {b"dltensor": b"used_dltensor", b"dltensor_versioned": b"used_dltensor_versioned"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


class Exported:
    """Keeps what an exporter lends; its deleter is called once, with the last reference."""

    def __init__(self, managed: int, deleter: int | None) -> None:
        if deleter:
            weakref.finalize(self, _give_back, managed, deleter)


@dataclass(frozen=True)
class Unpacked:
    """A tensor that was lent.

    Attributes:
        pointer: its first element.
        shape, strides: of its axes; strides in bytes.
        dtype: of its elements.
        device: DLPack's kind of device and its number.
        readonly: it must not be written to.
        owner: to be kept as long as the tensor is used.
    """

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    device: tuple[int, int]
    readonly: bool
    owner: Exported


def unpack(capsule: object) -> Unpacked:
    """Take the tensor out of a capsule, which is used up by that. One that is refused is left as
    it is: it gives back what it holds itself.

    Raises:
        ValueError: it is used, of an unknown version, or its elements are no plain numbers.
    """
    name = next((one for one in _NAMES if _python().PyCapsule_IsValid(capsule, one)), None)
    if name is None:
        raise ValueError(f"{capsule!r} is no DLPack capsule that can still be taken")
    address = int(_python().PyCapsule_GetPointer(capsule, name))
    managed: _Managed | _Versioned
    if name == b"dltensor":
        managed, readonly = _Managed.from_address(address), False
    else:
        managed = _Versioned.from_address(address)
        if managed.major != 1:
            raise ValueError(f"DLPack {managed.major}.{managed.minor} is not known: 1.x is")
        readonly = bool(managed.flags & READ_ONLY)
    tensor = managed.tensor
    dtype = _dtype(tensor.code, tensor.bits, tensor.lanes)
    shape = tuple(int(tensor.shape[axis]) for axis in range(tensor.ndim))
    if tensor.strides:
        steps = tuple(int(tensor.strides[axis]) * dtype.itemsize for axis in range(tensor.ndim))
    else:
        steps = compact(shape, dtype.itemsize)
    _python().PyCapsule_SetName(capsule, _NAMES[name])
    return Unpacked(
        pointer=int(tensor.data or 0) + int(tensor.byte_offset),
        shape=shape,
        strides=steps,
        dtype=dtype,
        device=(int(tensor.device_type), int(tensor.device_id)),
        readonly=readonly,
        owner=Exported(address, managed.deleter),
    )


def compact(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of a C-contiguous array."""
    steps: list[int] = []
    for side in reversed(shape):
        steps.append(itemsize)
        itemsize *= side
    return tuple(reversed(steps))


def _dtype(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    if lanes == 1 and code == BOOL and bits == 8:
        return np.dtype(np.bool_)
    if lanes != 1 or code not in KINDS or bits not in (8, 16, 32, 64) or (code, bits) == (2, 8):
        raise ValueError(
            f"elements of DLPack type (code {code}, {bits} bits, {lanes} lanes) are not known: "
            "give integers, bool, or floats of 16, 32 or 64 bits"
        )
    return np.dtype(f"{KINDS[code]}{bits // 8}")


def _give_back(managed: int, deleter: int) -> None:
    # With the GIL held: a deleter that takes it itself may, one that forgets to needs it.
    ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(deleter)(managed)


def _python() -> Any:
    """Python's own functions on capsules, with their types."""
    api = ctypes.pythonapi
    api.PyCapsule_IsValid.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api.PyCapsule_IsValid.restype = ctypes.c_int
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api.PyCapsule_SetName.restype = ctypes.c_int
    return api
