"""``ResizeLongestSide``: pictures, points and boxes to a model's square. Knows no model's weights.

segment_anything/utils/transforms.py, for every profile: the class keeps its name where a profile
stretches both sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.compat.pictures import grey_levels, rgb_picture
from edgesam.fit import Fit
from edgesam.models import SAM, Profile
from edgesam.preprocess import fit_of, resized


class ResizeLongestSide:
    """The way of a picture, and of what is said about it, to the square of a model's input.

    Coordinates are (x, y) in pixels, sizes (height, width). The ``_torch`` methods take and give
    arrays too; they differ from the others in their axes and in float32.

    Attributes:
        target_length: side of the square, in pixels.
        profile: how the model wants it; SAM's unless said.
    """

    def __init__(self, target_length: int, *, profile: Profile = SAM) -> None:
        self.target_length = target_length
        self.profile = profile

    def apply_image(self, image: ArrayLike) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 -> (h, w, 3) uint8, the filter being the profile's.

        Raises:
            ImageError: it is of another shape or type.
        """
        rgb = rgb_picture(image)
        return np.array(resized(rgb, self._fit(rgb.shape[:2]), self.profile))

    def apply_coords(
        self, coords: ArrayLike, original_size: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Points (..., 2) of a picture of that size -> pixels of the square, float64."""
        return self._fit(original_size).to_square(coords)

    def apply_boxes(self, boxes: ArrayLike, original_size: tuple[int, ...]) -> NDArray[np.float64]:
        """Boxes (B, 4) as x0, y0, x1, y1 -> the same in the square, float64.

        Whole pixels for a profile that cuts its boxes.
        """
        corners = self.apply_coords(np.asarray(boxes).reshape(-1, 2, 2), original_size)
        if self.profile.truncate_boxes:
            corners = np.trunc(corners)
        return corners.reshape(-1, 4)

    def apply_image_torch(self, image: ArrayLike) -> NDArray[np.float32]:
        """(B, 3, H, W) of grey levels 0..255 -> (B, 3, h, w) float32, as :meth:`apply_image`.

        Raises:
            ImageError: it is of another shape, or not 0..255.
        """
        pictures = [np.moveaxis(grey_levels(picture), 0, 2) for picture in np.asarray(image)]
        in_square = [np.moveaxis(self.apply_image(picture), 2, 0) for picture in pictures]
        return np.stack(in_square).astype(np.float32)

    def apply_coords_torch(
        self, coords: ArrayLike, original_size: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """:meth:`apply_coords` in float32."""
        return self.apply_coords(coords, original_size).astype(np.float32)

    def apply_boxes_torch(
        self, boxes: ArrayLike, original_size: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """:meth:`apply_boxes` in float32."""
        return self.apply_boxes(boxes, original_size).astype(np.float32)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width once the long side is ``long_side_length``, by SAM's rule."""
        fit = Fit.letterbox(oldh, oldw, long_side_length)
        return fit.resized_height, fit.resized_width

    def _fit(self, original_size: tuple[int, ...]) -> Fit:
        height, width = original_size
        return fit_of(height, width, self.target_length, self.profile)
