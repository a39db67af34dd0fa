"""What is accepted as an image, and how it becomes 8-bit RGB."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edgesam.errors import ImageError
from edgesam.image import Image, LookupTable
from edgesam.levels import Percentiles, Windows
from edgesam.window import Window


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((5, 7), (5, 7)),
        ((5, 7, 1), (5, 7)),
        ((5, 7, 3), (5, 7, 3)),
        ((5, 7, 4), (5, 7, 3)),
        ((1, 9), (1, 9)),
        ((9, 1), (9, 1)),
        ((3, 3, 3), (3, 3, 3)),
    ],
)
def test_from_array_shapes(shape: tuple[int, ...], kept: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = Image.from_array(array)
    assert image.pixels.shape == kept
    assert (image.height, image.width) == shape[:2]
    want = array[:, :, 0] if shape[2:] == (1,) else array[..., :3] if len(shape) == 3 else array
    assert np.array_equal(image.pixels, want)


@pytest.mark.parametrize("shape", [(7,), (5, 7, 2), (5, 7, 5), (2, 5, 7, 3), ()])
def test_from_array_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="found shape"):
        Image.from_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0, 3)])
def test_empty_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="no pixels"):
        Image.from_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.complex64, object, "U1", "M8[s]"])
def test_from_array_refuses_other_types(dtype: object) -> None:
    with pytest.raises(ImageError, match="found"):
        Image.from_array(np.zeros((2, 2), dtype))  # type: ignore[call-overload]


def test_not_finite_pixels_are_counted() -> None:
    pixels = np.zeros((4, 5, 3), np.float32)
    pixels[1, 2, 0], pixels[3, 4, 1], pixels[0, 0, 2] = np.nan, np.inf, -np.inf
    with pytest.raises(ImageError, match="3 of 60 pixel values"):
        Image.from_array(pixels)


def test_booleans_become_black_and_white() -> None:
    image = Image.from_array(np.array([[True, False]]))
    assert image.pixels.dtype == np.uint8
    assert image.pixels.tolist() == [[255, 0]]


def test_foreign_byte_order_is_turned() -> None:
    image = Image.from_array(np.array([[1, 513]], np.dtype(np.uint16).newbyteorder()))
    assert image.pixels.dtype.isnative
    assert image.pixels.tolist() == [[1, 513]]


def test_uint8_is_kept_as_stored() -> None:
    grey = np.array([[0, 7, 200]], np.uint8)
    rgb, mapping = Image.from_array(grey).to_rgb8()
    assert mapping == "as stored"
    assert rgb.tolist() == [[[v] * 3 for v in (0, 7, 200)]]
    colour = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    rgb, mapping = Image.from_array(colour[:, ::-1]).to_rgb8()
    assert mapping == "as stored"
    assert np.array_equal(rgb, colour[:, ::-1])
    assert rgb.flags.c_contiguous


def test_the_picture_is_not_shared_with_the_pixels() -> None:
    colour = np.zeros((2, 2, 3), np.uint8)
    rgb, _ = Image.from_array(colour).to_rgb8()
    rgb[:] = 9
    assert not colour.any()


def test_a_window_is_applied_to_any_grey_type() -> None:
    for dtype in (np.uint8, np.int16, np.float32):
        image = Image.from_array(np.array([[10, 50, 90]], dtype))
        rgb, mapping = image.to_rgb8(Window(50, 80, "linear_exact"))
        assert mapping == "window 50/80 linear_exact"
        assert rgb[0, :, 1].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match="window 40/400 was asked for, but the image is in colour"):
        Image.from_array(np.zeros((2, 2, 3), np.uint8)).to_rgb8(Window(40, 400))


def test_the_files_own_window_is_the_default_and_yields_to_the_callers() -> None:
    image = Image(np.array([[0, 100, 200]], np.int16), Window(100, 101))
    rgb, mapping = image.to_rgb8()
    assert mapping == "window 100/101 of the file"
    assert rgb[0, :, 0].tolist() == [0, 129, 255]
    assert image.to_rgb8(Window(0, 1))[1] == "window 0/1"


def test_the_percentile_rule_spans_all_channels_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pixels = np.zeros((10, 20, 3), np.uint16)
    pixels[..., 1] = 1000
    pixels[..., 2] = 4000
    pixels[0, 0] = 65535  # three of 600 values: 0.5 %, beyond the 99.5th percentile
    with caplog.at_level(logging.INFO, "edgesam"):
        rgb, mapping = Image.from_array(pixels).to_rgb8()
    low, high = np.percentile(pixels, (0.5, 99.5))
    assert (low, mapping) == (0, f"percentiles 0.5..99.5 = 0..{high:g}")
    assert mapping in caplog.text
    want = np.floor(np.clip((pixels - low) / (high - low), 0, 1) * 255 + 0.5)
    assert np.array_equal(rgb, want)
    assert rgb[0, 0].tolist() == [255, 255, 255]


def test_the_percentile_rule_keeps_relative_brightness_of_floats() -> None:
    ramp = np.linspace(-1, 1, 1001, dtype=np.float32).reshape(7, 143)
    rgb, _ = Image.from_array(ramp).to_rgb8()
    assert rgb.min() == 0
    assert rgb.max() == 255
    assert (np.diff(rgb[..., 0].ravel().astype(int)) >= 0).all()
    halves, _ = Image.from_array(ramp.astype(np.float16)).to_rgb8()
    assert np.abs(halves.astype(int) - rgb).max() <= 1


def test_the_percentile_rule_does_not_overflow_in_half_floats() -> None:
    rgb, mapping = Image.from_array(np.array([[-60000, 0, 60000]], np.float16)).to_rgb8()
    assert rgb[0, :, 0].tolist() == [0, 128, 255]
    assert "inf" not in mapping


def test_where_percentiles_coincide_the_whole_range_counts() -> None:
    pixels = np.full((100, 100), 500, np.uint16)
    pixels[3, 4], pixels[5, 6] = 400, 600
    rgb, mapping = Image.from_array(pixels).to_rgb8()
    assert mapping == "range 400..600"
    assert (rgb[3, 4, 0], rgb[0, 0, 0], rgb[5, 6, 0]) == (0, 128, 255)


@pytest.mark.parametrize("value", [0, 77, -1000])
def test_a_constant_image_is_black(value: int) -> None:
    rgb, mapping = Image.from_array(np.full((3, 4), value, np.int16)).to_rgb8()
    assert not rgb.any()
    assert mapping == f"constant {value} as 0"


def test_inverted_images_are_turned_after_the_window() -> None:
    pixels = np.array([[0, 100, 200]], np.int16)
    straight, _ = Image(pixels, Window(100, 150)).to_rgb8()
    turned, mapping = Image(pixels, Window(100, 150), inverted=True).to_rgb8()
    assert np.array_equal(turned, 255 - straight)
    assert mapping == "window 100/150 of the file, inverted"
    stored, mapping = Image(np.array([[0, 9]], np.uint8), inverted=True).to_rgb8()
    assert stored[0, :, 0].tolist() == [255, 246]
    assert mapping == "as stored, inverted"
    assert Image(pixels, inverted=True).to_rgb8(Window(100, 150))[0][0, 0, 0] == 255


def test_lookup_table() -> None:
    table = LookupTable(-2, np.array([0, 1023, 512], np.uint16), bits=10)
    pixels = np.array([[-9, -2, -1, 0, 9]], np.int16)
    assert table.look_up(pixels).tolist() == [[0, 0, 1023, 512, 512]]
    assert table.look_up(np.array([-1.4, -0.6])).tolist() == [1023, 1023]
    rgb, mapping = Image(pixels, table).to_rgb8()
    assert mapping == "VOI LUT of the file"
    assert rgb[0, :, 0].tolist() == [0, 0, 255, 128, 128]


def test_lookup_table_that_declares_too_few_bits_does_not_wrap() -> None:
    table = LookupTable(0, np.array([0, 2048, 4096], np.uint16), bits=8)
    assert table.apply(np.array([0, 1, 2])).tolist() == [0, 128, 255]


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (2, 20_000, 3)])
def test_long_thin_images(shape: tuple[int, ...]) -> None:
    pixels = (np.arange(np.prod(shape)) % 4096).astype(np.uint16).reshape(shape)
    rgb, _ = Image.from_array(pixels).to_rgb8()
    assert rgb.shape == (*shape[:2], 3)
    assert rgb.max() == 255


TABLE = LookupTable(-3, np.array([5, 900, 20, 1023], np.uint16), 10)
BY_TABLE = [
    Image(np.arange(252, dtype=np.uint8).reshape(12, 7, 3)),
    Image(np.arange(252, dtype=np.uint8).reshape(12, 7, 3), inverted=True),
    Image(np.arange(-900, 900, 7, dtype=np.int16)[None], voi=Window(40, 400), inverted=True),
    Image(
        np.arange(-900, 900, 7, dtype=np.int16)[None],
        voi=Window(40, 400),
        window=Percentiles(5, 90),
    ),
    Image(np.arange(-9, 9, dtype=np.int16)[None], voi=TABLE),
    Image((np.arange(252) ** 2).astype(np.uint16).reshape(12, 7, 3)),
    Image(np.linspace(-3, 900, 100, dtype=np.float32)[None], inverted=True),
    Image(np.full((3, 4), 7, np.float32)),
    Image(
        np.arange(120, dtype=np.int8)[None], window=Windows(*(Window(x, 40) for x in (9, 50, 80)))
    ),
    Image(np.arange(99, dtype=np.float32)[None], voi=TABLE, window=Window(40, 30, "sigmoid")),
]


@pytest.mark.parametrize("image", BY_TABLE, ids=range(len(BY_TABLE)))
def test_a_table_makes_the_same_levels(image: Image) -> None:
    found = image.grey_table()
    assert found is not None
    levels, mapping = image.to_rgb8()
    assert found[1] == mapping
    np.testing.assert_array_equal(found[0].levels(image.pixels), levels)


def test_a_table_shows_another_window() -> None:
    image = Image(np.arange(-900, 900, 7, dtype=np.int16)[None], voi=TABLE)
    found = image.grey_table(Window(-100, 700))
    assert found is not None
    np.testing.assert_array_equal(
        found[0].levels(image.pixels), image.to_rgb8(Window(-100, 700))[0]
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.float16])
def test_other_pixels_have_no_table(dtype: type[np.generic]) -> None:
    assert Image(np.zeros((2, 3), dtype)).grey_table(Window(0, 1)) is None


def test_floats_have_no_table_of_a_lookup_table() -> None:
    assert Image(np.zeros((2, 3), np.float32), voi=TABLE).grey_table() is None
    assert Image(np.zeros((2, 3), np.float32), voi=TABLE).grey_table(Window(0, 1)) is not None
