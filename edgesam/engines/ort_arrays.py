"""Arrays where ONNX Runtime computes, and its graphs run on them by IO binding.

Knows a device's name and no provider: the same code runs on ``cpu``, where tests run it. Each call
returns when the device is done with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgesam.engines.ort_errors import said_of

_SPARE = 8  # arrays of one shape that are kept for the next; making one on a GPU halts the GPU
_TYPES = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}


class Arrays:
    """Makes arrays on a device; takes back those that nobody has any more."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._spare: dict[tuple[int, ...], deque[Any]] = {}

    def value(self, shape: Sequence[int], dtype: DTypeLike) -> Any:
        """An ``OrtValue`` with whatever was in it.

        Raises:
            OutOfMemory: the device has no room for it.
        """
        import onnxruntime

        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        try:
            return make(list(shape), dtype, self.device, 0)
        except Exception as error:
            doing = f"making room for {tuple(shape)} on {self.device}"
            raise said_of(error, doing, f"onnxruntime fails {doing}") from None

    def holding(self, array: NDArray[Any]) -> Any:
        """An ``OrtValue`` with a copy of the array."""
        value = self.value(array.shape, array.dtype)
        fill(value, array)
        return value

    def resident(self, shape: Sequence[int]) -> DeviceArray:
        """A float32 array to be filled once."""
        spare = self._spare.setdefault(tuple(shape), deque(maxlen=_SPARE))
        try:
            return DeviceArray(spare.pop(), self)
        except IndexError:
            return DeviceArray(self.value(shape, np.float32), self)

    def forget(self) -> None:
        """Free what nobody has."""
        self._spare.clear()


def fill(value: Any, array: NDArray[Any]) -> None:
    """Copy an array from the host into an OrtValue of its size.

    Raises:
        BundleError: the device fails. OutOfMemory.
    """
    try:
        value.update_inplace(np.ascontiguousarray(array))
    except Exception as error:
        doing = "copying an array to the device"
        raise said_of(error, doing, f"onnxruntime fails {doing}") from None


def fetch(value: Any) -> NDArray[np.float32]:
    """A new copy of an OrtValue on the host; raises as :func:`fill`."""
    try:
        array: NDArray[np.float32] = value.numpy()
    except Exception as error:
        doing = "copying an array from the device"
        raise said_of(error, doing, f"onnxruntime fails {doing}") from None
    return array if array.flags.owndata else array.copy()


class DeviceArray:
    """A :class:`~edgesam.embedding.Resident` of this engine."""

    def __init__(self, value: Any, arrays: Arrays) -> None:
        self.value = value
        self.shape: tuple[int, ...] = tuple(value.shape())
        self._arrays = arrays

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * 4

    @property
    def device(self) -> str:
        return self._arrays.device

    def host(self) -> NDArray[np.float32]:
        return fetch(self.value)

    def finish(self) -> None:
        """It is there: runs of this engine are over when they return."""

    def __del__(self) -> None:
        spare = self._arrays._spare.get(self.shape)
        if spare is not None:
            spare.append(self.value)


class BoundGraph:
    """A graph whose inputs and outputs are arrays on the device."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = {value.name: value for value in session.get_inputs()}
        self.outputs = {value.name: value for value in session.get_outputs()}

    def shape(self, name: str, **sizes: int) -> tuple[int, ...]:
        """Of an input or output, the sizes of its open dimensions being these."""
        value = self.inputs.get(name) or self.outputs[name]
        return tuple(side if isinstance(side, int) else sizes[side] for side in value.shape)

    def dtype(self, name: str) -> DTypeLike:
        """Of an input or output."""
        return _TYPES[(self.inputs.get(name) or self.outputs[name]).type]

    def bound(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        """The binding of these OrtValues, to be run."""
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        return binding

    def run(self, binding: Any, graph: int = -1) -> None:
        """Fill the binding's outputs.

        Args:
            binding: of :meth:`bound`.
            graph: number of the CUDA graph that is recorded at its first run and played from then
                on; -1: none is. On another device than CUDA it means nothing.

        Raises:
            OutOfMemory, BundleError: it cannot be computed.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph))
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:
            doing = f"computing {next(iter(self.outputs))}"
            raise said_of(error, doing, "onnxruntime cannot run the graph") from None


class FixedGraph:
    """A graph run on arrays of its own, always the same ones, as a CUDA graph needs it.

    Recorded when it is made, because whoever records must be alone on the device.
    """

    def __init__(
        self,
        graph: BoundGraph,
        arrays: Arrays,
        number: int,
        shared: Mapping[str, Any] | None = None,
        **sizes: int,
    ) -> None:
        """``shared``: inputs that another one has made."""
        self._graph, self._number = graph, number
        self.inputs = dict(shared or {})
        for name in graph.inputs:
            if name not in self.inputs:
                zeros = np.zeros(graph.shape(name, **sizes), graph.dtype(name))
                self.inputs[name] = arrays.holding(zeros)
        self.outputs = {
            name: arrays.value(graph.shape(name, **sizes), graph.dtype(name))
            for name in graph.outputs
        }
        self._binding = graph.bound(self.inputs, self.outputs)
        self.run()

    def run(self, **inputs: NDArray[Any]) -> None:
        """Fill ``outputs``, after these inputs were copied to where they belong."""
        for name, array in inputs.items():
            fill(self.inputs[name], array)
        self._graph.run(self._binding, self._number)
