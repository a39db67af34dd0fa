"""What only a card shows. The rest of what is asked of one is in test_device.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edgesam_kernels.device import Device, DeviceError
from edgesam_kernels.device.arrays import DeviceArray, adopt
from edgesam_kernels.device.opening import LIBRARIES, open_device, why_not
from edgesam_kernels.device.pool import Pool

N = 1 << 20
BLOCKS = (N // 256, 1, 1), (256, 1, 1)


@pytest.fixture(params=LIBRARIES)
def gpu(request: pytest.FixtureRequest) -> Iterator[Device]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(f"no NVIDIA driver (or its library): {reason}")
    found = open_device(request.param)
    yield found
    found.close()


def test_a_kernel_and_its_time(gpu: Device, add_source: str) -> None:
    stream = gpu.stream()
    kernel = gpu.module(add_source, "adding").kernel("add")
    memory, pinned = gpu.memory(4 * N), gpu.pinned(4 * N)
    given = np.random.default_rng(1).random(N, dtype=np.float32)
    pinned.bytes.view(np.float32)[:] = given
    gpu.upload(memory.pointer, pinned, stream)
    before = stream.record(timed=True)
    kernel.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(0.25))
    after = stream.record(timed=True)
    gpu.download(pinned, memory.pointer, stream)
    stream.synchronize()
    np.testing.assert_array_equal(pinned.bytes.view(np.float32), given + np.float32(0.25))
    assert 0 < after.seconds_since(before) < 1
    pinned.close()
    memory.close()


def test_two_devices_share_one_context(gpu: Device, add_source: str) -> None:
    other = open_device(gpu.library)
    memory = gpu.memory(4 * N)
    theirs, ours = gpu.stream(), other.stream()
    gpu.fill(memory.pointer, 0, 4 * N, theirs)
    shared = DeviceArray(
        memory.pointer, (N,), np.dtype(np.float32), (4,), gpu.ordinal, theirs, owner=memory
    )
    there = adopt(Interface(shared), other, ours)
    kernel = other.module(add_source, "adding").kernel("add")
    kernel.launch(ours, *BLOCKS, there.pointer, np.int32(N), np.float32(2))
    found = np.empty(N, np.float32)
    other.download(found, there.pointer, ours)
    assert np.all(found == 2)
    other.close()
    memory.close()


class Interface:
    """Nothing but the interface, as of another library."""

    def __init__(self, array: DeviceArray) -> None:
        self.__cuda_array_interface__ = array.__cuda_array_interface__


def test_a_graph_is_launched_by_another_thread(gpu: Device, add_source: str) -> None:
    if not gpu.can_capture:
        pytest.skip("pycuda has no graphs")
    stream = gpu.stream()
    memory, back = gpu.memory(4 * N), gpu.pinned(4 * N)
    kernel = gpu.module(add_source, "adding").kernel("add")
    gpu.fill(memory.pointer, 0, 4 * N, stream)

    def work() -> None:
        kernel.launch(stream, *BLOCKS, memory.pointer, np.int32(N), np.float32(1))
        gpu.download(back, memory.pointer, stream)

    graph = gpu.capture(stream, work)
    thread = threading.Thread(target=lambda: [graph.launch(stream) for _ in range(5)])
    thread.start()
    thread.join()
    stream.synchronize()
    assert np.all(back.bytes.view(np.float32) == 5)
    graph.close()
    with pytest.raises(DeviceError, match="closed"):
        graph.launch(stream)
    back.close()
    memory.close()


def test_a_pool_goes_round(gpu: Device, add_source: str) -> None:
    up, work, down = gpu.stream(), gpu.stream(), gpu.stream()
    kernel = gpu.module(add_source, "adding").kernel("add")
    sizes = {"values": 4 * N}
    results = []
    with Pool(gpu, 3, sizes, sizes) as pool:
        waiting = []
        for number in range(8):
            slot = pool.acquire()
            assert slot is not None
            here, there = slot.pinned["values"], slot.memory["values"]
            here.bytes.view(np.float32)[:] = number
            gpu.upload(there.pointer, here, up)
            work.wait(up.record())
            kernel.launch(work, *BLOCKS, there.pointer, np.int32(N), np.float32(0.5))
            down.wait(work.record())
            gpu.download(here, there.pointer, down)
            waiting.append((slot, down.record()))
            if len(waiting) == 3:
                first, event = waiting.pop(0)
                event.synchronize()
                results.append(float(first.pinned["values"].bytes.view(np.float32)[-1]))
                pool.release(first, event)
        for slot, event in waiting:
            event.synchronize()
            results.append(float(slot.pinned["values"].bytes.view(np.float32)[-1]))
            pool.release(slot, event)
    assert results == [number + 0.5 for number in range(8)]
