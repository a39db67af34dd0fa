"""From a decoder's low-resolution logits to masks of the picture, by profile. Knows no engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit
from edgesam.mask import Mask
from edgesam.memory import memory_for
from edgesam.models import Profile
from edgesam.place import Place
from edgesam.provenance import Provenance
from edgesam_kernels.bilinear import threshold_mask
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import Finished


def mask_frame(low: int, fit: Fit, profile: Profile) -> MaskFrame:
    """How logits (low, low) become masks of the picture, here and on a device."""
    size = fit.height, fit.width
    if profile.mask_from == "probabilities":
        return MaskFrame(low, (low, low), size, probabilities=True)
    return MaskFrame(fit.square, (fit.resized_height, fit.resized_width), size)


def picture_mask(low: NDArray[np.float32], fit: Fit, profile: Profile) -> NDArray[np.bool_]:
    """The mask (H, W) bool of low-resolution logits (L, L)."""
    frame = mask_frame(low.shape[0], fit, profile)
    with memory_for(f"a mask of {fit.width} x {fit.height} pixels"):
        # tanh(x / 2) / 2 is sigmoid(x) - 0.5.
        values = np.tanh(low / 2) if frame.probabilities else low
        return threshold_mask(values, frame.square, frame.crop, frame.size)


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


def finished_mask(
    finished: Finished,
    index: int,
    low: NDArray[np.float32],
    score: np.float32,
    place: Place | None = None,
    provenance: Provenance | None = None,
) -> Mask:
    """:func:`make_mask` of logits (L, L) that a device made a mask of: that of ``index``."""
    height, width = finished.size
    with memory_for(f"a mask of {width} x {height} pixels"):
        return Mask.counted(
            finished.mask(index),
            float(score),
            low.copy(),
            place,
            provenance,
            area=int(finished.area[index]),
            box=finished.box(index),
        )
