"""Windows against DICOM's own pseudo-code, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgesam.errors import ImageError
from edgesam.presets import PRESETS
from edgesam.window import Window


def dicom(x: float, window: Window) -> int:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, with ymin 0 and ymax 255, rounded."""
    c, w = window.level, window.width
    if window.function == "sigmoid":
        y = 255 / (1 + math.exp(-4 * (x - c) / w))
    elif window.function == "linear_exact":
        if x <= c - w / 2:
            y = 0
        elif x > c + w / 2:
            y = 255
        else:
            y = ((x - c) / w + 0.5) * 255
    elif x <= c - 0.5 - (w - 1) / 2:
        y = 0
    elif x > c - 0.5 + (w - 1) / 2:
        y = 255
    else:
        y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
    return math.floor(y + 0.5)


@pytest.mark.parametrize(
    "window",
    [
        Window(40, 400),
        Window(2048, 4096),
        Window(10, 1),
        Window(10, 2),
        Window(40, 401, "linear_exact"),
        Window(0.5, 0.25, "linear_exact"),
        Window(40, 80, "sigmoid"),
    ],
    ids=str,
)
def test_apply_follows_dicom(window: Window) -> None:
    values = np.arange(-1100, 4200, 7)
    want = [dicom(float(x), window) for x in values]
    for dtype in (np.int16, np.int32, np.float32, np.float64):
        assert window.apply(values.astype(dtype)).tolist() == want, dtype


def test_dicoms_worked_examples() -> None:
    """The three notes of PS3.3 C.11.2.1.2.1, and the ends of LINEAR_EXACT."""
    assert Window(2048, 4096).apply(np.array([0, 4095])).tolist() == [0, 255]
    assert Window(2048, 1).apply(np.array([2047, 2048])).tolist() == [0, 255]
    assert Window(0, 100).apply(np.array([-50, -49, 48, 49])).tolist() == [0, 3, 252, 255]
    exact = Window(0, 100, "linear_exact").apply(np.array([-50, 0, 49, 50]))
    assert exact.tolist() == [0, 128, 252, 255]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_small_integers_equal_the_float_path(dtype: type[np.integer]) -> None:
    info = np.iinfo(dtype)
    values = np.linspace(info.min, info.max, 999).astype(dtype).reshape(27, 37)
    window = Window(float(info.max) / 3, float(info.max) / 2)
    assert np.array_equal(window.apply(values), window.apply(values.astype(np.float64)))
    swapped = values.astype(values.dtype.newbyteorder())
    assert np.array_equal(window.apply(swapped), window.apply(values))
    assert np.array_equal(window.apply(values[::2, ::-3]), window.apply(values)[::2, ::-3])


def test_large_floats_are_mapped_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(-200, 300, 7 * 11).reshape(7, 11)
    whole = Window(40, 400).apply(values)
    monkeypatch.setattr("edgesam.window._BLOCK", 25)
    assert np.array_equal(Window(40, 400).apply(values), whole)


def test_extreme_values_do_not_overflow() -> None:
    values = np.array([-1e300, 0.0, 1e300])
    assert Window(0, 1e-300, "sigmoid").apply(values).tolist() == [0, 128, 255]
    assert Window(40, 400).apply(np.array([-(2**63), 2**63 - 1])).tolist() == [0, 255]


def test_presets() -> None:
    assert Window.preset("soft-tissue") == Window.preset("abdomen") == Window(40, 400)
    assert Window.preset(" Lung ") == Window(-600, 1500)
    assert Window.preset("bone") == Window(400, 1800)
    assert Window.preset("brain") == Window(40, 80)
    for name in PRESETS:
        assert Window.parse(name) == Window.preset(name)


def test_parse_numbers() -> None:
    assert Window.parse("40,400") == Window(40, 400)
    assert Window.parse(" -600 , 1500.5 ") == Window(-600, 1500.5)
    assert Window.parse("0.5,1") == Window(0.5, 1, "linear_exact")


@pytest.mark.parametrize("text", ["", "livr", "40", "40,", "40,400,1", "a,b", ","])
def test_parse_refuses_in_one_line_and_lists_the_presets(text: str) -> None:
    with pytest.raises(ImageError) as caught:
        Window.parse(text)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)
    assert all(name in str(caught.value) for name in PRESETS)


@pytest.mark.parametrize("text", ["40,0", "40,-5", "nan,400", "40,inf", "40,nan"])
def test_parse_refuses_windows_that_map_nothing(text: str) -> None:
    with pytest.raises(ImageError, match="window"):
        Window.parse(text)


def test_linear_needs_a_width_of_one() -> None:
    with pytest.raises(ImageError, match="linear_exact"):
        Window(0.5, 0.5)
    with pytest.raises(ValueError, match="function"):
        Window(40, 400, "cubic")  # type: ignore[arg-type]
