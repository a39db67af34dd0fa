"""An engine without weights that prepares and finishes itself, as those on a GPU do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, on_host
from edgesam.engines import Answer, Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam_kernels import cpu
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.grey import GreyTable


class Late:
    """An array that is handed out before it is there.

    Attributes:
        waited: whether somebody stayed until it was.
    """

    def __init__(self, array: NDArray[np.float32]) -> None:
        self._array, self.waited = array, False
        self.shape, self.dtype, self.nbytes = array.shape, array.dtype, array.nbytes

    def host(self) -> NDArray[np.float32]:
        self.finish()
        return self._array.copy()

    def finish(self) -> None:
        self.waited = True


class DeviceFake(FakeEngine):
    """Keeps its session's account of what was done where.

    Attributes:
        late: what was handed out, by what it is.
        done: names of the calls.
    """

    name = "device"  # type: ignore[assignment]

    def __init__(self) -> None:
        self.late: list[tuple[str, Late]] = []
        self.done: list[str] = []

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "cuda")

    def open(self, graphs: Graphs, **how: Any) -> FakeSession:
        return FakeSession() if how["device"] == "cpu" else DeviceFakeSession(self)


class DeviceFakeSession(FakeSession):
    description = "device:cuda"

    def __init__(self, engine: DeviceFake) -> None:
        super().__init__()
        self._engine = engine

    def adopt(self, array: Any) -> Any:
        self._engine.done.append("adopt")
        return array

    def prepare(self, pixels: NDArray[Any], grey: GreyTable | None, rule: Preparation) -> Tensor:
        return self._late("prepare", cpu.prepare(pixels, grey, rule))

    def encode(self, image: Tensor, cancel: Cancel | None = None) -> Tensor:  # type: ignore[override]
        return self._late("encode", super().encode(on_host(image), cancel))

    def image_side(self, embedding: Tensor, masks: Any) -> ImageSide:
        return (self._late("image_side", on_host(embedding)),)

    def decode(self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]) -> Any:
        self._engine.done.append("decode")
        return super().decode(side, prompts, tokens)

    def finish(
        self,
        side: ImageSide,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame,
        offset: float = 1.0,
    ) -> Answer:
        self._engine.done.append("finish")
        on_host(side[0])
        logits, iou = super().decode(side, prompts, tokens)
        flat = logits.reshape(-1, *logits.shape[-2:])
        return Answer(logits, iou, cpu.finish(flat, frame, offset))

    def _late(self, what: str, array: NDArray[np.float32]) -> Late:
        self._engine.done.append(what)
        self._engine.late.append((what, Late(array)))
        return self._engine.late[-1][1]
