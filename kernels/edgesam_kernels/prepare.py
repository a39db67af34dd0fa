"""From pixels to a network's input: the steps in NumPy, and what every device's kernels must give.

Knows no model: it is told the rules and the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.area import resize_area
from edgesam_kernels.grey import GreyTable
from edgesam_kernels.normalize import mean_std, min_max
from edgesam_kernels.spline import resize_cubic

Resize = Literal["pil-bilinear", "area", "spline-cubic"]
Normalization = Literal["mean-std", "min-max"]
Type = Literal["float32", "float16"]


@dataclass(frozen=True)
class Preparation:
    """What is done to the grey levels of a picture.

    Attributes:
        resize: the filter. ``pil-bilinear`` is Pillow's antialiased bilinear filter, ``area``
            OpenCV's INTER_AREA, ``spline-cubic`` scikit-image's order 3.
        rows, columns: size of the resized picture, which lies at the top left of the square.
        square: side of the network's input.
        normalization: ``mean-std`` subtracts ``mean`` and divides by ``std`` per channel;
            ``min-max`` maps the resized picture's own range, all channels together, to 0..1.
        mean, std: of red, green and blue, in levels; only for ``mean-std``.
        dtype: of the network's input.
    """

    resize: Resize
    rows: int
    columns: int
    square: int
    normalization: Normalization
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dtype: Type = "float32"

    def __post_init__(self) -> None:
        for name, kinds in (("resize", Resize), ("normalization", Normalization), ("dtype", Type)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} must be one of {get_args(kinds)}")
        if not (1 <= self.rows <= self.square and 1 <= self.columns <= self.square):
            raise ValueError(
                f"{self.columns} x {self.rows} pixels do not lie in a square of {self.square}"
            )


def prepare(pixels: NDArray[Any], grey: GreyTable | None, rule: Preparation) -> NDArray[Any]:
    """A picture as a network takes it.

    Args:
        pixels: (H, W) or (H, W, 3).
        grey: makes grey levels of them; None if they are such: (H, W, 3) uint8.
        rule: the rest.

    Returns:
        (1, 3, square, square) of the rule's type; zeros below and right of the picture.
    """
    levels = pixels if grey is None else grey.levels(pixels)
    picture = resize(levels, rule.resize, rule.rows, rule.columns)
    if rule.normalization == "min-max":
        network = min_max(picture, rule.square)
    else:
        network = mean_std(picture, rule.square, rule.mean, rule.std)
    return network.astype(rule.dtype, copy=False)


def resize(levels: NDArray[np.uint8], rule: Resize, rows: int, columns: int) -> NDArray[np.uint8]:
    """Levels (H, W, 3) uint8 -> (rows, columns, 3) uint8."""
    if rule == "area":
        return resize_area(levels, rows, columns)
    if rule == "spline-cubic":
        return resize_cubic(levels, rows, columns)
    from PIL import Image as Pillow

    picture = Pillow.fromarray(levels)
    return np.asarray(picture.resize((columns, rows), Pillow.Resampling.BILINEAR))
