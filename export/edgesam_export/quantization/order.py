"""In which order products are worth their error. Knows graphs and the engine, no mask.

Each product is quantised alone and the change of the embedding measured; errors of several are
nearly independent, so that their squares add up. What saves most work for its error comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesam_export.graphs.net import Net
from edgesam_export.quantization.engine import EncoderRun
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Quantized, Recipe

LEAST_WORK = 0.002  # of the network's products: less saves nothing that can be measured
_EMBEDDING = "image_embeddings"


@dataclass(frozen=True)
class Joining:
    """A product that may run in 8 bits.

    Attributes:
        name: of its node.
        how: it is quantised.
        work: its share of the network's multiply-accumulates.
        error: by how much it raises the squared relative error of the embedding.
    """

    name: str
    how: Quantized
    work: float
    error: float


def in_order(
    make: Callable[[], Net],
    learned: Mapping[str, Quantized],
    work: Mapping[str, float],
    pictures: Sequence[NDArray[np.float32]],
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Joining]:
    """All products that are worth it, those that hurt least for what they save first.

    Args:
        make: builds the network, anew at each call.
        learned: name -> how it is quantised.
        work: name -> its share of the network's work.
        pictures: (1, 3, S, S) float32, as the network takes them.
        folder: for the graphs.
        progress: told how many of how many are done.
    """
    plain = folder / "alone.onnx"
    make().save(plain)
    exact = [EncoderRun(plain)(picture)[_EMBEDDING] for picture in pictures]
    names = [name for name in learned if work[name] >= LEAST_WORK]
    found: list[Joining] = []
    for done, name in enumerate(names, start=1):
        path = save_quantized(make, {name: learned[name]}, plain)
        run = EncoderRun(path)
        errors = [
            _squared(run(picture)[_EMBEDDING], expected)
            for picture, expected in zip(pictures, exact, strict=True)
        ]
        found.append(Joining(name, learned[name], work[name], float(np.mean(errors))))
        progress(done, len(names))
    return sorted(found, key=lambda one: one.error / one.work)


def save_quantized(make: Callable[[], Net], nodes: Mapping[str, Quantized], path: Path) -> Path:
    """Write the network with these products in 8 bits; its weights may come to lie beside it."""
    net = make()
    quantize(net, Recipe("", (), nodes))
    net.save(path)
    return path


def _squared(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    exact = expected.astype(np.float64)
    return float(((found - exact) ** 2).sum() / (exact**2).sum())
