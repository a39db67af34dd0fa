"""Small stored answers of the official code, for tests without it. Knows no engine.

One file holds one model's: the pictures that cannot be drawn again, and for each case the four
masks in full, but of embeddings and logits samples only. The rest is in :mod:`phantoms`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.cases import Case
from edgesam_bench.phantoms import Ellipse, Phantom, draw
from edgesam_bench.reference import Answer, case_from_json

EMBEDDING_SAMPLES = 256
LOGITS_SAMPLES = 64

# name -> height, width, colour, seed: wide, high, long, enlarged and shrunk by both models.
PHANTOMS: dict[str, tuple[int, int, bool, int]] = {
    "wide": (240, 320, False, 1),
    "high": (330, 210, True, 2),
    "small": (90, 120, True, 3),
    "long": (100, 400, False, 4),
    "large": (1100, 850, True, 5),
}


@dataclass(frozen=True, eq=False)
class GoldenPicture:
    """What the official encoder made of one picture.

    Attributes:
        sha256: of the picture's (H, W, 3) bytes.
        samples: (256,) float32 of the embedding, at :func:`sample_places`.
        norm: Euclidean length of the embedding.
    """

    sha256: str
    samples: NDArray[np.float32]
    norm: float


@dataclass(frozen=True, eq=False)
class Golden:
    """One model's golden answers.

    Attributes:
        model: its name.
        checkpoint_sha256: of the weights.
        versions: of the official side's packages.
        stored: name -> (H, W) uint8 grey pictures that no seed can draw.
        pictures: by name, stored and drawn.
        cases: a case's ``mask_input`` names the phantom whose top ellipse's logits it feeds back.
        answers: one per case; of the logits only (4, 64) samples.
    """

    model: str
    checkpoint_sha256: str
    versions: Mapping[str, str]
    stored: Mapping[str, NDArray[np.uint8]]
    pictures: Mapping[str, GoldenPicture]
    cases: Sequence[Case]
    answers: Sequence[Answer]

    def pixels(self, picture: str) -> NDArray[np.uint8]:
        """(H, W, 3)."""
        if picture in self.stored:
            return np.repeat(self.stored[picture][:, :, None], 3, axis=2)
        return phantom(picture).pixels

    def write(self, file: Path) -> None:
        """As one compressed file of numpy's."""
        about = {
            "model": self.model,
            "checkpoint_sha256": self.checkpoint_sha256,
            "versions": dict(self.versions),
            "sha256": {name: p.sha256 for name, p in self.pictures.items()},
            "norm": {name: p.norm for name, p in self.pictures.items()},
            "cases": [asdict(case) for case in self.cases],
        }
        arrays: dict[str, Any] = {f"picture/{n}": pixels for n, pixels in self.stored.items()}
        arrays |= {f"embedding/{n}": p.samples for n, p in self.pictures.items()}
        for row, answer in enumerate(self.answers):
            arrays[f"logits/{row}"] = answer.logits
            arrays[f"scores/{row}"] = answer.scores
            arrays[f"masks/{row}"] = np.packbits(answer.masks, axis=-1)
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def read_golden(file: Path) -> Golden:
    """What :meth:`Golden.write` wrote."""
    with np.load(file) as arrays:
        about = json.loads(str(arrays["about"]))
        stored = {n: arrays[f"picture/{n}"] for n in about["sha256"] if f"picture/{n}" in arrays}
        pictures = {
            name: GoldenPicture(sha256, arrays[f"embedding/{name}"], about["norm"][name])
            for name, sha256 in about["sha256"].items()
        }
        cases = [case_from_json(case) for case in about["cases"]]
        answers = []
        for row, case in enumerate(cases):
            width = stored[case.picture].shape[1] if case.picture in stored else _width(case)
            packed = arrays[f"masks/{row}"]
            masks = np.unpackbits(packed, axis=-1, count=width).astype(bool)
            answers.append(Answer(arrays[f"logits/{row}"], arrays[f"scores/{row}"], masks))
    return Golden(
        model=about["model"],
        checkpoint_sha256=about["checkpoint_sha256"],
        versions=about["versions"],
        stored=stored,
        pictures=pictures,
        cases=cases,
        answers=answers,
    )


def phantom(name: str) -> Phantom:
    """The phantom of that name."""
    height, width, colour, seed = PHANTOMS[name]
    return draw(height, width, colour=colour, seed=seed)


def top(name: str) -> Ellipse:
    """The phantom's ellipse that nothing covers."""
    return phantom(name).ellipses[-1]


def fed_back(case: Case) -> NDArray[np.float32] | None:
    """The (256, 256) logits a case feeds back, if it does."""
    return None if case.mask_input is None else phantom(case.mask_input).logits(-1)


def sample_places(size: int, count: int) -> NDArray[np.int64]:
    """Places spread over a flat array; a prime stride, so that no axis is met at one place only."""
    return np.arange(count, dtype=np.int64) * 104_729 % size


def sampled(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., 256, 256) logits -> (..., 64)."""
    flat = logits.reshape(*logits.shape[:-2], -1)
    chosen: NDArray[np.float32] = flat[..., sample_places(flat.shape[-1], LOGITS_SAMPLES)]
    return chosen


def describe(pixels: NDArray[np.uint8], embedding: NDArray[np.float32]) -> GoldenPicture:
    """A picture and its embedding as golden files keep them."""
    flat = embedding.ravel()
    return GoldenPicture(
        sha256=hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        samples=flat[sample_places(flat.size, EMBEDDING_SAMPLES)],
        norm=float(np.linalg.norm(flat.astype(np.float64))),
    )


def _width(case: Case) -> int:
    return PHANTOMS[case.picture][1]
