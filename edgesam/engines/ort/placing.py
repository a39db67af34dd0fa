"""ONNX Runtime's runs on CUDA tensors that stay where their owner put them. Knows no memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgesam.engines.device.placing import Size, by
from edgesam.engines.ort.errors import said_of
from edgesam.errors import BundleError
from edgesam_kernels.device import Device, Stream

_DEVICE = "cuda"


class Opened:
    """A session and the stream that it computes on, which must outlive it: it waits for it when it
    goes.

    Some kernels (a concatenation of unequal parts is one) keep what a run copies to the device in
    page-locked memory: half a megabyte of a picture's encoder. ONNX Runtime frees it where a run is
    waited for and nowhere else, and what is recorded reads it in each launch. So runs are waited
    for exactly until one is recorded: recording takes what the last of them freed, since nothing
    can be page-locked meanwhile, and none is freed under it.

    Attributes:
        session: an ``InferenceSession`` that computes on that stream.
        recordings: how many ways through it are recorded.
    """

    def __init__(self, session: Any, stream: Stream) -> None:
        self.session, self._stream = session, stream
        self.recordings = 0

    def __del__(self) -> None:
        self.session = None


class Declared:
    """What a session says of its tensors.

    Attributes:
        inputs, outputs: names, in the graph's order.
        types: of each.
    """

    def __init__(self, session: Any, name: str) -> None:
        """``name``: of the graph, for messages."""
        self._name = name
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self.inputs = [value.name for value in inputs]
        self.outputs = [value.name for value in outputs]
        self.types: dict[str, np.dtype[Any]] = {
            value.name: _dtype(value.type) for value in (*inputs, *outputs)
        }
        self._sides: dict[str, list[int | str]] = {
            value.name: list(value.shape) for value in (*inputs, *outputs)
        }

    def shape(self, name: str) -> Size:
        """Of an input or output, -1 where it is free."""
        return tuple(side if isinstance(side, int) else -1 for side in self._sides[name])

    def outputs_of(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        """The shapes of all outputs, the inputs' being these.

        Raises:
            BundleError: the graph does not take such inputs.
        """
        known: dict[str, int] = {}
        for name, shape in inputs.items():
            sides = self._sides[name]
            fits = len(sides) == len(shape) and all(
                given == (known.setdefault(side, given) if isinstance(side, str) else side)
                for side, given in zip(sides, shape, strict=True)
            )
            if not fits:
                raise BundleError(f"{self._name} does not take {name} of {by(shape)}")

        def size(side: int | str) -> int:
            return known[side] if isinstance(side, str) else side

        return {name: tuple(map(size, self._sides[name])) for name in self.outputs}


class OrtPlacing:
    """A binding of a session, as a :class:`~edgesam.engines.device.placing.Placing`.

    Args:
        opened: the session.
        declared: of it.
        device: where it runs.
    """

    def __init__(self, opened: Opened, declared: Declared, device: Device) -> None:
        self._opened, self._declared, self._device = opened, declared, device
        self._shapes: dict[str, Size] = {}
        self._binding: Any = None
        self._is_recorded = False
        self._waiting, self._at_once = _options(waits=True), _options(waits=False)

    def shaped(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        outputs = self._declared.outputs_of(inputs)
        self._shapes = {**inputs, **outputs}
        return outputs

    def place(self, pointers: Mapping[str, int]) -> None:
        binding = self._opened.session.io_binding()
        for names, bind in (
            (self._declared.inputs, binding.bind_input),
            (self._declared.outputs, binding.bind_output),
        ):
            for name in names:
                dtype, shape = self._declared.types[name], self._shapes[name]
                bind(name, _DEVICE, self._device.ordinal, dtype, shape, pointers[name])
        self._binding = binding

    def launch(self, *, recording: bool = False) -> None:
        if recording and not self._is_recorded:
            self._is_recorded = True
            self._opened.recordings += 1
        options = self._at_once if self._opened.recordings else self._waiting
        try:
            with self._device.current():  # ONNX Runtime leaves its context with the thread
                self._opened.session.run_with_iobinding(self._binding, options)
        except Exception as error:  # onnxruntime's errors share no narrower base
            doing = f"computing {self._declared.outputs[0]}"
            raise said_of(error, doing, "onnxruntime cannot run the graph") from None

    def close(self) -> None:
        self._binding = None  # it holds the session, too
        if self._is_recorded:
            self._is_recorded = False
            self._opened.recordings -= 1

    def __del__(self) -> None:
        self._binding = None


def _options(*, waits: bool) -> Any:
    """``waits``: the run returns when it is computed, and ONNX Runtime frees what it staged."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "0" if waits else "1")
    # None of ONNX Runtime's own CUDA graphs: launching one of them waits on the host.
    options.add_run_config_entry("gpu_graph_id", "-1")
    return options


def _dtype(type_: str) -> np.dtype[Any]:
    """Of ``tensor(float)`` and the like."""
    found = type_.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(found, found))
