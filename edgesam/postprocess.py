"""From a decoder's low-resolution logits to masks of the picture, by profile. Knows no engine."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit
from edgesam.mask import Mask
from edgesam.memory import memory_for
from edgesam.models import Profile
from edgesam.place import Place
from edgesam.provenance import Provenance
from edgesam_kernels.bilinear import threshold_mask

Select = Literal["single", "best", "stability", 0, 1, 2]
"""Which of the decoder's four masks answers a prompt.

``single`` is the first mask token, trained to be the answer to an unambiguous prompt; ``best`` has
the highest predicted IoU of the three of ``multimask``, ``stability`` the most stable edge of the
three; 0, 1 and 2 are the three themselves, in the decoder's order.
"""

SELECTIONS = get_args(Select)

_OFFSET = 1.0  # segment-anything's stability_score_offset


def picture_mask(low: NDArray[np.float32], fit: Fit, profile: Profile) -> NDArray[np.bool_]:
    """The mask (H, W) bool of low-resolution logits (L, L)."""
    size = fit.height, fit.width
    with memory_for(f"a mask of {fit.width} x {fit.height} pixels"):
        if profile.mask_from == "probabilities":
            # tanh(x / 2) / 2 is sigmoid(x) - 0.5.
            return threshold_mask(np.tanh(low / 2), low.shape[0], low.shape, size)
        return threshold_mask(low, fit.square, (fit.resized_height, fit.resized_width), size)


def make_mask(
    low: NDArray[np.float32],
    score: np.float32,
    fit: Fit,
    profile: Profile,
    place: Place | None = None,
    provenance: Provenance | None = None,
) -> Mask:
    """One of the decoder's masks, (L, L) logits, as an answer with a copy of them."""
    return Mask(picture_mask(low, fit, profile), float(score), low.copy(), place, provenance)


def selected(
    logits: NDArray[np.float32], iou: NDArray[np.float32], select: Select, fit: Fit
) -> NDArray[np.intp]:
    """For each of N prompts, which of its four masks answers it.

    Args:
        logits: (N, 4, L, L), of all four mask tokens.
        iou: (N, 4), predicted.
        select: see :data:`Select`.
        fit: where the picture lies; padding has no say in stability.

    Returns:
        (N,) of 0..3.
    """
    count = len(logits)
    if select == "single":
        return np.zeros(count, np.intp)
    if select in (0, 1, 2):
        return np.full(count, 1 + int(select), np.intp)
    merit = iou[:, 1:] if select == "best" else _stability(logits[:, 1:], fit)
    best: NDArray[np.intp] = 1 + merit.argmax(axis=1)
    return best


def _stability(logits: NDArray[np.float32], fit: Fit) -> NDArray[np.float64]:
    """IoU of the masks above +1 and above -1; 0 for a mask with nothing above -1."""
    rows, columns = fit.cells(logits.shape[-1])
    inside = logits[..., :rows, :columns]
    above = np.count_nonzero(inside > _OFFSET, axis=(-2, -1))
    below = np.count_nonzero(inside > -_OFFSET, axis=(-2, -1))
    stability: NDArray[np.float64] = above / np.maximum(below, 1)
    return stability
