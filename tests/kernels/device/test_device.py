"""What every device does, whatever stands behind it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory, Kernel

N = 1000
BLOCKS = (8, 1, 1), (128, 1, 1)


@pytest.fixture
def add(device: Device, add_source: str) -> Kernel:
    return device.module(add_source, "adding").kernel("add")


def test_it_says_what_it_is(device: Device) -> None:
    assert device.name
    assert device.ordinal == 0
    assert device.compute_capability >= (5, 0)
    assert float(device.driver) >= 12
    assert device.free_memory() > 0


def test_up_and_down(device: Device) -> None:
    stream = device.stream()
    given = np.arange(N, dtype=np.float32).reshape(10, 100)
    memory = device.memory(given.nbytes)
    assert memory.nbytes == given.nbytes
    device.upload(memory.pointer, given, stream)
    given_then, given[:] = given.copy(), 0  # an ordinary array was copied
    found = np.empty_like(given)
    device.download(found, memory.pointer, stream)
    np.testing.assert_array_equal(found, given_then)
    memory.close()


def test_through_page_locked_memory(device: Device, add: Kernel) -> None:
    stream = device.stream()
    here, back = device.pinned(4 * N), device.pinned(4 * N)
    memory = device.memory(4 * N)
    here.bytes.view(np.float32)[:] = np.arange(N)
    device.upload(memory.pointer, here, stream)
    add.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(0.5))
    device.download(back, memory.pointer, stream)
    stream.synchronize()
    np.testing.assert_array_equal(
        back.bytes.view(np.float32), np.arange(N, dtype=np.float32) + np.float32(0.5)
    )
    for part in (here, back):
        part.close()
    memory.close()


def test_a_part_of_page_locked_memory(device: Device) -> None:
    stream = device.stream()
    here = device.pinned(N)
    memory = device.memory(100)
    here.bytes[:] = np.arange(N) % 251
    device.upload(memory.pointer, here.bytes[100:200], stream)
    stream.synchronize()
    device.download(here.bytes[300:400], memory.pointer, stream)
    stream.synchronize()
    np.testing.assert_array_equal(here.bytes[300:400], here.bytes[100:200])
    here.close()
    memory.close()


def test_copies_and_fills_of_the_device(device: Device) -> None:
    stream = device.stream()
    one, other = device.memory(N), device.memory(N)
    device.fill(one.pointer, 7, N, stream)
    device.fill(one.pointer + 10, 9, 5, stream)
    device.copy(other.pointer, one.pointer, N, stream)
    found = np.empty(N, np.uint8)
    device.download(found, other.pointer, stream)
    wanted = np.full(N, 7, np.uint8)
    wanted[10:15] = 9
    np.testing.assert_array_equal(found, wanted)
    one.close()
    other.close()


def test_streams_wait_for_each_other(device: Device, add: Kernel) -> None:
    first, second = device.stream(), device.stream()
    assert first.handle != second.handle
    memory = device.memory(4 * N)
    device.fill(memory.pointer, 0, 4 * N, first)
    add.launch(first, *BLOCKS, memory.pointer, np.int32(N), np.float32(1))
    event = first.record()
    second.wait(event)
    add.launch(second, *BLOCKS, memory.pointer, np.int32(N), np.float32(2))
    found = np.empty(N, np.float32)
    device.download(found, memory.pointer, second)
    assert np.all(found == 3)
    assert event.done()
    event.synchronize()
    memory.close()


def test_time_between_events(device: Device, add: Kernel) -> None:
    stream = device.stream()
    memory = device.memory(4 * N)
    before = stream.record(timed=True)
    add.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(1))
    after = stream.record(timed=True)
    after.synchronize()
    before.synchronize()
    assert after.seconds_since(before) > 0
    with pytest.raises(DeviceError, match="timed=True"):
        after.seconds_since(stream.record())
    memory.close()


def test_a_graph(device: Device, add: Kernel) -> None:
    stream = device.stream()
    memory = device.memory(4 * N)
    back = device.pinned(4 * N)

    def work() -> None:
        add.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(1))
        device.download(back, memory.pointer, stream)

    if not device.can_capture:
        with pytest.raises(DeviceError, match="graphs"):
            device.capture(stream, work)
    else:
        device.fill(memory.pointer, 0, 4 * N, stream)
        graph = device.capture(stream, work)
        for _ in range(3):
            graph.launch(stream)
        stream.synchronize()
        assert np.all(back.bytes.view(np.float32) == 3)
        graph.close()
    back.close()
    memory.close()


def test_what_must_not_be_in_a_graph(device: Device) -> None:
    if not device.can_capture:
        pytest.skip("this device has no graphs")
    stream = device.stream()
    memory = device.memory(N)
    with pytest.raises(DeviceError, match="page-locked"):
        device.capture(stream, lambda: device.upload(memory.pointer, np.zeros(N, "u1"), stream))
    device.fill(memory.pointer, 1, N, stream)  # the stream is as it was
    stream.synchronize()
    memory.close()


def test_more_than_there_is(device: Device) -> None:
    with pytest.raises(DeviceOutOfMemory, match=r"has not got 1[\d.]+ "):
        device.memory(1 << 60)
    with pytest.raises(MemoryError):
        device.memory(1 << 60)
    with pytest.raises(ValueError, match="0 bytes"):
        device.memory(0)


def test_kernels_that_are_not_there(device: Device, add_source: str) -> None:
    with pytest.raises(DeviceError):
        device.module(add_source, "adding").kernel("subtract")


def test_arrays_that_cannot_be_copied(device: Device) -> None:
    stream = device.stream()
    memory = device.memory(N)
    with pytest.raises(ValueError, match="C-contiguous"):
        device.upload(memory.pointer, np.zeros((10, 10), "u1")[:, ::2], stream)
    fixed = np.zeros(10, "u1")
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        device.download(fixed, memory.pointer, stream)
    device.upload(memory.pointer, np.zeros((0, 3), "f4"), stream)
    memory.close()


def test_arguments_without_a_type(device: Device, add: Kernel) -> None:
    with pytest.raises(TypeError, match="argument 2"):
        add.launch(device.stream(), *BLOCKS, 4096, np.int32(1), 0.5)  # type: ignore[arg-type]


def test_much_shared_memory(device: Device, add: Kernel) -> None:
    stream = device.stream()
    memory = device.memory(4 * N)
    for shared in (0, 40_000, 60_000, 50_000):
        add.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(1), shared=shared)
    stream.synchronize()
    memory.close()


def test_somebody_elses_stream(device: Device) -> None:
    stream = device.stream()
    default = device.foreign_stream(0)
    assert default.handle in (0, 1)
    stream.wait(default.record())
    default.wait(stream.record())
    default.synchronize()
    stream.synchronize()


def test_many_threads(device: Device, add_source: str) -> None:
    failures: list[BaseException] = []

    def work(amount: float) -> None:
        try:
            stream = device.stream()
            kernel = device.module(add_source, "adding").kernel("add")
            memory = device.memory(4 * N)
            device.fill(memory.pointer, 0, 4 * N, stream)
            for _ in range(20):
                kernel.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(amount))
            found = np.empty(N, np.float32)
            device.download(found, memory.pointer, stream)
            assert np.all(found == 20 * amount)
            stream.record().synchronize()
            memory.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(float(one),)) for one in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_memory_goes_with_its_last_reference(device: Device) -> None:
    memory = device.memory(N)
    del memory
    pinned = device.pinned(N)
    part = pinned.bytes[5:10]
    del pinned
    part[:] = 3  # what is looked at keeps it
    assert part.sum() == 15


def test_its_context_may_be_current(device: Device) -> None:
    """For libraries that take the thread's; calls inside go on as before, on any thread."""
    stream = device.stream()
    with device.current(), device.current():
        memory = device.memory(4)
        device.fill(memory.pointer, 1, 4, stream)
        found = np.empty(4, np.uint8)
        worker = threading.Thread(target=device.download, args=(found, memory.pointer, stream))
        worker.start()
        worker.join()
        memory.close()
    assert found.tolist() == [1, 1, 1, 1]
