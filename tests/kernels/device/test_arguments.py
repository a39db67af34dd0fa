"""Arguments of kernels come with their types, and lie where the driver reads them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from edgesam_kernels.device.arguments import Packed, scalars


def test_pointers_and_numbers() -> None:
    found = scalars([0x7F00_0000_0000, np.int32(-3), np.float16(0.5), np.bool_(True)])
    assert [value.dtype.str for value in found] == ["<u8", "<i4", "<f2", "|b1"]
    assert scalars([2**64 - 1]) == [np.uint64(2**64 - 1)]


@pytest.mark.parametrize("value", [0.5, True, -1, 2**64, np.complex64(1), "4", None])
def test_what_has_no_type(value: object) -> None:
    with pytest.raises(TypeError, match="argument 1 of a kernel is"):
        scalars([0, value])  # type: ignore[list-item]


def test_what_the_driver_reads() -> None:
    packed = Packed([0x1234_5678_9ABC, np.int32(-3), np.float32(0.25), np.uint8(7)])
    places = (ctypes.c_void_p * 4).from_address(packed.pointer)
    kinds = (ctypes.c_uint64, ctypes.c_int32, ctypes.c_float, ctypes.c_uint8)
    found = [kind.from_address(place).value for kind, place in zip(kinds, places, strict=True)]
    assert found == [0x1234_5678_9ABC, -3, 0.25, 7]


def test_none_at_all() -> None:
    assert Packed([]).pointer
