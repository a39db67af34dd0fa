"""A graph on a CUDA device: takes arrays, gives what is still in the making. Knows no library."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import prod
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from edgesam.embedding import Tensor, on_host
from edgesam.engines.device.placing import Lying, Placing, Size
from edgesam.engines.device.tensor import OnDevice, hold_until_done
from edgesam.errors import BundleError, EngineUnavailable, OutOfMemory
from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory, Memory
from edgesam_kernels.device.lender import Lender, Loan

Input = NDArray[Any] | Tensor | Sequence[Tensor]
LEAST = 256  # bytes: what is empty has an address, too


class DeviceGraph(ABC):
    """It has one stream and takes work from one caller at a time.

    Attributes:
        name, title: of the graph and of the library, for messages.
        inputs, outputs: names, in the graph's order.
        types: of each of them.
        device, stream: where it runs.
        records: whether the library itself keeps what repeats as a CUDA graph.
    """

    inputs: list[str]
    outputs: list[str]
    types: dict[str, np.dtype[Any]]
    records = False

    def __init__(self, device: Device, name: str, title: str) -> None:
        self.device, self.name, self.title = device, name, title
        self.stream, self._fetching = device.stream(), device.stream()
        self._lock = threading.Lock()
        self._buffers: dict[str, Memory] = {}
        self._lender = Lender(device)
        self._closed = False
        self._own: Placing  # of enqueue; made when the graph is loaded
        hold_until_done(self, self.stream)

    @abstractmethod
    def placing(self) -> Placing:
        """Its runs on tensors that stay where they are, for who keeps :meth:`enqueue` away."""

    def placing_anew(self) -> Placing:
        """The same, disturbed by no other; it may not be had."""
        return self.placing()

    @abstractmethod
    def shape(self, name: str) -> Size:
        """Of an input or output, -1 where it is free."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of what the library holds; nothing is under way."""

    def run(self, inputs: Mapping[str, Input], outputs: Sequence[str]) -> tuple[NDArray[Any], ...]:
        """Compute once; returns when the answers are in host memory.

        Args:
            inputs: by name, in host memory or on this device.
            outputs: wanted, by name.

        Raises:
            BundleError: the graph does not take such inputs.
            EngineUnavailable: the device failed.
            OutOfMemory: there is no memory for it.
        """
        return tuple(each.host() for each in self.enqueue(inputs, outputs))

    def enqueue(self, inputs: Mapping[str, Input], outputs: Sequence[str]) -> tuple[OnDevice, ...]:
        """Give the stream one computation; nothing waits if all inputs lie on this device, once the
        library is past what its graph says of first runs.

        Inputs may still be in the making, and may be let go of when this returns.

        Args:
            inputs: by name; what lies in host memory is copied, which may wait for the stream.
                Several in place of one are put after each other along the first axis.
            outputs: wanted, by name.

        Returns:
            Them, in that order, each with the event after which it is there.

        Raises:
            BundleError, EngineUnavailable, OutOfMemory: as :meth:`run`. An error of the device in
                the computation itself comes when somebody waits for it.
        """
        with self._lock, self.device.current():
            if self._closed:
                raise ValueError("this session is closed")
            with self._told():
                given = {name: self._give(name, inputs[name]) for name in self.inputs}
                shapes = self._own.shaped({name: each.shape for name, each in given.items()})
                loans = {name: self._lend(name, shape) for name, shape in shapes.items()}
                made = {
                    name: Lying(loans[name].pointer, shape, self._nbytes(name, shape))
                    for name, shape in shapes.items()
                }
                self._compute(given, made)
                ready = self.stream.record()
                for value in inputs.values():
                    for each in _several(value):
                        if self._has(each):
                            each.used(self.stream, ready)
                for loan in loans.values():
                    loan.used(self.stream, ready)
        return tuple(
            OnDevice(
                self.device, loans[name], shapes[name], ready, self._fetching, self.types[name]
            )
            for name in outputs
        )

    def put(self, name: str, array: NDArray[Any]) -> OnDevice:
        """An array on the device, for an input that is the same in many runs.

        Raises:
            EngineUnavailable, OutOfMemory: as :meth:`run`.
        """
        array = np.ascontiguousarray(array, self.types[name])
        with self._lock, self._told():  # what others record of this stream must not have it
            loan = self._lender.lend(max(LEAST, array.nbytes), self.stream)
            self.device.upload(loan.pointer, array, self.stream)
            ready = self.stream.record()
        return OnDevice(self.device, loan, array.shape, ready, self._fetching, array.dtype)

    def close(self) -> None:
        """Free it, after what it was given."""
        with self._lock, self.device.current():
            with suppress(DeviceError):  # one that failed before has nothing under way
                self.stream.synchronize()
            if not self._closed:
                self._closed = True
                self._release()
            for memory in self._buffers.values():
                memory.close()
            self._buffers.clear()
            self._lender.close()

    def _compute(self, given: Mapping[str, Lying], made: Mapping[str, Lying]) -> None:
        """Give the stream one computation; :attr:`_own` has been told the inputs' shapes."""
        self._own.place({name: each.pointer for name, each in (*given.items(), *made.items())})
        self._own.launch()

    def _has(self, value: Any) -> TypeGuard[OnDevice]:
        return isinstance(value, OnDevice) and value.lies_on(self.device)

    def _give(self, name: str, value: Any) -> Lying:
        """Where the next run reads an input: in its place, or in a copy."""
        if self._has(value):
            value.wait(self.stream)
            return Lying(value.pointer, value.shape, value.nbytes)
        parts = _several(value)
        one = tuple(parts[0].shape[1:])
        if any(tuple(part.shape[1:]) != one for part in parts):
            raise BundleError(f"{self.name} does not take {name} of several sizes in one run")
        shape = (sum(part.shape[0] for part in parts), *one)
        nbytes = self._nbytes(name, shape)
        pointer = target = self._buffer(name, nbytes).pointer
        for part in parts:
            target += self._put_at(target, name, part)
        return Lying(pointer, shape, nbytes)

    def _put_at(self, target: int, name: str, value: Any) -> int:
        """Give the stream a copy to there; how many bytes it has."""
        if self._has(value):
            value.wait(self.stream)
            self.device.copy(target, value.pointer, value.nbytes, self.stream)
            return value.nbytes
        array = np.ascontiguousarray(on_host(value), self.types[name])
        if array.nbytes:
            self.device.upload(target, array, self.stream)
        return array.nbytes

    def _lend(self, name: str, shape: Size) -> Loan:
        """Where the next run writes an output."""
        return self._lender.lend(max(LEAST, self._nbytes(name, shape)), self.stream)

    def _nbytes(self, name: str, shape: Size) -> int:
        return prod(shape) * self.types[name].itemsize

    def _buffer(self, name: str, nbytes: int) -> Memory:
        """The memory of an input from run to run, larger if it must be."""
        held = self._buffers.get(name)
        if held is None or held.nbytes < nbytes:
            if held is not None:
                self.stream.synchronize()  # an earlier run may not have read it yet
                self._buffers.pop(name)
                held.close()
            self._buffers[name] = held = self.device.memory(max(LEAST, nbytes))
        return held

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the device as ours."""
        try:
            yield
        except (DeviceOutOfMemory, MemoryError):
            raise self._out_of_memory() from None
        except DeviceError as error:
            raise EngineUnavailable(f"the device failed in {self.name}: {error}") from None

    def _out_of_memory(self) -> OutOfMemory:
        return OutOfMemory(
            f"{self.title} ran out of memory with {self.name} on {self.device.name}: close "
            "other programs that use it, or take a smaller model"
        )


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)
