"""Resizing by splines: against scikit-image's own results, and against the spline's definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels import spline
from edgesam_kernels.spline import resize_cubic

Noise = Callable[..., NDArray[np.uint8]]

# Written by bench/reference/make_kernel_golden.py.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spline.npz")
NAMES = sorted({key.split("/")[0] for key in GOLDEN.files} - {"versions"})


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_scikit_images(name: str) -> None:
    expected = GOLDEN[f"{name}/resized"]
    found = resize_cubic(GOLDEN[f"{name}/picture"], *expected.shape[:2])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["flats", "grey-flats", "noise-grows-and-shrinks"])
def test_steps_leave_nothing_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spline, "_STRIP", 3)
    monkeypatch.setattr(spline, "_POINTS", 5)
    expected = GOLDEN[f"{name}/resized"]
    found = resize_cubic(GOLDEN[f"{name}/picture"], *expected.shape[:2])
    np.testing.assert_array_equal(found, expected)


def b_spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic one, by its pieces."""
    x = np.abs(x)
    outer = np.where(x < 2, (2 - x) ** 3 / 6, 0)
    return np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, outer)


def operator(source: int, target: int) -> NDArray[np.float64]:
    """One axis (target, source): Gaussian, then the spline through what that leaves."""
    period = max(2 * source - 2, 1)

    def folded(weight: Callable[[NDArray[np.float64]], NDArray[np.float64]], at: float) -> None:
        reach = np.arange(np.floor(at) - 80, np.floor(at) + 81)
        place = np.abs((reach + source - 1) % period - (source - 1)) if source > 1 else reach * 0
        np.add.at(row, place.astype(int), weight(reach - at))

    sigma = max(0.0, (source / target - 1) / 2)
    smooth, samples, result = (np.zeros((n, source)) for n in (source, source, target))
    for i in range(source):
        row = smooth[i]
        if (radius := int(4 * sigma + 0.5)) > 0:
            folded(lambda d: np.where(np.abs(d) <= radius, np.exp(-0.5 * (d / sigma) ** 2), 0), i)
            row /= row.sum()
        else:
            row[i] = 1
        row = samples[i]
        folded(b_spline, i)
    for i in range(target):
        row = result[i]
        folded(b_spline, (i + 0.5) * source / target - 0.5)
    exact: NDArray[np.float64] = result @ np.linalg.solve(samples, smooth)
    return exact


def draw(rows: int, columns: int, channels: int, seed: int) -> NDArray[np.uint8]:
    """Noise; or, in a third of the seeds, blacks and whites; or of equal channels."""
    count = rows * columns * channels
    raw = (np.random.PCG64(seed).random_raw(count) >> np.uint64(56)).astype(np.uint8)
    if seed % 3 == 1:
        raw = np.where(raw < 128, 0, 255).astype(np.uint8)
    picture: NDArray[np.uint8] = raw.reshape(rows, columns, channels)
    return picture[:, :, :1].repeat(channels, axis=2) if seed % 3 == 2 else picture


sides = st.integers(1, 24)


@settings(deadline=None, max_examples=150)
@example(5, 30, 3, 5, 47, 0)
@example(24, 24, 3, 3, 2, 1)
@given(sides, sides, st.integers(1, 4), sides, sides, st.integers(0, 1000))
def test_is_the_spline_of_the_definition(
    rows: int, columns: int, channels: int, height: int, width: int, seed: int
) -> None:
    picture = draw(rows, columns, channels, seed)
    down, across = operator(rows, height), operator(columns, width)
    exact = np.einsum("yr,rck,xc->yxk", down, picture.astype(np.float64), across)
    exact = exact.clip(picture.min(), picture.max())
    found = resize_cubic(picture, height, width)
    assert found.shape == (height, width, channels)
    clear = np.abs(exact - np.rint(exact)) > 1e-6  # elsewhere roundings decide
    np.testing.assert_array_equal(found[clear], np.floor(exact[clear]))
    assert (np.abs(found[~clear] - exact[~clear]) < 1 + 1e-6).all()


def test_the_same_size_is_the_same_picture(noise: Noise) -> None:
    picture = noise(9, 7, 3)
    np.testing.assert_array_equal(resize_cubic(picture, 9, 7), picture)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_stays_flat(level: int) -> None:
    flat = np.full((51, 33, 3), level, np.uint8)
    for size in [(64, 70), (25, 16), (101, 10), (51, 40)]:
        assert (resize_cubic(flat, *size) == level).all()


def test_large_pictures_show_no_seam(noise: Noise) -> None:
    picture = noise(70, 90, 3)
    large = resize_cubic(picture, 1024, 700)
    for channel in range(3):
        down, across = operator(70, 1024), operator(90, 700)
        exact = (down @ picture[:, :, channel] @ across.T).clip(picture.min(), picture.max())
        clear = np.abs(exact - np.rint(exact)) > 1e-6
        np.testing.assert_array_equal(large[clear, channel], np.floor(exact[clear]))


def test_the_picture_is_left_alone(noise: Noise) -> None:
    picture = noise(12, 10, 3)
    before = picture.copy()
    picture.flags.writeable = False
    resize_cubic(picture, 20, 7)
    np.testing.assert_array_equal(picture, before)
