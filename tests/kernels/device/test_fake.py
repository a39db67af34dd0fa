"""The fake device runs late, keeps time, and sees what a real one would punish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgesam_kernels.device import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.fake_clock import Costs, Misuse

SOURCE = "__global__ void encode(float *x) {}\n__global__ void decode(float *x) {}"
ONE = (1, 1, 1), (32, 1, 1)
N = 1 << 20


@pytest.fixture
def fake() -> FakeDevice:
    return FakeDevice(costs=Costs(latency=0.0, bytes_per_second=1e9, kernel=0.002))


def seconds(nbytes: int) -> float:
    return nbytes / 1e9


def test_calls_are_written_down(fake: FakeDevice) -> None:
    stream = fake.stream()
    memory = fake.memory(8)
    fake.upload(memory.pointer, np.arange(8, dtype=np.uint8), stream)
    kernel = fake.module(SOURCE, "two", ["-DA=1"]).kernel("encode")
    kernel.launch(stream, *ONE, memory.pointer, np.int32(3))
    stream.synchronize()
    memory.close()
    assert fake.names() == [
        *("stream", "memory", "upload", "module", "launch", "synchronize", "close")
    ]
    assert fake.calls[3].detail == ("two", ("-DA=1",))
    launch = fake.calls[4]
    assert launch.stream == 0
    assert launch.detail == ("encode", *ONE, (np.uint64(memory.pointer), np.int32(3)), 0)


def test_kernels_run_when_the_host_has_waited(fake: FakeDevice) -> None:
    ran = []

    def encode(device: Any, grid: object, block: object, given: tuple[Any, ...]) -> None:
        ran.append(int(given[1]))
        device.view(given[0], 4)[:] += 1

    fake.register("encode", encode, writes=[0])
    stream = fake.stream()
    memory = fake.memory(4)
    fake.fill(memory.pointer, 5, 4, stream)
    fake.module(SOURCE, "two").kernel("encode").launch(stream, *ONE, memory.pointer, np.int32(7))
    assert ran == []
    found = np.empty(4, np.uint8)
    fake.download(found, memory.pointer, stream)
    assert ran == [7]
    assert list(found) == [6] * 4


def test_streams_run_beside_each_other(fake: FakeDevice) -> None:
    up, work = fake.stream(), fake.stream()
    kernel = fake.module(SOURCE, "two").kernel("encode")
    slots = [(fake.memory(N), fake.pinned(N)) for _ in range(4)]
    for memory, pinned in slots:
        fake.upload(memory.pointer, pinned, up)
        work.wait(up.record())
        kernel.launch(work, *ONE, memory.pointer)
    work.synchronize()
    # The second to fourth upload run while kernels do.
    assert fake.clock.host == pytest.approx(seconds(N) + 4 * 0.002)
    assert fake.clock.overlap("up", "compute") == pytest.approx(3 * seconds(N))
    assert fake.clock.busy("up") == pytest.approx(4 * seconds(N))


def test_a_loop_that_waits_gains_nothing(fake: FakeDevice) -> None:
    stream = fake.stream()
    kernel = fake.module(SOURCE, "two").kernel("encode")
    memory, pinned = fake.memory(N), fake.pinned(N)
    for _ in range(4):
        fake.upload(memory.pointer, pinned, stream)
        kernel.launch(stream, *ONE, memory.pointer)
        stream.synchronize()
    assert fake.clock.host == pytest.approx(4 * (seconds(N) + 0.002))
    assert fake.clock.overlap("up", "compute") == 0


def test_kernels_share_one_engine(fake: FakeDevice) -> None:
    fake.register("decode", seconds=0.001)
    module = fake.module(SOURCE, "two")
    one, other = fake.stream(), fake.stream()
    before = one.record(timed=True)
    module.kernel("encode").launch(one, *ONE)
    module.kernel("decode").launch(other, *ONE)
    after = other.record(timed=True)
    assert not after.done()
    with pytest.raises(Misuse, match="not known to be done"):
        after.seconds_since(before)
    after.synchronize()
    assert after.done()
    assert after.seconds_since(before) == pytest.approx(0.003)


def test_asking_comes_to_an_end(fake: FakeDevice) -> None:
    stream = fake.stream()
    fake.module(SOURCE, "two").kernel("encode").launch(stream, *ONE)
    event, asked = stream.record(), 0
    while not event.done():
        asked += 1
    assert asked == pytest.approx(0.002 / fake.costs.poll, abs=2)


def add_one(device: Any, grid: object, block: object, given: tuple[Any, ...]) -> None:
    device.view(given[0], 4)[:] += 1


def test_a_graph_is_one_call(fake: FakeDevice) -> None:
    stream = fake.stream()
    memory, pinned = fake.memory(4), fake.pinned(4)
    fake.register("encode", add_one, writes=[0])
    kernel = fake.module(SOURCE, "two").kernel("encode")

    def work() -> None:
        fake.upload(memory.pointer, pinned, stream)
        kernel.launch(stream, *ONE, memory.pointer)

    graph = fake.capture(stream, work)
    assert fake.clock.spans == []
    for value in (1, 5):
        pinned.bytes[:] = value
        graph.launch(stream)
        stream.synchronize()
        assert fake.view(memory.pointer, 4)[0] == value + 1
    assert fake.names().count("launch") == 1
    assert fake.names().count("graph") == 2
    graph.close()
    with pytest.raises(Misuse, match="closed"):
        graph.launch(stream)
    with pytest.raises(Misuse, match="closed twice"):
        graph.close()


@pytest.mark.parametrize("call", ["memory", "pinned", "synchronize", "close"])
def test_what_a_graph_must_not_do(fake: FakeDevice, call: str) -> None:
    stream, memory = fake.stream(), fake.memory(4)
    calls = {
        "memory": lambda: fake.memory(4),
        "pinned": lambda: fake.pinned(4),
        "synchronize": stream.synchronize,
        "close": memory.close,
    }
    with pytest.raises(Misuse, match="captured"):
        fake.capture(stream, lambda: calls[call]() and None)
    stream.synchronize()  # it is not capturing any more


def test_events_of_a_graph_stay_in_it(fake: FakeDevice) -> None:
    stream, other = fake.stream(), fake.stream()
    outside, inside = other.record(), []

    def work() -> None:
        inside.append(stream.record())
        stream.wait(inside[0])

    fake.capture(stream, work)
    with pytest.raises(Misuse, match="outside"):
        other.wait(inside[0])
    with pytest.raises(Misuse, match="captured"):
        inside[0].synchronize()
    with pytest.raises(Misuse, match="outside"):
        fake.capture(stream, lambda: stream.wait(outside))


def test_results_are_looked_at_too_early(fake: FakeDevice) -> None:
    stream = fake.stream()
    memory, pinned = fake.memory(4), fake.pinned(4)
    kept = pinned.bytes
    fake.fill(memory.pointer, 1, 4, stream)
    fake.download(pinned, memory.pointer, stream)
    assert list(kept) != [1] * 4
    with pytest.raises(Misuse, match="looked at before download on stream 0"):
        _ = pinned.bytes
    stream.record().synchronize()
    assert list(pinned.bytes) == list(kept) == [1] * 4


def test_page_locked_memory_is_changed_too_early(fake: FakeDevice) -> None:
    stream = fake.stream()
    memory, pinned = fake.memory(4), fake.pinned(4)
    pinned.bytes[:] = 1
    fake.upload(memory.pointer, pinned, stream)
    pinned.bytes[:] = 2
    with pytest.raises(Misuse, match="written to before its upload on stream 0"):
        stream.synchronize()


def test_nothing_orders_two_streams(fake: FakeDevice) -> None:
    one, other = fake.stream(), fake.stream()
    memory, pinned = fake.memory(4), fake.pinned(4)
    kernel = fake.module(SOURCE, "two").kernel("encode")
    fake.upload(memory.pointer, pinned, one)
    with pytest.raises(Misuse, match="encode on stream 1 reads what upload on stream 0 writes"):
        kernel.launch(other, *ONE, memory.pointer)


def test_a_slot_is_written_while_it_is_read(fake: FakeDevice) -> None:
    """The wait in the other direction, which one forgets more easily."""
    up, work = fake.stream(), fake.stream()
    memory, pinned = fake.memory(4), fake.pinned(4)
    kernel = fake.module(SOURCE, "two").kernel("encode")
    fake.upload(memory.pointer, pinned, up)
    work.wait(up.record())
    kernel.launch(work, *ONE, memory.pointer)
    with pytest.raises(Misuse, match="upload on stream 0 writes what encode on stream 1 reads"):
        fake.upload(memory.pointer, pinned, up)
    up.wait(work.record())
    fake.upload(memory.pointer, pinned, up)


def test_what_is_only_read_needs_no_order(fake: FakeDevice) -> None:
    one, other = fake.stream(), fake.stream()
    memory = fake.memory(4)
    kernel = fake.module(SOURCE, "two").kernel("encode")
    kernel.launch(one, *ONE, memory.pointer)
    kernel.launch(other, *ONE, memory.pointer)
    fake.register("encode", writes=[0])
    with pytest.raises(Misuse, match="encode on stream 1 writes"):
        kernel.launch(other, *ONE, memory.pointer)


def test_the_host_orders_streams_too(fake: FakeDevice) -> None:
    one, other = fake.stream(), fake.stream()
    memory = fake.memory(4)
    fake.fill(memory.pointer, 1, 4, one)
    one.synchronize()
    fake.fill(memory.pointer, 2, 4, other)
    other.synchronize()
    assert fake.view(memory.pointer, 4)[0] == 2


def test_waiting_brings_what_came_before(fake: FakeDevice) -> None:
    """Through a third stream."""
    streams = [fake.stream() for _ in range(3)]
    memory = fake.memory(4)
    fake.fill(memory.pointer, 1, 4, streams[0])
    streams[1].wait(streams[0].record())
    streams[2].wait(streams[1].record())
    found = np.empty(4, np.uint8)
    fake.download(found, memory.pointer, streams[2])
    assert list(found) == [1] * 4


def test_memory_is_used_after_it_was_closed(fake: FakeDevice) -> None:
    stream, memory, pinned = fake.stream(), fake.memory(4), fake.pinned(4)
    memory.close()
    kernel = fake.module(SOURCE, "two").kernel("encode")
    with pytest.raises(Misuse, match="closed"):
        fake.fill(memory.pointer, 0, 4, stream)
    with pytest.raises(Misuse, match="closed"):
        kernel.launch(stream, *ONE, memory.pointer)
    with pytest.raises(Misuse, match="closed twice"):
        memory.close()
    pinned.close()
    with pytest.raises(Misuse, match="closed"):
        _ = pinned.bytes
    with pytest.raises(Misuse, match="closed"):
        fake.upload(fake.memory(4).pointer, pinned, stream)


def test_memory_is_closed_too_early(fake: FakeDevice) -> None:
    stream, memory = fake.stream(), fake.memory(4)
    fake.fill(memory.pointer, 0, 4, stream)
    with pytest.raises(Misuse, match="closed while fill on stream 0"):
        memory.close()
    stream.synchronize()
    memory.close()


def test_past_the_end(fake: FakeDevice) -> None:
    stream, memory = fake.stream(), fake.memory(4)
    with pytest.raises(Misuse, match="2 past the end"):
        fake.fill(memory.pointer + 2, 0, 4, stream)
    with pytest.raises(Misuse, match="no memory at"):
        fake.fill(12345, 0, 4, stream)


def test_another_devices_things(fake: FakeDevice) -> None:
    other = FakeDevice()
    memory = fake.memory(4)
    with pytest.raises(Misuse, match="another device"):
        fake.fill(memory.pointer, 0, 4, other.stream())
    with pytest.raises(Misuse, match="another device"):
        fake.stream().wait(other.stream().record())


def test_what_is_left(fake: FakeDevice) -> None:
    memory, pinned = fake.memory(4), fake.pinned(8)
    assert len(fake.leaks()) == 2
    with pytest.raises(Misuse, match="4 bytes of device memory"):
        fake.close()
    memory.close()
    del pinned
    assert fake.leaks() == []
    fake.close()
    with pytest.raises(Misuse, match="the device was closed"):
        fake.stream()


def test_failures_on_order(fake: FakeDevice) -> None:
    fake.fail("upload", DeviceError("broken"), after=1)
    stream, memory = fake.stream(), fake.memory(4)
    given = np.zeros(4, np.uint8)
    fake.upload(memory.pointer, given, stream)
    with pytest.raises(DeviceError, match="broken"):
        fake.upload(memory.pointer, given, stream)
    fake.upload(memory.pointer, given, stream)


def test_a_small_device() -> None:
    fake = FakeDevice(memory=100, can_capture=False)
    memory = fake.memory(60)
    assert fake.free_memory() == 40
    with pytest.raises(DeviceOutOfMemory, match="50 bytes: 40 are free"):
        fake.memory(50)
    memory.close()
    assert fake.free_memory() == 100
    with pytest.raises(DeviceError, match="no graphs"):
        fake.capture(fake.stream(), lambda: None)


def test_kernels_have_to_be_in_the_text(fake: FakeDevice) -> None:
    with pytest.raises(DeviceError, match="none named 'enc'"):
        fake.module(SOURCE, "two").kernel("enc")


def test_launches_that_no_device_takes(fake: FakeDevice) -> None:
    kernel = fake.module(SOURCE, "two").kernel("encode")
    for grid, block in (((0, 1, 1), (1, 1, 1)), ((1, 1, 1), (32, 33, 1))):
        with pytest.raises(DeviceError, match="cannot be launched"):
            kernel.launch(fake.stream(), grid, block)
