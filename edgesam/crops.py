"""Where automatic masks are looked for: overlapping crops of a picture and grids of points.

Knows geometry only. The rules are those of segment-anything (``utils/amg.py``), so that the same
crops meet the same points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

_NEAR = 20  # pixels: a box that ends so close to a crop's edge was probably cut by it


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in its pixels; x1 and y1 are the first ones outside.

    Attributes:
        layer: 0 for the whole picture; layer i has (2**i)**2 crops.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def cuts(self, box: tuple[int, int, int, int], picture: Crop) -> bool:
        """Whether an edge of this crop, and not the picture's own, probably cut the box.

        Args:
            box: x0, y0, x1, y1 in pixels of the picture, its last pixels included.
            picture: the crop of layer 0.
        """
        edges = zip(box, self._corners, picture._corners, strict=True)
        return any(abs(b - c) <= _NEAR < abs(b - p) for b, c, p in edges)

    @property
    def _corners(self) -> tuple[int, int, int, int]:
        return self.x0, self.y0, self.x1, self.y1


def crops_of(height: int, width: int, layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole picture, then each layer's crops, columns first.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        layers: how many layers of crops beside the picture itself.
        overlap_ratio: in layer 1 crops share this part of the picture's short side; in the
            layers after it, half as much each time.

    Raises:
        ValueError: the picture is too small for so many crops.
    """
    crops = [Crop(0, 0, width, height, 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / count))
        crop_width = math.ceil((overlap * (count - 1) + width) / count)
        crop_height = math.ceil((overlap * (count - 1) + height) / count)
        lefts = [(crop_width - overlap) * i for i in range(count)]
        tops = [(crop_height - overlap) * i for i in range(count)]
        if lefts[-1] >= width or tops[-1] >= height:
            raise ValueError(
                f"crop_n_layers={layers} cuts a picture of {width} x {height} pixels into crops "
                "without pixels: take fewer layers"
            )
        crops += [
            Crop(x, y, min(x + crop_width, width), min(y + crop_height, height), layer)
            for x, y in product(lefts, tops)
        ]
    return crops


def grids_of(per_side: int, layers: int, downscale: int) -> list[NDArray[np.float64]]:
    """The grid of each layer, from 0: ``per_side / downscale**layer`` points a side, rounded down.

    Raises:
        ValueError: a layer would have no point.
    """
    sides = [int(per_side / downscale**layer) for layer in range(layers + 1)]
    if sides[-1] < 1:
        raise ValueError(
            f"points_per_side={per_side} over crop_n_points_downscale_factor={downscale} leaves "
            f"no point in layer {sides.index(0)} of crops"
        )
    return [_grid(side) for side in sides]


def _grid(side: int) -> NDArray[np.float64]:
    """(side**2, 2) points x, y in 0..1, row after row, each in the middle of its cell."""
    margin = 1 / (2 * side)
    middles = np.linspace(margin, 1 - margin, side)
    x, y = np.meshgrid(middles, middles)
    return np.stack([x.ravel(), y.ravel()], axis=1)
