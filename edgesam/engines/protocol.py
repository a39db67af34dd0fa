"""What an engine is: it opens a variant's graphs on a device and runs them. Knows no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.device.arrays import DeviceArray
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import Finished, together
from edgesam_kernels.grey import GreyTable


@dataclass(frozen=True)
class MaskPrompts:
    """The mask prompts of N prompts, as the picture's side takes them.

    Attributes:
        logits: (M, 1, L, L) float32, M being 1 (shared) or N.
        given: (M,) float32, 1 where ``logits`` says something, else 0.
    """

    logits: NDArray[np.float32]
    given: NDArray[np.float32]

    @classmethod
    def none(cls, low: int) -> MaskPrompts:
        """What says nothing, for a model whose logits have that side."""
        return cls(np.zeros((1, 1, low, low), np.float32), np.zeros(1, np.float32))


@dataclass(frozen=True)
class Prompts:
    """N prompts of P points each.

    Attributes:
        coords: (N, P, 2) float32, x and y in pixels of the model's square.
        labels: (N, P) int32: 1 in, 0 out, 2 and 3 a box's corners, -1 the padding point.
        masks: which change the picture's side, or None.
    """

    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    masks: MaskPrompts | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of N prompts, in host memory.

    Attributes:
        logits: (N, K, L, L) float32, of K of the four mask tokens.
        iou: (N, 4) float32, predicted, of all of them.
        masks: N times K, prompt after prompt, in the picture's size; None if they were not asked
            for.
    """

    logits: NDArray[np.float32]
    iou: NDArray[np.float32]
    masks: Finished | None


def joined(answers: Sequence[Answer]) -> Answer:
    """The answers to prompts that were asked in parts."""
    if len(answers) == 1:
        return answers[0]
    masks = [answer.masks for answer in answers if answer.masks is not None]
    return Answer(
        np.concatenate([answer.logits for answer in answers]),
        np.concatenate([answer.iou for answer in answers]),
        together(masks) if masks else None,
    )


@dataclass(frozen=True)
class Graphs:
    """The files of one variant's graphs, each verified.

    Attributes:
        image_encoder, image_side, mask_decoder: ONNX files.
        fp32_until: of a precision that graphs cannot say: the value of the image encoder's graph
            up to which it stays float32; None: nothing does.
    """

    image_encoder: Path
    image_side: Path
    mask_decoder: Path
    fp32_until: str | None = None


class Session(Protocol):
    """A variant's graphs, ready to run. Many threads may call one session."""

    @property
    def description(self) -> str:
        """Engine and device that really run, as ``onnxruntime:cpu``."""

    @property
    def card(self) -> str:
        """What else than the processor computes, as ``NVIDIA H200, CUDA 13.0``; empty if nothing
        does.
        """

    def encode(self, image: NDArray[np.float32], cancel: Cancel | None = None) -> Tensor:
        """(1, 3, S, S) -> (1, 256, G, G), which lies where this engine computes.

        Raises:
            Cancelled: ``cancel`` was told before it was done.
        """

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        """Of an embedding (1, 256, G, G) with the mask prompts of those that it is for.

        The embedding may be this session's own, an array in host memory, or another session's,
        of whatever engine: what does not lie here is brought here.
        """

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (N, K, L, L) of K of the four mask tokens, L being 4 G, and predicted IoU (N, 4)
        of all of them, in host memory. The prompts' masks are not read: they are in the
        picture's side, which may lie anywhere, as :meth:`image_side`'s embedding.
        """

    def close(self) -> None:
        """Free what the engine holds."""


class Finishing(Protocol):
    """What a session is as well that makes masks of the picture itself, where its logits lie."""

    def finish(
        self,
        side: ImageSide,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame,
        offset: float = 1.0,
    ) -> Answer:
        """:meth:`Session.decode`, and of its logits the masks, counted at ``offset`` above and
        below their threshold.
        """


@runtime_checkable
class Batching(Protocol):
    """What a session can do, too, whose encoder may take several pictures in one run."""

    def encode_batch(self, images: Sequence[Tensor]) -> list[Tensor]:
        """As :meth:`Session.encode` of each, in their order, in as few runs as may be."""


@runtime_checkable
class DevicePixels(Protocol):
    """What a session can do, too, whose engine prepares pictures where it computes."""

    def adopt(self, array: Any) -> DeviceArray:
        """A picture of somebody's that lies on the device already; nothing is copied.

        Raises:
            ImageError: it lies elsewhere, or its numbers are of no plain type.
        """

    def prepare(
        self, pixels: NDArray[Any] | DeviceArray, grey: GreyTable | None, rule: Preparation
    ) -> Tensor:
        """As :func:`edgesam_kernels.cpu.prepare`, with the same answer; nobody waits for it.

        Args:
            pixels: (H, W) or (H, W, 3); in host memory they may change when this has returned.
            grey: makes grey levels of them; None if they are such.
            rule: the rest.
        """

    def encode(self, image: Tensor, cancel: Cancel | None = None) -> Tensor:
        """As a session's, also of what :meth:`prepare` gave."""


class Engine(Protocol):
    """A way to run graphs."""

    @property
    def name(self) -> str: ...

    def available(self) -> str | None:
        """None when it works here, else the reason why not and what to do, in one line."""

    def devices(self) -> tuple[str, ...]:
        """Devices it can run on here; empty when it is not available."""

    def precisions(self, device: str) -> tuple[str, ...]:
        """What it runs natively on a device here, the fastest first: what ``tune`` measures."""

    def open(
        self,
        graphs: Graphs,
        *,
        precision: str,
        device: str,
        threads: int | None,
    ) -> Session:
        """Load the graphs.

        Raises:
            EngineUnavailable: the engine or the device cannot run here.
            PrecisionMismatch: what was loaded does not run in that precision.
            BundleError: the graphs cannot be loaded.
            OutOfMemory: there is no memory to load them.
        """
