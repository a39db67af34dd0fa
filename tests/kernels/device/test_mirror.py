"""Bytes on both sides: copied each way, growing, closed."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_kernels.device import DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.mirror import Mirror


def test_up_and_down() -> None:
    device = FakeDevice()
    one, other, stream = Mirror(device), Mirror(device), device.stream()
    one.reserve(1000)
    other.reserve(1000)
    one.host(1000)[:] = np.arange(1000) % 251
    one.upload(1000, stream)
    device.copy(other.pointer, one.pointer, 1000, stream)
    other.download(1000, stream)
    stream.synchronize()
    np.testing.assert_array_equal(other.host(1000), np.arange(1000) % 251)
    one.close()
    other.close()
    device.close()


@pytest.mark.parametrize("nbytes", [1, 3, 65_536, 65_537, 1_000_003])
def test_room_for_a_little_more(nbytes: int) -> None:
    """So that what grows byte by byte does not move each time; little is not used."""
    device = FakeDevice()
    mirror = Mirror(device)
    assert mirror.reserve(nbytes)
    pointer = mirror.pointer
    assert not mirror.reserve(nbytes)
    assert not mirror.reserve(1)
    assert mirror.pointer == pointer
    sizes = {call.detail for call in device.calls if call.name in ("pinned", "memory")}
    (size,) = sizes
    assert isinstance(size, int)
    assert nbytes <= size < max(nbytes + 65_536, nbytes * 5 // 4)
    assert mirror.reserve(size + 1), "it moved"
    assert len(device.leaks()) == 2, "what it was is given back"


def test_no_memory() -> None:
    """Neither side is kept alone, and less may be asked for next."""
    device = FakeDevice(memory=1 << 17)
    mirror = Mirror(device)
    with pytest.raises(DeviceOutOfMemory):
        mirror.reserve(1 << 20)
    assert mirror.reserve(100)
    assert len(device.leaks()) == 2
    mirror.close()
    device.close()
