"""Mistakes made on purpose in a ViT's weights, which a comparison must notice. Knows no network.

Each takes a state dict and returns another; tensors that stay are not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[Any]]

_HEIGHT, _WIDTH = "attn.rel_pos_h", "attn.rel_pos_w"
_PLACE = "image_encoder.pos_embed"


def without_relative_positions(weights: Weights) -> dict[str, NDArray[Any]]:
    """All zero: attention does not see how far apart two tokens are."""
    ours = (key for key in weights if key.endswith((_HEIGHT, _WIDTH)))
    return {**weights, **{key: np.zeros_like(weights[key]) for key in ours}}


def height_and_width_swapped(weights: Weights) -> dict[str, NDArray[Any]]:
    """Relative positions along one axis taken for the other's."""
    rows = [key for key in weights if key.endswith(_HEIGHT)]
    swapped = dict(weights)
    for row in rows:
        column = row.removesuffix(_HEIGHT) + _WIDTH
        swapped[row], swapped[column] = weights[column], weights[row]
    return swapped


def places_transposed(weights: Weights) -> dict[str, NDArray[Any]]:
    """Absolute positions with rows and columns taken for each other."""
    transposed = np.ascontiguousarray(weights[_PLACE].transpose(0, 2, 1, 3))
    return {**weights, _PLACE: transposed}


CONTROLS: dict[str, Callable[[Weights], dict[str, NDArray[Any]]]] = {
    "no-rel-pos": without_relative_positions,
    "rel-pos-swapped": height_and_width_swapped,
    "pos-embed-transposed": places_transposed,
}
