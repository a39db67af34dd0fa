"""A card that is the host, for the small TensorRT and ONNX Runtime of these tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.fake_state import Inside

from ...kernels.host_device import HostDevice


class Card(HostDevice):
    """Its kernels run on the host; what a library computes is a function in their place."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = Inside()
        self._plans: dict[str, Callable[[], None]] = {}

    def current(self) -> Inside:
        return self.inside

    def view(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        return self._view(pointer, nbytes)

    def register(self, name: str, function: Callable[[], None], *, writes: list[int]) -> None:
        self._plans[name] = function

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Any:
        return self if name == "plan" else super().module(source, name, options)

    def kernel(self, name: str) -> Any:
        class Plan:
            def launch(plan, stream: Any, *_: Any) -> None:  # noqa: N805
                stream.give(self._plans[name])

        return Plan()
