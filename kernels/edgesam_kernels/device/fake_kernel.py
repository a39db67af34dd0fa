"""Modules and kernels of a device that is none: Python functions by name. Knows no CUDA C."""

from __future__ import annotations

import re

import numpy as np

from edgesam_kernels.device.arguments import scalars
from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.fake_clock import Misuse
from edgesam_kernels.device.fake_memory import Access
from edgesam_kernels.device.fake_state import FakeState, Registered
from edgesam_kernels.device.fake_stream import Work, own
from edgesam_kernels.device.protocol import Kernel, Stream


class FakeKernel:
    """A kernel by its name."""

    def __init__(self, device: FakeState, name: str) -> None:
        self._device = device
        self.name = name

    def launch(
        self,
        stream: Stream,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *arguments: np.generic | int,
        shared: int = 0,
    ) -> None:
        device = self._device
        given = tuple(scalars(arguments))
        with device.lock:
            there = own(device, stream)
            device.note("launch", there.number, (self.name, grid, block, given, shared))
            if min(*grid, *block) < 1 or np.prod(block) > 1024:
                raise DeviceError(f"{self.name} cannot be launched with grid {grid}, block {block}")
            kernel = device.kernels.get(self.name) or Registered(None, (), device.costs.kernel)
            accesses = [
                access
                for index, value in enumerate(arguments)
                if isinstance(value, int) and value
                for access in self._accesses(value, write=index in kernel.writes)
            ]

            def run() -> None:
                if kernel.function is not None:
                    kernel.function(device, grid, block, given)

            seconds = device.costs.latency + kernel.seconds
            there.give(Work(self.name, "compute", seconds, lambda: run, tuple(accesses)))

    def _accesses(self, pointer: int, *, write: bool) -> list[Access]:
        block = self._device.space.find(pointer)
        if block is None or block.closed:
            what = "was closed" if block else "does not exist"
            raise Misuse(f"{self.name} is given memory at {pointer:#x}, which {what}")
        found = [Access(pointer, block.end, write=False)]
        return [*found, Access(pointer, block.end, write=True)] if write else found


class FakeModule:
    """A module that has the kernels that its text names."""

    def __init__(self, device: FakeState, source: str, name: str) -> None:
        self._device = device
        self._source = source
        self._name = name

    def kernel(self, name: str) -> Kernel:
        if not re.search(rf"\b{re.escape(name)}\s*\(", self._source):
            raise DeviceError(f"the kernels of {self._name} have none named {name!r}")
        return FakeKernel(self._device, name)
