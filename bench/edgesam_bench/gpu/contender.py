"""Who is measured: what each can be asked, and edgesam through its public names. Knows no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam import Embedding, Prompt, Sam
from edgesam.embedding import finished
from edgesam.prepared import prepare
from edgesam_bench.phantoms import draw
from edgesam_bench.speed.prompts import Box, box

SIDE = 512  # of the picture and of the frames, in pixels
BATCH = 64
FRAMES = 48
TOGETHER = 4  # pictures of a call that encodes several


@dataclass(frozen=True)
class Material:
    """What all contenders of a model are asked about.

    Attributes:
        picture: (H, W, 3) uint8.
        frames: other ones of that size.
        grid: points per side in everything mode.
        batch: boxes of the batch.
    """

    picture: NDArray[np.uint8]
    frames: Sequence[NDArray[np.uint8]]
    grid: int = 32
    batch: int = BATCH

    def box(self, number: int) -> Box:
        """The n-th box in pixels; another one every time."""
        height, width = self.picture.shape[:2]
        return box(number, width, height)

    def together(self) -> list[NDArray[np.uint8]]:
        """Pictures that are encoded in one call; no two are the same."""
        return [np.roll(self.picture, 5 * number, axis=0) for number in range(TOGETHER)]

    def boxes(self, number: int) -> list[Box]:
        """As many as the batch has, from the n-th on."""
        return [self.box(number + index) for index in range(self.batch)]


def material(frames: int = FRAMES, grid: int = 32, batch: int = BATCH) -> Material:
    """Phantoms: nothing has to be carried to the machine, and time does not depend on pixels."""
    picture = draw(SIDE, SIDE, colour=False, seed=1).pixels
    moved = [np.roll(picture, 3 * number + 3, axis=1) for number in range(frames)]
    return Material(picture, moved, grid, batch)


class Contender(ABC):
    """One model, run by one engine in one precision. Calls may return before the device is done.

    Attributes:
        name: as ``onnxruntime fp16``.
        precision: of its matrix products.
        ours: whether it is edgesam.
        about: JSON-ready: what really runs.
    """

    name: str
    precision: str
    ours: bool
    about: dict[str, Any]

    @abstractmethod
    def without(self) -> Mapping[str, str]:
        """Measures that it does not have, and why."""

    @abstractmethod
    def embed(self) -> object:
        """Picture in memory to embedding."""

    @abstractmethod
    def encode(self) -> object:
        """Prepared picture to embedding."""

    @abstractmethod
    def encode_batch(self) -> object:
        """:data:`TOGETHER` prepared pictures to as many embeddings, by one call."""

    @abstractmethod
    def click(self, number: int) -> NDArray[np.bool_]:
        """The mask (H, W) of one box."""

    @abstractmethod
    def batch(self, number: int) -> object:
        """The masks of many boxes on one embedding."""

    @abstractmethod
    def everything(self) -> int:
        """How many masks a grid of points finds in the picture."""

    @abstractmethod
    def serial(self) -> object:
        """All frames, each embedded and clicked on, one after the other."""

    @abstractmethod
    def overlapped(self) -> object:
        """The same, the next frames in the making meanwhile."""

    @abstractmethod
    def embedding(self) -> NDArray[np.float32]:
        """Of the picture, on the host."""

    @abstractmethod
    def close(self) -> None:
        """Free the device."""


class EdgeSam(Contender):
    """edgesam. Its ``click`` and ``batch`` ask the embedding that ``embed`` left.

    Args:
        sam: loaded.
        engine: its engine's name.
        material: what it is asked about.
    """

    ours = True

    def __init__(self, sam: Sam, engine: str, material: Material) -> None:
        self.name, self.precision = f"{engine} {sam.variant}", sam.variant
        self._sam, self._material = sam, material
        self._prepared = prepare(material.picture, None, sam.manifest, sam.pixels)
        self._together = [
            prepare(picture, None, sam.manifest, sam.pixels) for picture in material.together()
        ]
        self._embedding: Embedding = sam.encode(self._prepared)
        self._embedding.wait()  # what the device refuses, it refuses now
        for prepared in self._together:
            finished(prepared.network)
        passport = sam.passport
        self.about = {
            "engine": sam.engine,
            "variant": sam.variant,
            "passport": None if passport is None else passport["mask_iou"],
        }

    @property
    def sam(self) -> Sam:
        """The model itself."""
        return self._sam

    def without(self) -> Mapping[str, str]:
        if "point" in self._sam.manifest.profile.prompt_kinds:
            return {}
        return {"everything": f"{self._sam.model} takes no points"}

    def embed(self) -> object:
        self._embedding = self._sam.embed(self._material.picture)
        self._embedding.wait()
        return self._embedding

    def encode(self) -> object:
        embedding = self._sam.encode(self._prepared)
        embedding.wait()
        return embedding

    def encode_batch(self) -> object:
        embeddings = self._sam.encode_batch(self._together)
        for embedding in embeddings:
            embedding.wait()
        return embeddings

    def click(self, number: int) -> NDArray[np.bool_]:
        prompt = Prompt.box(*self._material.box(number))
        return self._sam.segment(self._embedding, prompt).array

    def batch(self, number: int) -> object:
        prompts = [Prompt.box(*corners) for corners in self._material.boxes(number)]
        return self._sam.segment_batch(self._embedding, prompts)

    def everything(self) -> int:
        grid = self._material.grid
        return len(edgesam.everything(self._sam, self._material.picture, points_per_side=grid))

    def serial(self) -> object:
        prompt = Prompt.box(*self._material.box(0))
        return [self._sam.segment(self._sam.embed(f), prompt).area for f in self._material.frames]

    def overlapped(self) -> object:
        prompt = Prompt.box(*self._material.box(0))
        with edgesam.stream(self._sam, self._material.frames, ahead=2) as embeddings:
            return [self._sam.segment(embedding, prompt).area for embedding in embeddings]

    def embedding(self) -> NDArray[np.float32]:
        return np.asarray(self._sam.encode(self._prepared).array, np.float32)

    def close(self) -> None:
        self._sam.close()
