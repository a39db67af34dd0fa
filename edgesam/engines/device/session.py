"""A variant's three graphs on a device, as a session: what goes to which. Knows no library."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, on_host
from edgesam.engines.device.graph import DeviceGraph
from edgesam.engines.device.masks import DeviceMasks
from edgesam.engines.device.pictures import Pictures
from edgesam.engines.protocol import Answer, MaskPrompts, Prompts, joined
from edgesam.errors import PromptError
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.device.arrays import DeviceArray
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.grey import GreyTable


@dataclass(frozen=True)
class Limits:
    """What the decoder takes at once.

    Attributes:
        prompts: N, more of which are asked in parts.
        points: of each, more of which are refused.
        images: of the encoder, if its graph takes several.
    """

    prompts: int
    points: int
    images: int


class DeviceSession:
    """Many threads may call it; each graph runs for one at a time, on a stream of its own."""

    def __init__(
        self,
        encoder: DeviceGraph,
        image_side: DeviceGraph,
        decoder: DeviceGraph,
        *,
        description: str,
        limits: Limits | None = None,
    ) -> None:
        self._encoder = encoder
        self._image_side = image_side
        self._side_names = [name for name in image_side.outputs if name in decoder.inputs]
        self._masks = DeviceMasks(decoder, self._side_names)
        self._decoder = decoder
        self.description, self._limits = description, limits
        several = encoder.shape("image")[0] < 0
        self._at_once = limits.images if limits is not None and several else 1
        self.card = f"{encoder.device.name}, CUDA {encoder.device.driver}"
        self._pictures = Pictures(encoder.device)
        self._lock = threading.Lock()
        self._no_masks: dict[str, Tensor] | None = None

    def adopt(self, array: Any) -> DeviceArray:
        return self._pictures.adopt(array)

    def prepare(
        self, pixels: NDArray[Any] | DeviceArray, grey: GreyTable | None, rule: Preparation
    ) -> Tensor:
        return self._pictures.prepare(pixels, grey, rule)

    def encode(self, image: Tensor, cancel: Cancel | None = None) -> Tensor:
        """Given to the encoder's stream: what comes back may still be in the making."""
        cancel = cancel or Cancel()
        with cancel.by(lambda: None):  # a GPU is not stopped: what it makes is not handed out
            cancel.check()
            (embedding,) = self._encoder.enqueue({"image": image}, ["image_embeddings"])
        cancel.check()
        return embedding

    def encode_batch(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Those that a run takes are put beside each other on the device."""
        found: list[Tensor] = []
        for start in range(0, len(images), self._at_once):
            some = images[start : start + self._at_once]
            if len(some) == 1:
                found.append(self.encode(some[0]))
                continue
            (made,) = self._encoder.enqueue({"image": some}, ["image_embeddings"])
            found += made.parts()
        return found

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        if len(masks.given) == 1:
            told = _told(masks) if masks.given.any() else self._without_masks(masks)
            return self._image_side.enqueue(
                {"image_embeddings": embedding, **told}, self._side_names
            )
        # TensorRT's plans take one mask prompt: see tensorrt.network.
        sides = [
            self._image_side.run({"image_embeddings": embedding, **_told(one)}, self._side_names)
            for one in _one_by_one(masks)
        ]
        return tuple(np.concatenate(parts) for parts in zip(*sides, strict=True))

    def _without_masks(self, masks: MaskPrompts) -> dict[str, Tensor]:
        """Every picture's first side: copied to the device once, so that nothing waits."""
        with self._lock:
            if self._no_masks is None:
                self._no_masks = {
                    name: self._image_side.put(name, on_host(array))
                    for name, array in _told(masks).items()
                }
            return self._no_masks

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answer = self._answer(side, prompts, tokens, None, 1.0)
        return answer.logits, answer.iou

    def finish(
        self,
        side: ImageSide,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame,
        offset: float = 1.0,
    ) -> Answer:
        return self._answer(side, prompts, tokens, frame, offset)

    def _answer(
        self,
        side: ImageSide,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame | None,
        offset: float,
    ) -> Answer:
        limits, (count, points, _) = self._limits, prompts.coords.shape
        if limits is not None and points > limits.points:
            raise PromptError(
                f"a prompt of {points} points, with its box or padding point: TensorRT's plans "
                f"take {limits.points}; give fewer points, or take another engine"
            )
        parts = _parts(side, prompts, limits.prompts if limits else max(1, count))
        return joined([self._masks.answer(*part, tokens, frame, offset) for part in parts])

    def close(self) -> None:
        self._pictures.close()
        self._no_masks = None
        self._masks.close()
        for graph in (self._encoder, self._image_side, self._decoder):
            graph.close()


def _told(masks: MaskPrompts) -> dict[str, Tensor]:
    """What the picture's side is told of them."""
    return {"mask_input": masks.logits, "has_mask_input": masks.given}


def _one_by_one(masks: MaskPrompts) -> Iterator[MaskPrompts]:
    for row in range(len(masks.given)):
        yield MaskPrompts(masks.logits[row : row + 1], masks.given[row : row + 1])


def _parts(
    side: ImageSide, prompts: Prompts, most: int
) -> Iterator[tuple[Sequence[Tensor], Prompts]]:
    """Of N prompts what one run takes: as many as may be, or one where each has a side."""
    count = len(prompts.coords)
    if side[0].shape[0] == 1:
        for start in range(0, count, most):
            yield side, _rows(prompts, slice(start, start + most))
        return
    arrays = [on_host(array) for array in side]
    for row in range(count):
        one = slice(row, row + 1)
        yield [array[one] for array in arrays], _rows(prompts, one)


def _rows(prompts: Prompts, rows: slice) -> Prompts:
    """Some of them; masks are in the picture's side."""
    return Prompts(prompts.coords[rows], prompts.labels[rows])
