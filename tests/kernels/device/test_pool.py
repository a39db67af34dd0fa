"""Slots go round, are bounded, and are not handed out while a stream uses them."""

from __future__ import annotations

import threading
import time

import pytest

from edgesam_kernels.device import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.pool import Pool

SIZES = {"pixels": 100, "logits": 50}


def test_all_is_allocated_at_once() -> None:
    fake = FakeDevice()
    pool = Pool(fake, 3, SIZES, {"pixels": 100})
    assert fake.names().count("memory") == 6
    assert fake.names().count("pinned") == 3
    before = len(fake.calls)
    for _ in range(10):
        slot = pool.acquire()
        assert slot is not None
        assert slot.memory["logits"].nbytes == 50
        assert slot.pinned["pixels"].bytes.size == 100
        pool.release(slot)
    assert len(fake.calls) == before
    pool.close()
    fake.close()  # nothing is left


def test_slots_go_round_in_order() -> None:
    with Pool(FakeDevice(), 2, SIZES) as pool:
        first, second = pool.acquire(), pool.acquire()
        assert first is not None
        assert second is not None
        assert pool.acquire(wait=False) is None
        pool.release(second)
        pool.release(first)
        assert pool.acquire() is second
        assert pool.acquire() is first
        pool.release(first)
        pool.release(second)


def test_a_slot_comes_back_when_its_event_has_come() -> None:
    fake = FakeDevice()
    stream = fake.stream()
    with Pool(fake, 1, SIZES) as pool:
        slot = pool.acquire()
        assert slot is not None
        fake.fill(slot.memory["pixels"].pointer, 0, 100, stream)
        pool.release(slot, stream.record())
        assert pool.acquire(wait=False) is None
        waited = fake.clock.host
        assert pool.acquire() is slot
        assert fake.clock.host > waited
        fake.view(slot.memory["pixels"].pointer, 100)
        pool.release(slot)


def test_closing_waits_for_what_was_released() -> None:
    fake = FakeDevice()
    stream = fake.stream()
    pool = Pool(fake, 2, SIZES)
    slot, out = pool.acquire(), pool.acquire()
    assert slot is not None
    assert out is not None
    fake.fill(slot.memory["pixels"].pointer, 0, 100, stream)
    pool.release(slot, stream.record())
    pool.close()
    assert len(fake.leaks()) == 2  # what is out
    fake.fill(out.memory["pixels"].pointer, 0, 100, stream)
    pool.release(out, stream.record())
    assert fake.leaks() == []
    with pytest.raises(DeviceError, match="pool was closed"):
        pool.acquire()


def test_released_twice() -> None:
    with Pool(FakeDevice(), 1, SIZES) as pool:
        slot = pool.acquire()
        assert slot is not None
        pool.release(slot)
        with pytest.raises(ValueError, match="not out"):
            pool.release(slot)


def test_what_does_not_fit_leaves_nothing() -> None:
    fake = FakeDevice(memory=400)
    with pytest.raises(DeviceOutOfMemory):
        Pool(fake, 3, SIZES)
    assert fake.leaks() == []
    with pytest.raises(ValueError, match="0 slots"):
        Pool(fake, 0, SIZES)


def test_a_waiting_thread_gets_the_next_slot() -> None:
    with Pool(FakeDevice(), 1, SIZES) as pool:
        slot = pool.acquire()
        assert slot is not None
        got = []
        thread = threading.Thread(target=lambda: got.append(pool.acquire()))
        thread.start()
        time.sleep(0.05)
        assert got == []
        pool.release(slot)
        thread.join(10)
        assert got == [slot]
        pool.release(slot)


def test_a_waiting_thread_is_told_of_the_end() -> None:
    pool = Pool(FakeDevice(), 1, SIZES)
    slot = pool.acquire()
    assert slot is not None
    told: list[str] = []

    def wait() -> None:
        try:
            pool.acquire()
        except DeviceError as error:
            told.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    pool.close()
    thread.join(10)
    assert told == ["the pool was closed"]
    pool.release(slot)


def test_a_device_that_breaks_loses_no_slot() -> None:
    fake = FakeDevice()
    pool = Pool(fake, 1, SIZES)
    slot = pool.acquire()
    assert slot is not None
    pool.release(slot, fake.stream().record())
    fake.fail("synchronize", DeviceError("broken"))
    with pytest.raises(DeviceError, match="broken"):
        pool.acquire()
    assert pool.acquire() is slot
    pool.release(slot)
    pool.close()


def test_many_threads() -> None:
    with Pool(FakeDevice(), 3, SIZES) as pool:
        out: set[int] = set()
        most: list[int] = []
        lock = threading.Lock()

        def work() -> None:
            for _ in range(50):
                slot = pool.acquire()
                assert slot is not None
                with lock:
                    assert id(slot) not in out
                    out.add(id(slot))
                    most.append(len(out))
                time.sleep(0)
                with lock:
                    out.remove(id(slot))
                pool.release(slot)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(most) == 300
        assert max(most) <= 3
