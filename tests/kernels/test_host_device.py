"""The device that is the host: it keeps the contract, and is strict where a card is lenient."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory

from .host_cuda import why_not
from .host_device import HostDevice

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ADD = """
extern "C" __global__ void add(int* at, int count, int by) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) at[i] += by;
}
"""


def test_a_kernel_between_copies() -> None:
    device: Device = HostDevice()
    stream = device.stream()
    kernel = device.module(ADD, "add").kernel("add")
    memory, values = device.memory(40), np.arange(10, dtype=np.int32)
    device.upload(memory.pointer, values, stream)
    values[:] = 77  # an ordinary array was copied
    kernel.launch(stream, (1, 1, 1), (16, 1, 1), memory.pointer, np.int32(10), np.int32(5))
    found = np.zeros(10, np.int32)
    device.download(found, memory.pointer, stream)
    assert found.tolist() == list(range(5, 15))
    memory.close()
    device.close()


def test_work_is_late_unless_somebody_waits() -> None:
    device = HostDevice()
    first, second = device.stream(), device.stream()
    memory, source, target = device.memory(8), device.pinned(8), device.pinned(8)
    source.bytes[:] = 1
    device.upload(memory.pointer, source, first)
    device.download(target, memory.pointer, second)  # waits for nothing
    second.synchronize()
    assert target.bytes.tolist() == [255] * 8
    second.wait(first.record())
    device.download(target, memory.pointer, second)
    source.bytes[:] = 2  # too early: the upload is yet to run
    second.synchronize()
    assert target.bytes.tolist() == [2] * 8


def test_an_event_that_is_asked_again_and_again_is_done() -> None:
    device = HostDevice()
    stream, memory = device.stream(), device.memory(8)
    begin = stream.record(timed=True)
    device.fill(memory.pointer, 3, 8, stream)
    end = stream.record(timed=True)
    asked = 0
    while not end.done():
        asked += 1
    assert asked == 3
    assert end.seconds_since(begin) >= 0
    with pytest.raises(DeviceError, match="has not come to it"):
        stream.record(timed=True).seconds_since(begin)
    with pytest.raises(DeviceError, match="timed=True"):
        end.seconds_since(stream.record())


def test_a_graph_is_recorded_once_and_runs_often() -> None:
    device = HostDevice()
    stream, memory = device.stream(), device.memory(8)
    kernel = device.module(ADD, "add").kernel("add")
    device.fill(memory.pointer, 0, 8, stream)
    arguments = memory.pointer, np.int32(2), np.int32(4)
    graph = device.capture(stream, lambda: kernel.launch(stream, (1, 1, 1), (8, 1, 1), *arguments))
    for _ in range(3):
        graph.launch(stream)
    found = np.zeros(2, np.int32)
    device.download(found, memory.pointer, stream)
    assert found.tolist() == [12, 12]
    assert device.launches == ["add"] * 3
    graph.close()
    with pytest.raises(DeviceError, match="closed"):
        graph.launch(stream)


def test_what_a_graph_cannot_record() -> None:
    device = HostDevice()
    stream, memory, event = device.stream(), device.memory(8), device.stream().record()
    for work in [
        lambda: device.memory(8),
        stream.synchronize,
        event.synchronize,
        stream.record,
        lambda: stream.wait(event),
        lambda: device.upload(memory.pointer, np.zeros(8, np.uint8), stream),
    ]:
        with pytest.raises(DeviceError, match="cannot be captured"):
            device.capture(stream, work)
    device.fill(memory.pointer, 0, 8, stream)  # no longer recorded
    found = np.ones(8, np.uint8)
    device.download(found, memory.pointer, stream)
    assert not found.any()


def test_misuse_of_memory_is_an_error() -> None:
    device = HostDevice(capacity=1000)
    stream, memory = device.stream(), device.memory(8)
    kernel = device.module(ADD, "add").kernel("add")
    with pytest.raises(DeviceOutOfMemory, match="992 free"):
        device.memory(993)
    device.fill(memory.pointer, 0, 9, stream)
    with pytest.raises(DeviceError, match="9 bytes at"):
        stream.synchronize()
    kernel.launch(stream, (1, 1, 1), (4, 1, 1), memory.pointer, np.int32(3), np.int32(1))
    with pytest.raises(DeviceError, match="wrote beside an allocation of 8 bytes"):
        stream.synchronize()
    other = device.memory(8)
    kernel.launch(stream, (1, 1, 1), (4, 1, 1), other.pointer, np.int32(2), np.int32(1))
    other.close()
    with pytest.raises(DeviceError, match="in no open memory"):
        stream.synchronize()
    with pytest.raises(DeviceError, match="still open"):
        device.close()


def test_part_of_pinned_bytes_is_pinned() -> None:
    device = HostDevice()
    stream, memory, pinned = device.stream(), device.memory(4), device.pinned(8)
    part = pinned.bytes[2:6]
    device.upload(memory.pointer, part, stream)
    part[:] = 9  # it was not copied
    device.capture(stream, lambda: device.download(part, memory.pointer, stream))
    found = np.zeros(4, np.uint8)
    device.download(found, memory.pointer, stream)
    assert found.tolist() == [9] * 4


def test_a_lent_array_is_memory_of_the_device() -> None:
    device = HostDevice()
    stream, frame, memory = device.stream(), np.arange(4, dtype=np.int32), device.memory(16)
    device.copy(memory.pointer, device.lend(frame), 16, stream)
    found = np.zeros(4, np.int32)
    device.download(found, memory.pointer, stream)
    assert found.tolist() == [0, 1, 2, 3]


def test_wrong_sources_and_calls_are_the_devices_errors() -> None:
    device = HostDevice()
    with pytest.raises(DeviceError, match=r"add does not compile: .*error"):
        device.module(ADD.replace("int by", "nonsense by"), "add")
    kernel = device.module(ADD, "add").kernel("add")
    with pytest.raises(DeviceError, match=r"add takes \(p, i4, i4\), not \(p, i4, f4\)"):
        kernel.launch(device.stream(), (1, 1, 1), (1, 1, 1), 0, np.int32(1), np.float32(1))
