"""Grey levels by a table: the same as the rule that the table was made of, for every value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.image import LookupTable
from edgesam.window import Window
from edgesam_kernels.grey import STEPS, as_stored, grey_table

WINDOWS = [
    Window(40, 400),
    Window(0.5, 1, "linear_exact"),
    Window(3, 1),
    Window(1e-3, 1e-30, "linear_exact"),
    Window(-1e30, 1e20, "linear_exact"),
    Window(100, 300, "sigmoid"),
]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_integers_have_an_entry_for_every_value(dtype: str) -> None:
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype).reshape(16, -1)
    rescaled = Window(40, 400)

    def rule(stored: NDArray[Any]) -> NDArray[np.uint8]:
        return rescaled.apply(stored.astype(np.float64) * 0.5 - 20)  # modality rescale, folded in

    levels = grey_table(dtype, rule).levels(every)
    assert (levels.shape, levels.dtype) == ((*every.shape, 3), np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(levels[:, :, channel], rule(every))


def test_a_lookup_table_that_falls_and_rises() -> None:
    voi = LookupTable(-3, np.array([5, 900, 20, 1023], np.uint16), 10)
    pixels = np.arange(-9, 9, dtype=np.int16).reshape(3, 6)
    levels = grey_table("int16", voi.apply).levels(pixels)
    np.testing.assert_array_equal(levels[:, :, 2], voi.apply(pixels))


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_floats_step_where_the_rule_does(window: Window, falls: bool) -> None:
    def rule(pixels: NDArray[Any]) -> NDArray[np.uint8]:
        levels = window.apply(pixels)
        return np.uint8(255) - levels if falls else levels

    table = grey_table("float32", rule)
    steps = table.entries[0, :STEPS]
    noise = np.random.default_rng(0).normal(window.level, window.width, 5000).astype(np.float32)
    before = np.nextafter(steps, np.float32(-np.inf))
    zeros = np.array([0.0, -0.0, 1e-40, -1e-40], np.float32)
    pixels = np.concatenate([noise, steps, before, zeros])
    pixels = pixels[np.isfinite(pixels)][None]
    np.testing.assert_array_equal(table.levels(pixels)[:, :, 1], rule(pixels))


@pytest.mark.parametrize("level", [0, 7, 255])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_rule_of_one_level(dtype: str, level: int) -> None:
    table = grey_table(dtype, lambda pixels: np.full(pixels.shape, level, np.uint8))
    assert (table.levels(np.array([[-30000, 0, 30000]], dtype)) == level).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_three_windows_are_three_tables(dtype: str) -> None:
    windows = [Window(40, 80), Window(100, 30), Window(200, 300)]

    def rule(pixels: NDArray[Any]) -> NDArray[np.uint8]:
        return np.stack([window.apply(pixels) for window in windows], axis=-1)

    table = grey_table(dtype, rule)
    assert len(table.entries) == 3
    pixels = np.arange(0, 252, dtype=dtype).reshape(12, 21)
    np.testing.assert_array_equal(table.levels(pixels), rule(pixels))


def test_colour_goes_through_one_table(noise: Callable[..., NDArray[np.uint8]]) -> None:
    picture = noise(5, 7, 3)
    np.testing.assert_array_equal(as_stored().levels(picture), picture)


def test_rows_may_lie_apart(noise: Callable[..., NDArray[np.uint8]]) -> None:
    wide = noise(5, 40, 1)[:, :, 0].view(np.int16)
    table = grey_table("int16", Window(0, 20000).apply)
    np.testing.assert_array_equal(table.levels(wide[::2, 3:9]), table.levels(wide[::2, 3:9].copy()))


def test_what_has_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table of grey levels for int32 pixels"):
        grey_table("int32", Window(40, 400).apply)
    with pytest.raises(ValueError, match=r"found int16 and \(2, 3\)"):
        as_stored().levels(np.zeros((2, 3), np.int16))
    with pytest.raises(ValueError, match=r"found uint8 and \(2, 3, 4\)"):
        as_stored().levels(np.zeros((2, 3, 4), np.uint8))
