"""Where a picture lies in a model's square, and both ways between them. Knows only geometry.

Coordinates are (x, y) with x to the right; pixel (0, 0) is the top left one. The picture fills the
square, or sits in its top left corner with padding at the bottom and the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.errors import ImageError


@dataclass(frozen=True)
class Fit:
    """The place of one picture size in one model's square.

    Attributes:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        square: side of the model's input, in pixels.
        resized_height: rows of the square that the picture fills.
        resized_width: columns of the square that the picture fills.
        scale_x: square pixels per picture pixel, for the x of prompts.
        scale_y: square pixels per picture pixel, for the y of prompts.
    """

    height: int
    width: int
    square: int
    resized_height: int
    resized_width: int
    scale_x: float
    scale_y: float

    @classmethod
    def letterbox(
        cls,
        height: int,
        width: int,
        square: int,
        *,
        per_axis: bool = True,
        pixel_aspect: float = 1.0,
    ) -> Fit:
        """The long side becomes the square's side, the other keeps the aspect, rounded half up.

        The rounding is segment-anything's ``ResizeLongestSide.get_preprocess_shape``; a side that
        would vanish (1 x 20,000 pixels) becomes one pixel.

        Args:
            height: of the picture, in pixels.
            width: of the picture, in pixels.
            square: side of the model's input, in pixels.
            per_axis: prompts follow the rounded size of each axis (SAM); otherwise both follow
                the long side (LiteMedSAM).
            pixel_aspect: height of a pixel by its width; the square's pixels are square.

        Raises:
            ImageError: a side is zero or negative.
        """
        _check(height, width)
        tall = height * pixel_aspect  # in widths of a pixel
        scale = square * 1.0 / max(tall, width)
        rows = max(1, int(tall * scale + 0.5))
        columns = max(1, int(width * scale + 0.5))
        return cls(
            height=height,
            width=width,
            square=square,
            resized_height=rows,
            resized_width=columns,
            scale_x=columns / width if per_axis else scale,
            scale_y=rows / height if per_axis else scale * pixel_aspect,
        )

    @classmethod
    def stretch(cls, height: int, width: int, square: int) -> Fit:
        """Both sides become the square's, whatever the aspect of picture or pixels: no padding.

        Raises:
            ImageError: a side is zero or negative.
        """
        _check(height, width)
        return cls(
            height=height,
            width=width,
            square=square,
            resized_height=square,
            resized_width=square,
            scale_x=square / width,
            scale_y=square / height,
        )

    def cells(self, side: int) -> tuple[int, int]:
        """Rows and columns that the picture fills in the square seen as ``side`` by ``side`` cells.

        That is where it lies in low-resolution logits; rounded, and at least one.
        """
        return (
            max(1, round(self.resized_height * side / self.square)),
            max(1, round(self.resized_width * side / self.square)),
        )

    def to_square(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) in pixels of the picture -> pixels of the square."""
        return np.asarray(points, np.float64) * self._scale

    def to_picture(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) in pixels of the square -> pixels of the picture."""
        return np.asarray(points, np.float64) / self._scale

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y])


def _check(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ImageError(f"a picture of {width} x {height} pixels has nothing to segment")
