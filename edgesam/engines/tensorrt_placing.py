"""A plan's runs on tensors that stay where their owner put them. Knows no plan and no memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgesam_kernels.device import Device, Stream


class Placing:
    """One execution context, for one thread at a time.

    Args:
        context: TensorRT's.
        device, stream: where it runs.
        failure: the error for what TensorRT refused, from words that the graph's name ends.
    """

    def __init__(
        self,
        context: Any,
        device: Device,
        stream: Stream,
        failure: Callable[[str], Exception],
    ) -> None:
        self._context, self._device, self._stream = context, device, stream
        self._failure = failure

    def place(self, tensors: Mapping[str, tuple[int, tuple[int, ...] | None]]) -> None:
        """Say where all inputs and outputs lie: pointer, and shape of an input, by name.

        Raises:
            BundleError: the graph does not take such inputs.
        """
        with self._device.current():
            for name, (pointer, shape) in tensors.items():
                if shape is not None and not self._context.set_input_shape(name, shape):
                    raise self._failure(f"does not take {name} of {by(shape)} in")
                if not self._context.set_tensor_address(name, pointer):
                    raise self._failure(f"does not take an address for {name} in")

    def launch(self) -> None:
        """Give the stream one computation and nothing else: it may be recorded.

        Raises:
            BundleError, OutOfMemory: TensorRT does not run it.
        """
        with self._device.current():
            if not self._context.execute_async_v3(self._stream.handle):
                raise self._failure("cannot run")

    def close(self) -> None:
        """Let go of the context, before the graph does of its plan."""
        with self._device.current():
            self._context = None


def by(shape: Sequence[int]) -> str:
    """As 1 x 2 x 3."""
    return " x ".join(map(str, shape))
