"""The reference of *prepare*: rules put together as they were asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam_kernels.area import resize_area
from edgesam_kernels.cpu import Preparation, prepare, resize
from edgesam_kernels.grey import grey_table
from edgesam_kernels.normalize import mean_std, min_max, min_max_table
from edgesam_kernels.spline import resize_cubic

Noise = Callable[..., NDArray[np.uint8]]

RULE = Preparation("area", 20, 32, 32, "min-max")
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def test_levels_resized_normalised_and_padded(noise: Noise) -> None:
    picture = noise(25, 40, 3)
    expected = min_max(resize_area(picture, 20, 32), 32)
    np.testing.assert_array_equal(prepare(picture, None, RULE), expected)
    rule = Preparation("spline-cubic", 20, 32, 32, "mean-std", MEAN, STD)
    expected = mean_std(resize_cubic(picture, 20, 32), 32, MEAN, STD)
    np.testing.assert_array_equal(prepare(picture, None, rule), expected)


def test_pixels_become_levels_first(noise: Noise) -> None:
    pixels = noise(25, 80, 1)[:, :, 0].view(np.int16)
    table = grey_table("int16", lambda x: (x >> 8).clip(0).astype(np.uint8))
    levels = np.repeat((pixels >> 8).clip(0).astype(np.uint8)[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(prepare(pixels, table, RULE), prepare(levels, None, RULE))


def test_halves_are_the_floats_rounded(noise: Noise) -> None:
    picture = noise(25, 40, 3)
    found = prepare(picture, None, replace(RULE, dtype="float16"))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, prepare(picture, None, RULE).astype(np.float16))


def test_pillows_filter_is_pillows(noise: Noise) -> None:
    from PIL import Image

    picture = noise(9, 13, 3)
    expected = Image.fromarray(picture).resize((7, 21), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(picture, "pil-bilinear", 21, 7), np.asarray(expected))


def test_the_table_of_all_ranges() -> None:
    table = min_max_table()
    for low, high in [(0, 255), (0, 0), (17, 17), (3, 201)]:
        picture = np.arange(low, high + 1, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
        expected = min_max(picture, 256)[0, 0, 0, : high - low + 1]
        np.testing.assert_array_equal(table[high - low, : high - low + 1], expected)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="resize must be one of"):
        replace(RULE, resize="nearest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be one of"):
        replace(RULE, dtype="float64")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="33 x 20 pixels do not lie in a square of 32"):
        replace(RULE, columns=33)
