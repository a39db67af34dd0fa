"""An engine without weights, for tests of what stands above engines: it paints what it is told.

It is never chosen by ``auto`` and has no name on the command line: pass an instance to ``load``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor
from edgesam.engines.protocol import Graphs, MaskPrompts, Prompts

_RADIUS = 16  # low-resolution pixels around a positive point


class FakeEngine:
    """Masks are the prompt's own box, or a disk around each positive point."""

    name = "fake"

    def available(self) -> str | None:
        return None

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def precisions(self, device: str) -> tuple[str, ...]:  # noqa: ARG002
        return ("fp32",)

    def open(
        self,
        graphs: Graphs,  # noqa: ARG002
        *,
        precision: str,  # noqa: ARG002
        device: str,  # noqa: ARG002
        threads: int | None,  # noqa: ARG002
    ) -> FakeSession:
        return FakeSession()


class FakeSession:
    """Remembers the side of the square from the last picture it saw."""

    description, card = "fake:cpu", ""

    def __init__(self) -> None:
        self._square = 1024

    def encode(
        self, image: NDArray[np.float32], cancel: Cancel | None = None
    ) -> NDArray[np.float32]:
        if cancel is not None:
            cancel.check()
        self._square = image.shape[-1]
        return np.full((1, 256, 64, 64), image.mean(), np.float32)

    def image_side(
        self,
        embedding: Tensor,
        masks: MaskPrompts,  # noqa: ARG002
    ) -> ImageSide:
        return (embedding,)

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = self.all_four(side, prompts)
        return logits[:, list(tokens)], iou

    def all_four(
        self,
        side: ImageSide,  # noqa: ARG002
        prompts: Prompts,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N, 4, L, L) and predicted IoU (N, 4): what a subclass paints otherwise."""
        count = len(prompts.coords)
        y, x = np.mgrid[:256, :256] + 0.5
        logits = np.full((count, 4, 256, 256), -10.0, np.float32)
        for i in range(count):
            coords = prompts.coords[i] * (256 / self._square)
            labels = prompts.labels[i]
            for px, py in coords[labels == 1]:
                logits[i, :, (x - px) ** 2 + (y - py) ** 2 < _RADIUS**2] = 10.0
            if 2 in labels:
                (x0, y0), (x1, y1) = coords[labels == 2][0], coords[labels == 3][0]
                logits[i, :, (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)] = 10.0
        return logits, np.tile(np.array([0.9, 0.7, 0.8, 0.6], np.float32), (count, 1))

    def close(self) -> None:
        pass
