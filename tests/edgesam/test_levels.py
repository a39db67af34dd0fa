"""Percentiles, three windows as colours, and the words of a command line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgesam.errors import ImageError
from edgesam.image import Image
from edgesam.levels import Levels, Percentiles, Windows, parse_levels
from edgesam.presets import PRESETS
from edgesam.volume import Volume
from edgesam.window import Window

GUIDE = Path(__file__).parents[2] / "docs" / "windows.md"
MR = Percentiles(above=0)
THREE = Windows(Window(40, 400), Window(-600, 1500), Window(400, 1800))


def shown(levels: Levels, pixels: NDArray[np.generic]) -> tuple[NDArray[np.uint8], str]:
    rule, words = levels.rule(pixels)
    return rule(pixels), words


def ramp(low: int, high: int) -> NDArray[np.int16]:
    return np.arange(low, high, dtype=np.int16).reshape(4, -1)


def test_percentiles_of_all_pixels_are_the_default_rule_of_pictures() -> None:
    pixels = ramp(-300, 1700)
    asked, mapping = Image(pixels).to_rgb8(Percentiles())
    default, words = Image(pixels).to_rgb8()
    assert np.array_equal(asked, default)
    assert mapping == words == "percentiles 0.5..99.5 = -290.005..1689"


def test_percentiles_above_a_value_leave_the_background_out() -> None:
    """MedSAM's rule: of pixels above 0, all pixels clipped to what was found."""
    pixels = np.zeros((40, 50), np.uint16)
    pixels[:20] = np.arange(1, 1001).reshape(20, 50)
    rgb, mapping = Image(pixels).to_rgb8(MR)
    low, high = np.percentile(pixels[pixels > 0], (0.5, 99.5))
    assert mapping == f"percentiles 0.5..99.5 of pixels above 0 = {low:g}..{high:g}"
    medsam = (np.clip(pixels, low, high) - low) / (high - low) * 255
    assert np.array_equal(rgb[..., 0], np.floor(medsam + 0.5))
    assert not rgb[20:].any()


@given(
    hnp.arrays(np.float32, (5, 6), elements=st.floats(-1000, 1000, width=32)),
    st.sampled_from([MR, Percentiles(), Percentiles(10, 60), Percentiles(above=-50)]),
)
def test_percentiles_keep_the_order_of_grey(pixels: NDArray[np.float32], rule: Levels) -> None:
    grey, words = shown(rule, pixels)
    assert grey.shape == pixels.shape
    assert grey.dtype == np.uint8
    assert words
    order = pixels.ravel().argsort()
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float32, np.float64, np.float16])
def test_wide_pixels(dtype: type[np.generic]) -> None:
    pixels = ramp(0, 2000).astype(dtype)
    for levels in (MR, Percentiles(1, 99), Window(500, 700), THREE):
        want, words = shown(levels, pixels.astype(np.float64))
        got, same = shown(levels, pixels)
        assert np.abs(got.astype(int) - want).max() <= 1
        assert dtype is np.float16 or (words == same and np.array_equal(got, want))


def test_a_slice_without_signal_is_black() -> None:
    air = np.zeros((3, 4), np.int16)
    assert shown(MR, air)[1] == "no pixel above 0, all as 0"
    assert not shown(MR, air - 5)[0].any()
    assert shown(MR, air + 5)[1] == "constant 5 as 0"


def test_where_the_counted_pixels_are_alike_the_whole_range_counts() -> None:
    binary = np.array([[0, 0, 7, 7]], np.int16)
    grey, words = shown(MR, binary)
    assert words == "range 0..7"
    assert grey.tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize(("low", "high"), [(5, 5), (9, 1), (-1, 50), (50, 101), (np.nan, 9)])
def test_percentiles_that_cannot_be(low: float, high: float) -> None:
    with pytest.raises(ImageError, match=r"percentiles .*0 to 100"):
        Percentiles(low, high)
    with pytest.raises(ImageError, match="finite"):
        Percentiles(above=float("inf"))


def test_three_windows_are_red_green_and_blue() -> None:
    pixels = ramp(-1000, 1000)
    rgb, mapping = Image(pixels).to_rgb8(THREE)
    assert mapping == "windows 40/400, -600/1500, 400/1800 as RGB"
    for channel, window in enumerate((THREE.red, THREE.green, THREE.blue)):
        assert np.array_equal(rgb[..., channel], window.apply(pixels))
    assert rgb.flags.c_contiguous
    turned, mapping = Image(pixels, inverted=True).to_rgb8(THREE)
    assert np.array_equal(turned, 255 - rgb)
    assert mapping.endswith("as RGB, inverted")


@pytest.mark.parametrize("levels", [Window(40, 400), MR, THREE], ids=str)
def test_colour_refuses_them_all(levels: Levels) -> None:
    colour = Image.from_array(np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ImageError, match=r"was asked for, but the image is in colour") as caught:
        colour.to_rgb8(levels)
    assert str(caught.value).startswith(str(levels))


@pytest.mark.parametrize("levels", [Window(40, 400), MR, THREE], ids=str)
def test_a_slice_keeps_the_callers_levels(levels: Levels) -> None:
    """Before the file's own window, and after an explicit argument."""
    array = ramp(-200, 400).reshape(4, 10, 15)
    image = Volume.from_array(array, np.eye(4)).slice(2, levels)
    plain = Image(image.pixels, Window(0, 10))
    assert plain.to_rgb8()[1] == "window 0/10 of the file"
    kept = Image(image.pixels, Window(0, 10), window=levels)
    assert np.array_equal(kept.to_rgb8()[0], plain.to_rgb8(levels)[0])
    assert np.array_equal(image.to_rgb8()[0], kept.to_rgb8()[0])
    assert kept.to_rgb8(Window(1, 2))[1] == "window 1/2"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("40,400", Window(40, 400)),
        ("+40,+400", Window(40, 400)),
        ("0.5,1", Window(0.5, 1, "linear_exact")),
        ("Lung", Window(-600, 1500)),
        ("mr", MR),
        (" MR ", MR),
        ("percentiles", Percentiles()),
        ("percentiles:0.5,99.5", Percentiles()),
        ("Percentiles: 1 , 98", Percentiles(1, 98)),
        ("soft-tissue+lung+bone", THREE),
        ("40,400 + -600,1500 + bone", THREE),
    ],
)
def test_parse(text: str, levels: Levels) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no grey levels ''; there are: abdomen"),
        ("livr", "percentiles, or give LEVEL,WIDTH"),
        ("40", "no grey levels '40'"),
        ("a,b", "neither LEVEL,WIDTH"),
        ("40,0", "the width must be above 0"),
        ("percentiles:1", "two numbers"),
        ("percentiles:a,b", "two numbers"),
        ("percentiles:99,1", "the first must be below the second"),
        ("lung+bone", "three windows make red, green and blue"),
        ("lung+bone+liver+brain", "three windows make red, green and blue"),
        ("lung+bone+livr", "no window preset 'livr'"),
        ("lung+mr+bone", "no window preset 'mr'"),
    ],
)
def test_parse_refuses_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ImageError, match=re.escape(said)) as caught:
        parse_levels(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_the_guide_has_every_preset_with_its_numbers_and_source(name: str) -> None:
    level, width, source = PRESETS[name]
    rows = [line for line in GUIDE.read_text("utf-8").splitlines() if f"| `{name}` |" in line]
    assert len(rows) == 1
    assert f"| {level:g} | {width:g} | {source}" in rows[0]


def test_the_guide_has_no_other_presets() -> None:
    names = re.findall(r"^\| `([a-z-]+)` \|", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert sorted(names) == sorted(PRESETS)
