"""Embeddings of pictures that were resized elsewhere or embedded earlier. Knows no prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.compat.pictures import grey_levels
from edgesam.embedding import Embedding
from edgesam.fit import Fit
from edgesam.preprocess import fit_of
from edgesam.sam import Sam


def embed_transformed(sam: Sam, image: ArrayLike, original_size: tuple[int, ...]) -> Embedding:
    """The embedding of a picture that ``ResizeLongestSide`` has resized.

    Args:
        sam: the model.
        image: (3, h, w) grey levels 0..255, the longer side being the model's square.
        original_size: height and width of the picture before.

    Raises:
        ImageError: the picture is none, or of another size.
        ValueError: its long side is not the square's.
    """
    levels = grey_levels(image)
    side = sam.manifest.image_size
    if max(levels.shape[1:]) != side:
        raise ValueError(
            f"a transformed picture must have a long side of {side} pixels; found "
            f"{levels.shape[2]} x {levels.shape[1]}: use ResizeLongestSide({side})"
        )
    # At its final size every profile's resizing leaves it as it is.
    embedding = sam.embed(np.moveaxis(levels, 0, 2))
    return replace(embedding, fit=_fit(sam, original_size, levels.shape[1:]))


def stored_embedding(
    sam: Sam,
    features: ArrayLike,
    original_size: tuple[int, ...],
    input_size: tuple[int, ...],
    known: Embedding | None = None,
) -> Embedding:
    """An embedding from what a predictor keeps, or what a program has put there.

    Args:
        sam: the model, which must be the one that made it.
        features: (1, 256, G, G).
        original_size: height and width of the picture.
        input_size: height and width in the square.
        known: an embedding that need not be made again if its features are the same.
    """
    array: NDArray[np.float32] = np.asarray(features, np.float32)
    fit = _fit(sam, original_size, input_size)
    if known is not None and np.array_equal(known.array, array):
        return replace(known, fit=fit)
    return sam.embedding(array.copy(), fit, "as stored")


def _fit(sam: Sam, original_size: tuple[int, ...], input_size: tuple[int, ...]) -> Fit:
    """The picture's place, where it was resized by someone who may have rounded otherwise."""
    height, width = original_size
    rows, columns = input_size
    fit = fit_of(height, width, sam.manifest.image_size, sam.manifest.profile)
    return replace(fit, resized_height=rows, resized_width=columns)
