"""What the official networks make of random weights, for tests with no checkpoint. Knows no engine.

Everything is in the networks' own frames, without preprocessing: a picture of the square's size,
prompts in its pixels, low-resolution logits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.golden import sample_places
from edgesam_bench.phantoms import LOGITS_SIDE, draw

SEED = 2026
EMBEDDING_SAMPLES = 512
LOGITS_SAMPLES = 256


@dataclass(frozen=True, eq=False)
class NetworkPrompt:
    """A prompt as the mask decoder's graph takes it.

    Attributes:
        coords: (P, 2) float32 x, y in pixels of the square.
        labels: (P,) 1 inside, 0 outside, 2 and 3 a box's corners, -1 the padding point.
        mask: (L, L) float32 logits of the decoder's low resolution, or None.
    """

    coords: NDArray[np.float32]
    labels: NDArray[np.int32]
    mask: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class RandomGolden:
    """One network's answers.

    Attributes:
        model: whose shapes the network has.
        side: of its square input, in pixels.
        embedding: (512,) float32 samples.
        norm: Euclidean length of the embedding.
        logits: prompt -> (4, 256) float32 samples.
        scores: prompt -> (4,) float32.
    """

    model: str
    side: int
    embedding: NDArray[np.float32]
    norm: float
    logits: Mapping[str, NDArray[np.float32]]
    scores: Mapping[str, NDArray[np.float32]]

    def write(self, file: Path) -> None:
        """As one compressed file of numpy's."""
        arrays: dict[str, Any] = {f"logits/{name}": a for name, a in self.logits.items()}
        arrays |= {f"scores/{name}": a for name, a in self.scores.items()}
        about = json.dumps({"model": self.model, "side": self.side, "norm": self.norm})
        np.savez_compressed(file, about=np.array(about), embedding=self.embedding, **arrays)


def read_random_golden(file: Path) -> RandomGolden:
    """What :meth:`RandomGolden.write` wrote."""
    with np.load(file) as arrays:
        about = json.loads(str(arrays["about"]))
        named = {key: arrays[key] for key in arrays.files}
    return RandomGolden(
        **about,
        embedding=named["embedding"],
        logits={k.removeprefix("logits/"): a for k, a in named.items() if k.startswith("logits/")},
        scores={k.removeprefix("scores/"): a for k, a in named.items() if k.startswith("scores/")},
    )


def network_picture(side: int) -> NDArray[np.float32]:
    """(1, 3, side, side): a phantom, its levels brought near -2..2 exactly."""
    pixels = draw(side, side, colour=True, seed=SEED).pixels
    scaled = (pixels.astype(np.float32) - np.float32(128)) / np.float32(64)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def network_prompts(side: int, low_resolution: int = LOGITS_SIDE) -> dict[str, NetworkPrompt]:
    """The prompts, by name.

    Args:
        side: of the network's square, in pixels.
        low_resolution: side of the decoder's logits; divides 256.
    """
    phantom = draw(side, side, colour=True, seed=SEED)
    step = LOGITS_SIDE // low_resolution
    ellipse = phantom.ellipses[-1]
    logits = np.ascontiguousarray(phantom.logits(-1)[step // 2 :: step, step // 2 :: step])
    middle, corner, nowhere = (ellipse.x, ellipse.y), (side - 1, 1), (0, 0)
    box = (ellipse.box[:2], ellipse.box[2:])
    return {
        "box": _prompt(box, (2, 3)),
        "point": _prompt((middle, nowhere), (1, -1)),
        "points": _prompt((middle, corner, nowhere), (1, 0, -1)),
        "box+point": _prompt((middle, *box), (1, 2, 3)),
        "box+logits": _prompt(box, (2, 3), logits),
        "logits": _prompt((), (), logits),
    }


def embedding_samples(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """(512,) of an embedding."""
    flat = embedding.ravel()
    chosen: NDArray[np.float32] = flat[sample_places(flat.size, EMBEDDING_SAMPLES)]
    return chosen


def logits_samples(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4, L, L) -> (4, 256)."""
    flat = logits.reshape(len(logits), -1)
    chosen: NDArray[np.float32] = flat[:, sample_places(flat.shape[1], LOGITS_SAMPLES)]
    return chosen


def _prompt(
    coords: tuple[tuple[int, ...], ...],
    labels: tuple[int, ...],
    mask: NDArray[np.float32] | None = None,
) -> NetworkPrompt:
    return NetworkPrompt(
        np.array(coords, dtype=np.float32).reshape(-1, 2), np.array(labels, dtype=np.int32), mask
    )
