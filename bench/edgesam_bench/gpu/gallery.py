"""Pictures to compare masks on: medical ones where they are at hand, else phantoms. No model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesam.digest import sha256_of
from edgesam.image import Image
from edgesam_bench.phantoms import draw
from edgesam_bench.pictures import Picture, read_manifest, spread
from edgesam_bench.variants.gallery import Sample

LEAST = 40  # that vouch for a variant
PHANTOMS = "seeded phantoms, no medical pictures"
_SIZES = ((512, 512), (384, 512), (512, 320), (640, 480))


def gallery(folder: Path, count: int) -> tuple[list[Sample], str]:
    """So many pictures, and what they are in words.

    Args:
        folder: of ``manifest.csv``; of each of its data sets equally many.
        count: at least so many where there are as many.
    """
    try:
        listed = read_manifest(folder)
    except (OSError, ValueError, KeyError):
        return [_phantom(number) for number in range(count)], PHANTOMS
    chosen = _spread(listed, count)
    return [_sample(picture) for picture in chosen], "medical pictures of the manifest"


def _spread(listed: Sequence[Picture], count: int) -> list[Picture]:
    """Modalities in turn, so that those which time leaves are of all of them."""
    each, chosen = 1, spread(listed, 1)
    while len(chosen) < min(count, len(listed)):
        each += 1
        chosen = spread(listed, each)
    turns: dict[str, int] = {}
    order = []
    for picture in chosen:
        turns[picture.modality] = turns.get(picture.modality, 0) + 1
        order.append((turns[picture.modality], picture.modality, picture.name, picture))
    return [picture for *_, picture in sorted(order, key=lambda one: one[:3])]


def _sample(picture: Picture) -> Sample:
    key = sha256_of(picture.image)
    return Sample(key, key, picture.modality, lambda: Image(picture.pixels()))


def _phantom(number: int) -> Sample:
    height, width = _SIZES[number % len(_SIZES)]
    pixels = partial(_pixels, height, width, number)
    key = hashlib.sha256(f"phantom {number}".encode()).hexdigest()
    return Sample(key, key, "phantom", lambda: Image(pixels()))


def _pixels(height: int, width: int, number: int) -> NDArray[np.uint8]:
    return draw(height, width, colour=number % 3 == 0, seed=number).pixels
