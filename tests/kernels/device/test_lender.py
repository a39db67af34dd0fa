"""Memory that goes round: who gets it waits for who had it, on the device and not on the host."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from edgesam_kernels.device import DeviceError, DeviceOutOfMemory, Stream
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.lender import Lender, Loan


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice(memory=1 << 20)


def fill(device: FakeDevice, loan: Loan, value: int, stream: Stream) -> None:
    device.fill(loan.pointer, value, loan.nbytes, stream)
    loan.used(stream, stream.record())


def test_it_goes_round_and_nobody_waits(device: FakeDevice) -> None:
    """Written on one stream and read on another: the fake would tell what nothing orders."""
    lender, one, other = Lender(device), device.stream(), device.stream()
    target = device.memory(1000)
    for value in range(10):
        loan = lender.lend(1000, one)
        fill(device, loan, value, one)
        other.wait(one.record())
        device.copy(target.pointer, loan.pointer, 1000, other)
        loan.used(other, other.record())
    assert device.names().count("memory") == 1 + 2, "the second is made while the first is used"
    assert "synchronize" not in device.names()
    answer = np.empty(1000, np.uint8)
    device.download(answer, target.pointer, other)
    assert (answer == 9).all()
    target.close()
    lender.close()
    del loan
    assert device.leaks() == []


def test_what_is_idle_is_taken_first(device: FakeDevice) -> None:
    lender, stream = Lender(device, spare=3), device.stream()
    for _ in range(5):
        loan = lender.lend(100, stream)
        fill(device, loan, 1, stream)
        stream.synchronize()
        del loan
    assert device.names().count("memory") == 1


@pytest.mark.parametrize(("wanted", "made"), [(100, 1), (50, 1), (49, 2), (101, 2)])
def test_sizes_that_fit(device: FakeDevice, wanted: int, made: int) -> None:
    lender, stream = Lender(device), device.stream()
    lender.lend(100, stream)
    assert lender.lend(wanted, stream).nbytes >= wanted
    assert device.names().count("memory") == made


def test_what_is_held_is_not_lent_again(device: FakeDevice) -> None:
    lender, stream = Lender(device, spare=1), device.stream()
    held = [lender.lend(64, stream) for _ in range(4)]
    assert len({loan.pointer for loan in held}) == 4
    del held
    again = [lender.lend(64, stream) for _ in range(4)]
    assert len({loan.pointer for loan in again}) == 4
    assert device.names().count("memory") == 4


def test_when_memory_is_short_what_is_free_makes_room(device: FakeDevice) -> None:
    lender, stream = Lender(device), device.stream()
    fill(device, lender.lend(400_000, stream), 1, stream)
    lender.lend(700_000, stream)
    assert device.names().count("close") == 1
    held = lender.lend(300_000, stream)
    with pytest.raises(DeviceOutOfMemory):
        lender.lend(900_000, stream)
    assert held.nbytes == 300_000


def test_closing_waits_for_what_is_free_and_leaves_what_is_lent(device: FakeDevice) -> None:
    lender, stream = Lender(device), device.stream()
    held = lender.lend(100, stream)
    fill(device, lender.lend(100, stream), 7, stream)
    lender.close()
    lender.close()
    assert len(device.leaks()) == 1
    fill(device, held, 3, stream)
    with pytest.raises(DeviceError, match="closed"):
        lender.lend(100, stream)
    stream.synchronize()
    del held
    gc.collect()
    assert device.leaks() == []


def test_nobody_closes_it(device: FakeDevice) -> None:
    """What is free is freed after its last reader, and so is what comes back later."""
    lender, one, other = Lender(device), device.stream(), device.stream()
    target = device.memory(64)
    first, second = lender.lend(64, one), lender.lend(64, one)
    fill(device, first, 1, one)
    fill(device, second, 2, one)
    other.wait(one.record())
    device.copy(target.pointer, first.pointer, 64, other)
    first.used(other, other.record())
    del first, lender
    device.copy(target.pointer, second.pointer, 64, other)
    second.used(other, other.record())
    del second
    assert len(device.leaks()) == 1
    answer = np.empty(64, np.uint8)
    device.download(answer, target.pointer, other)
    assert (answer == 2).all()


def test_many_threads(device: FakeDevice) -> None:
    lender = Lender(device)

    def work() -> None:
        stream = device.stream()
        for value in range(30):
            fill(device, lender.lend(256, stream), value, stream)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert device.names().count("fill") == 120
    assert device.names().count("memory") <= 2 + 4
    lender.close()
    assert device.leaks() == []
