"""ONNX Runtime's runs on CUDA tensors that stay where their owner put them. Knows no memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgesam.engines.ort_errors import said_of
from edgesam.engines.placing import Size, by
from edgesam.errors import BundleError

_DEVICE = "cuda"
_RUN = {
    # Whoever needs what was computed waits for the stream, on the device if it can.
    "disable_synchronize_execution_providers": "1",
    # None of ONNX Runtime's own CUDA graphs: launching one of them waits on the host.
    "gpu_graph_id": "-1",
}


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
    """A binding of a session, as a :class:`~edgesam.engines.placing.Placing`.

    Args:
        session: an ``InferenceSession`` that computes on a stream of its caller's.
        declared: of it.
        ordinal: of the device.
    """

    def __init__(self, session: Any, declared: Declared, ordinal: int) -> None:
        import onnxruntime

        self._session, self._declared, self._ordinal = session, declared, ordinal
        self._shapes: dict[str, Size] = {}
        self._binding: Any = None
        self._options = onnxruntime.RunOptions()
        for key, value in _RUN.items():
            self._options.add_run_config_entry(key, value)

    def shaped(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        outputs = self._declared.outputs_of(inputs)
        self._shapes = {**inputs, **outputs}
        return outputs

    def place(self, pointers: Mapping[str, int]) -> None:
        binding = self._session.io_binding()
        for names, bind in (
            (self._declared.inputs, binding.bind_input),
            (self._declared.outputs, binding.bind_output),
        ):
            for name in names:
                dtype, shape = self._declared.types[name], self._shapes[name]
                bind(name, _DEVICE, self._ordinal, dtype, shape, pointers[name])
        self._binding = binding

    def launch(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # onnxruntime's errors share no narrower base
            doing = f"computing {self._declared.outputs[0]}"
            raise said_of(error, doing, "onnxruntime cannot run the graph") from None

    def close(self) -> None:
        self._binding = self._session = None


def _dtype(type_: str) -> np.dtype[Any]:
    """Of ``tensor(float)`` and the like."""
    found = type_.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(found, found))
