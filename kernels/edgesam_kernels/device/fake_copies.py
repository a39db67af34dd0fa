"""Copies of a device that is none, with what they read and write. Knows no kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.fake_clock import Misuse
from edgesam_kernels.device.fake_memory import Access
from edgesam_kernels.device.fake_state import FakeState
from edgesam_kernels.device.fake_stream import FakeStream, Work
from edgesam_kernels.device.host_memory import as_bytes, source_of, target_of

POISON = 0xCD


def upload(device: FakeState, pointer: int, array: NDArray[Any], stream: FakeStream) -> None:
    start, nbytes = source_of(array)
    device.note("upload", stream.number, nbytes)
    if not nbytes:
        return
    target = device.space.slice(pointer, nbytes)
    accesses = [Access(pointer, pointer + nbytes, write=True)]
    locked = device.locked.holds(start, nbytes)
    if locked:
        device.space.slice(start, nbytes)  # still open?
        accesses.append(Access(start, start + nbytes, write=False))
    else:
        _refuse_pageable(stream, "uploads")
    source = as_bytes(array)

    def begin() -> Callable[[], None]:
        given = source.copy()

        def run() -> None:
            if locked and not np.array_equal(source, given):
                raise Misuse(
                    f"page-locked memory was written to before its upload on stream "
                    f"{stream.number} was known to be done"
                )
            target[:] = given

        return run

    stream.give(Work("upload", "up", _seconds(device, nbytes), begin, tuple(accesses)))


def download(device: FakeState, array: NDArray[Any], pointer: int, stream: FakeStream) -> None:
    start, nbytes = target_of(array)
    device.note("download", stream.number, nbytes)
    if not nbytes:
        return
    source = device.space.slice(pointer, nbytes)
    accesses = [Access(pointer, pointer + nbytes, write=False)]
    locked = device.locked.holds(start, nbytes)
    if locked:
        device.space.slice(start, nbytes)
        accesses.append(Access(start, start + nbytes, write=True))
    else:
        _refuse_pageable(stream, "downloads")
    target = as_bytes(array)

    def begin() -> Callable[[], None]:
        target[:] = POISON

        def run() -> None:
            target[:] = source

        return run

    stream.give(Work("download", "down", _seconds(device, nbytes), begin, tuple(accesses)))
    if not locked:
        stream.synchronize()


def copy(device: FakeState, target: int, source: int, nbytes: int, stream: FakeStream) -> None:
    device.note("copy", stream.number, nbytes)
    there, here = device.space.slice(target, nbytes), device.space.slice(source, nbytes)
    accesses = (
        Access(source, source + nbytes, write=False),
        Access(target, target + nbytes, write=True),
    )

    def run() -> None:
        there[:] = here.copy()

    _give(device, stream, "copy", nbytes, run, accesses)


def fill(device: FakeState, pointer: int, value: int, nbytes: int, stream: FakeStream) -> None:
    device.note("fill", stream.number, nbytes)
    there = device.space.slice(pointer, nbytes)

    def run() -> None:
        there[:] = value

    _give(device, stream, "fill", nbytes, run, (Access(pointer, pointer + nbytes, write=True),))


def _give(
    device: FakeState,
    stream: FakeStream,
    name: str,
    nbytes: int,
    run: Callable[[], None],
    accesses: tuple[Access, ...],
) -> None:
    stream.give(Work(name, "compute", _seconds(device, nbytes), lambda: run, accesses))


def _seconds(device: FakeState, nbytes: int) -> float:
    return device.costs.latency + nbytes / device.costs.bytes_per_second


def _refuse_pageable(stream: FakeStream, what: str) -> None:
    if stream.captured is not None:
        raise DeviceError(f"work that is captured in a graph {what} memory that is not page-locked")
