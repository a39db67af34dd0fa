"""From uint8 to a network's floats: against the formulas, and zeros where there is no picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.normalize import mean_std, min_max

Noise = Callable[..., NDArray[np.uint8]]

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def test_mean_std_is_the_formula_in_float32(noise: Noise) -> None:
    picture = noise(13, 20, 3)
    result = mean_std(picture, 24, MEAN, STD)
    expected = (picture.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
    assert result.shape == (1, 3, 24, 24)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[0, :, :13, :20], expected.transpose(2, 0, 1))


def test_min_max_is_the_formula_over_all_channels_together(noise: Noise) -> None:
    picture = noise(20, 13, 3) // 2 + 40
    picture[:, :, 1] += 60  # one channel has neither the picture's least nor its greatest value
    low, high = int(picture.min()), int(picture.max())
    result = min_max(picture, 24)
    expected = ((picture - np.float64(low)) / (high - low)).astype(np.float32)
    np.testing.assert_array_equal(result[0, :, :20, :13], expected.transpose(2, 0, 1))
    assert (result[0, :, :20, :13].min(), result.max()) == (0, 1)


def test_a_flat_picture_is_zeros() -> None:
    for level in (0, 7, 255):
        flat = np.full((5, 8, 3), level, np.uint8)
        assert not min_max(flat, 8).any()


def test_padding_is_zero_after_normalising() -> None:
    white = np.full((5, 8, 3), 255, np.uint8)
    for result in (mean_std(white, 10, MEAN, STD), min_max(white // 5 + 1, 10)):
        assert not result[0, :, 5:].any()
        assert not result[0, :, :, 8:].any()
    assert mean_std(white, 10, MEAN, STD)[0, :, :5, :8].all()


def test_channels_keep_their_order() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = 0, 100, 200
    result = min_max(picture, 2)
    np.testing.assert_array_equal(result[0, :, 0, 0], np.float32([0, 0.5, 1]))
