"""Logits at the picture's size, for programs that threshold themselves. Knows no model's weights.

Masks never come this way: they are thresholded in strips (edgesam_kernels.bilinear).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit
from edgesam.models import Profile
from edgesam_kernels.bilinear import resize_logits

# A certain pixel's probability is 1 to the last bit of float32: its logit stops here.
_CERTAIN = np.float32(1 - 2.0**-24)


def picture_logits(low: NDArray[np.float32], fit: Fit, profile: Profile) -> NDArray[np.float32]:
    """Low-resolution logits (L, L) as (H, W) float32; the profile's mask is where they exceed 0.

    Where a profile interpolates probabilities, these are the logits of what it interpolated.
    """
    size = fit.height, fit.width
    if profile.mask_from == "probabilities":
        # tanh(x / 2) is 2 sigmoid(x) - 1; artanh is its way back.
        certainty = resize_logits(np.tanh(low / 2), low.shape[0], low.shape, size)
        logits: NDArray[np.float32] = 2 * np.arctanh(certainty.clip(-_CERTAIN, _CERTAIN))
        return logits
    return resize_logits(low, fit.square, (fit.resized_height, fit.resized_width), size)
