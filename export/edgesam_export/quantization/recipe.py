"""What calibration learned about a network: which nodes run in 8 bits, and with which scales.

Small data: weights are rounded from the checkpoint by the recipe, never stored in it. Knows no
graph. For known checkpoints a recipe ships with the package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ExportError

SCHEMA = 1
STEPS = 4  # smoothing factors are powers of 2 ** (1 / STEPS)

# Literals, not a power function: exports must be the same bytes on every machine.
_FRACTIONS = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)


@dataclass(frozen=True)
class Quantized:
    """One product (MatMul or Conv) in 8 bits: inputs per tensor, int8 weights per channel.

    Attributes:
        scale: of the inputs: value = scale * (byte - zero), bytes from 0 to 255.
        zero: their zero point, 0 to 255; a graph has the same in int8, moved to 0.
        smoothing: exponents e of factors 2 ** (e / 4) that input channels are divided by and
            weights multiplied with (Xiao et al., "SmoothQuant", 2023), or None.
        fold: the division goes into the weights before (a LayerNorm, or the values of an
            attention); else a Mul does it.
        bias: (outputs,) mean error of the rounding, to be added, or None.
    """

    scale: float
    zero: int
    smoothing: tuple[int, ...] | None = None
    fold: bool = True
    bias: tuple[float, ...] | None = None

    def factors(self, channels: int) -> NDArray[np.float64]:
        """(channels,) smoothing factors, the same bits everywhere."""
        if self.smoothing is None:
            return np.ones(channels)
        return np.array([math.ldexp(_FRACTIONS[e % STEPS], e // STEPS) for e in self.smoothing])


@dataclass(frozen=True)
class Recipe:
    """How to make a network's INT8 variant.

    Attributes:
        checkpoint: sha256 of the checkpoint that it was learned on.
        images: sha256 of the pictures that it was learned from or chosen on.
        nodes: name of a node in the image encoder's graph -> how it is quantised.
    """

    checkpoint: str
    images: tuple[str, ...]
    nodes: Mapping[str, Quantized]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        nodes = {
            name: {
                "scale": one.scale,
                "zero": one.zero,
                "smoothing": one.smoothing,
                "fold": one.fold,
                "bias": one.bias,
            }
            for name, one in self.nodes.items()
        }
        head = {"schema": SCHEMA, "checkpoint": self.checkpoint, "images": self.images}
        return {**head, "nodes": nodes}

    def to_json(self) -> str:
        """Its text: the same for the same recipe."""
        return json.dumps(self.to_dict(), separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Recipe:
        """Read a recipe; ``where`` names it in errors.

        Raises:
            ExportError: it is none, or of another schema.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values["schema"] != SCHEMA:
                raise ExportError(f"{where} has schema {values['schema']}, not {SCHEMA}")
            nodes = {
                name: Quantized(
                    scale=float(one["scale"]),
                    zero=int(one["zero"]),
                    smoothing=None if one["smoothing"] is None else tuple(one["smoothing"]),
                    fold=bool(one["fold"]),
                    bias=None if one["bias"] is None else tuple(one["bias"]),
                )
                for name, one in values["nodes"].items()
            }
            if not all(0 <= one.zero <= 255 for one in nodes.values()):
                raise ValueError("a zero point is no byte")
            return cls(values["checkpoint"], tuple(values["images"]), nodes)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExportError(f"{where} is not a recipe: {error!r}"[:200]) from None


def shipped_recipe(checkpoint: str) -> Recipe | None:
    """The recipe that ships for the checkpoint of that sha256, or None."""
    for entry in resources.files("edgesam_export.quantization.recipes").iterdir():
        if entry.name.endswith(".json"):
            text = entry.read_text("utf-8")
            if checkpoint in text[:200]:  # its head: the rest need not be parsed
                return Recipe.from_json(text, entry.name)
    return None
