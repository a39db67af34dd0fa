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
ALTERNATIVES = (1, 2, 3)  # the mask tokens of ``multimask``

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


def tokens_for(select: Select) -> tuple[int, ...]:
    """Which of the decoder's four masks have to be made to select one."""
    if select == "single":
        return (0,)
    return ALTERNATIVES if select in ("best", "stability") else (1 + int(select),)


def selected(
    logits: NDArray[np.float32], iou: NDArray[np.float32], select: Select, fit: Fit
) -> NDArray[np.intp]:
    """For each of N prompts, which of the masks made for it answers it.

    Args:
        logits: (N, K, L, L), of the mask tokens that :func:`tokens_for` names.
        iou: (N, 4), predicted, of all four mask tokens.
        select: see :data:`Select`.
        fit: where the picture lies; padding has no say in stability.

    Returns:
        (N,) of 0..K - 1.
    """
    if logits.shape[1] == 1:
        return np.zeros(len(logits), np.intp)
    merit = iou[:, ALTERNATIVES] if select == "best" else _stability(logits, fit)
    best: NDArray[np.intp] = merit.argmax(axis=1)
    return best


def _stability(logits: NDArray[np.float32], fit: Fit) -> NDArray[np.float64]:
    """IoU of the masks above +1 and above -1; 0 for a mask with nothing above -1."""
    rows, columns = fit.cells(logits.shape[-1])
    inside = logits[..., :rows, :columns]
    above = np.count_nonzero(inside > _OFFSET, axis=(-2, -1))
    below = np.count_nonzero(inside > -_OFFSET, axis=(-2, -1))
    stability: NDArray[np.float64] = above / np.maximum(below, 1)
    return stability
