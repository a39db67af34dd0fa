"""A plan's runs on tensors that stay where their owner put them. Knows no plan and no memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgesam.engines.device.placing import Size, by
from edgesam_kernels.device import Device, Stream


class TensorRtPlacing:
    """One execution context, as a :class:`~edgesam.engines.device.placing.Placing`.

    Args:
        context: TensorRT's.
        outputs: names of what the plan gives.
        device, stream: where it runs.
        failure: the error for what TensorRT refused, from words that the graph's name ends.
    """

    def __init__(
        self,
        context: Any,
        outputs: Sequence[str],
        device: Device,
        stream: Stream,
        failure: Callable[[str], Exception],
    ) -> None:
        self._context, self._outputs = context, tuple(outputs)
        self._device, self._stream = device, stream
        self._failure = failure

    def shaped(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        with self._device.current():
            for name, shape in inputs.items():
                if not self._context.set_input_shape(name, shape):
                    raise self._failure(f"does not take {name} of {by(shape)} in")
            found = {name: tuple(self._context.get_tensor_shape(name)) for name in self._outputs}
        for name, shape in found.items():
            if min(shape, default=0) < 0:
                raise self._failure(f"does not know the size of {name} in")
        return found

    def place(self, pointers: Mapping[str, int]) -> None:
        with self._device.current():
            for name, pointer in pointers.items():
                if not self._context.set_tensor_address(name, pointer):
                    raise self._failure(f"does not take an address for {name} in")

    def launch(self, *, recording: bool = False) -> None:  # noqa: ARG002
        with self._device.current():
            if not self._context.execute_async_v3(self._stream.handle):
                raise self._failure("cannot run")

    def close(self) -> None:
        with self._device.current():
            self._context = None
