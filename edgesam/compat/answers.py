"""From prompts to arrays at the picture's size, batched as the official predictor does it.

Knows the decoder and post-processing; no state, no picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.calls import PROMPTS_PER_CALL
from edgesam.compat.logits import picture_logits
from edgesam.embedding import Embedding
from edgesam.engines import MaskPrompts, Prompts
from edgesam.postprocess import mask_frame, picture_mask
from edgesam.sam import Sam
from edgesam.selection import ALTERNATIVES

Answer = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]


def answer(
    sam: Sam,
    embedding: Embedding,
    prompts: Prompts,
    *,
    multimask_output: bool,
    return_logits: bool = False,
) -> Answer:
    """Masks, scores and low-resolution logits of B prompts.

    Returns:
        (B, C, H, W) bool, or float32 logits; (B, C) float32, predicted IoU; (B, C, L, L) float32.
        C is 3 with ``multimask_output``, else 1.
    """
    count, side = len(prompts.coords), sam.manifest.low_resolution
    tokens = ALTERNATIVES if multimask_output else (0,)
    shape = count, len(tokens)
    masks = np.empty((*shape, *embedding.size), np.float32 if return_logits else np.bool_)
    scores = np.empty(shape, np.float32)
    low = np.empty((*shape, side, side), np.float32)
    fit, profile = embedding.fit, sam.manifest.profile
    at_picture = picture_logits if return_logits else picture_mask
    frame = None if return_logits else mask_frame(side, fit, profile)
    for start in range(0, count, PROMPTS_PER_CALL):
        rows = slice(start, start + PROMPTS_PER_CALL)
        found = sam.finish(embedding, _some(prompts, rows), tokens, frame)
        low[rows], scores[rows] = found.logits, found.iou[:, tokens]
        for n, (row, i) in enumerate(np.ndindex(len(found.logits), len(tokens))):
            if found.masks is not None:
                masks[start + row, i] = found.masks.mask(n)
            else:
                masks[start + row, i] = at_picture(low[start + row, i], fit, profile)
    return masks, scores, low


def _some(prompts: Prompts, rows: slice) -> Prompts:
    masks = prompts.masks
    if masks is not None and len(masks.given) > 1:
        masks = MaskPrompts(masks.logits[rows], masks.given[rows])
    return Prompts(prompts.coords[rows], prompts.labels[rows], masks)
