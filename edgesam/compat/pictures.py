"""The two forms in which segment-anything takes a picture, checked. Knows no model.

Neither is windowed or stretched: what is not 8-bit RGB has no meaning in that interface.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.errors import ImageError


def rgb_picture(image: ArrayLike) -> NDArray[np.uint8]:
    """The picture as it is.

    Raises:
        ImageError: it is not (H, W, 3) uint8.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"segment-anything's interface takes pictures (H, W, 3) uint8; found {pixels.shape} "
            f"{pixels.dtype}. edgesam.load(...).embed takes grey and 16-bit ones"
        )
    return pixels


def grey_levels(transformed: ArrayLike) -> NDArray[np.uint8]:
    """A picture (3, h, w) of any numeric type, rounded to whole grey levels.

    Raises:
        ImageError: it is of another shape, or has values that are no grey levels.
    """
    values = np.asarray(transformed)
    if values.ndim != 3 or values.shape[0] != 3 or values.size == 0:
        raise ImageError(f"a transformed picture must be (3, h, w); found {values.shape}")
    if values.dtype == np.uint8:
        return values
    rounded = np.rint(values.astype(np.float32))
    if not ((rounded >= 0) & (rounded <= 255)).all():  # NaN fails both
        raise ImageError(
            "a transformed picture has grey levels 0..255, not yet normalised; found "
            f"{values.min():g}..{values.max():g}"
        )
    return rounded.astype(np.uint8)
