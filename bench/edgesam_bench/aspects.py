"""One picture of each aspect: square, wide, high. Knows the manifest's pictures and no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesam_bench.pictures import Picture


@dataclass(frozen=True)
class Turned(Picture):
    """A picture turned a quarter to the left."""

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        return np.ascontiguousarray(np.rot90(super().pixels()))

    def labels(self) -> NDArray[Any]:
        """(H, W) whole numbers, 0 is background."""
        return np.ascontiguousarray(np.rot90(super().labels()))


def one_of_each_aspect(pictures: Sequence[Picture]) -> list[Picture]:
    """The first square picture, the largest wide one, and the longest other one, standing.

    Medical pictures are seldom higher than wide; the last one is turned.

    Raises:
        ValueError: there is no square picture, or there are not two wide ones.
    """
    sizes = {picture.name: _size(picture) for picture in pictures}
    square = [p for p in pictures if sizes[p.name][0] == sizes[p.name][1]]
    wide = [p for p in pictures if sizes[p.name][0] > sizes[p.name][1]]
    if not square or len(wide) < 2:
        raise ValueError("the manifest lists no square picture, or fewer than two wide ones")
    largest = max(wide, key=lambda p: sizes[p.name][0] * sizes[p.name][1])
    wide.remove(largest)
    long = max(wide, key=lambda p: sizes[p.name][0] / sizes[p.name][1])
    turned = Turned(
        name=f"{long.name}-turned",
        image=long.image,
        mask=long.mask,
        modality=long.modality,
        subset=long.subset,
        instances=long.instances,
    )
    return [square[0], largest, turned]


def _size(picture: Picture) -> tuple[int, int]:
    """Width and height, from the file's header."""
    with Image.open(picture.image) as image:
        return image.width, image.height
