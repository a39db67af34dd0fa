"""What is learned of a product: measured against rounding it plainly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam_bench.random_weights import uniform
from edgesam_export.quantization.learning import learn
from edgesam_export.quantization.probe import Seen
from edgesam_export.quantization.products import Product
from edgesam_export.quantization.recipe import Quantized

CHANNELS, OUTPUTS, ROWS = 12, 8, 400
Floats = NDArray[Any]


def product(has_bias: bool = True, taps: int = 1, place: Any = "norm") -> Product:
    weight = uniform((CHANNELS * taps, OUTPUTS), 1).astype(np.float32)
    return Product("fc/MatMul", weight, taps, place, has_bias)


def seen(rows: Floats, taps: int = 1) -> Seen:
    rows = rows.astype(np.float32)
    by_channel = rows.reshape(len(rows), -1, taps)
    low, high = by_channel.min(axis=(0, 2)), by_channel.max(axis=(0, 2))
    return Seen(rows, low, high, 1)


def error(of: Product, rows: Floats, how: Quantized) -> float:
    """Of the product's output, as the graph would compute it."""
    factors = np.repeat(how.factors(of.channels), of.taps)
    weight = of.weight * factors[:, None]
    scale = np.abs(weight).max(axis=0) / 127
    weight = np.clip(np.rint(weight / scale), -127, 127) * scale
    bytes_ = np.clip(np.rint(rows / factors / how.scale) + how.zero, 0, 255)
    found = (bytes_ - how.zero) * how.scale @ weight
    found += 0 if how.bias is None else np.array(how.bias)
    return float(((found - rows @ of.weight) ** 2).mean())


def plain(rows: Floats) -> Quantized:
    low, high = min(0.0, rows.min()), max(0.0, rows.max())
    scale = (high - low) / 255
    return Quantized(float(scale), int(np.rint(-low / scale)))


NORMAL = np.random.default_rng(3).normal(size=(ROWS, CHANNELS))


def test_rare_large_values_are_cut_off() -> None:
    rows = NORMAL.copy()
    rows[0, 0] = 30.0
    how = learn(product(place=None), seen(rows))
    assert how.scale < 0.7 * plain(rows).scale
    assert error(product(), rows, how) < error(product(), rows, plain(rows))


def test_a_loud_channel_is_smoothed() -> None:
    rows = NORMAL * np.where(np.arange(CHANNELS) == 4, 40.0, 1.0)
    how = learn(product(), seen(rows))
    assert how.smoothing is not None
    assert how.fold
    assert np.argmax(how.smoothing) == 4
    assert error(product(), rows, how) < 0.5 * error(product(), rows, plain(rows))


def test_taps_of_a_channel_share_its_factor() -> None:
    of = product(taps=9)
    rows = np.random.default_rng(4).normal(size=(ROWS, CHANNELS * 9))
    rows *= np.repeat(np.where(np.arange(CHANNELS) == 4, 40.0, 1.0), 9)
    how = learn(of, seen(rows, taps=9))
    assert how.smoothing is not None
    assert len(how.smoothing) == CHANNELS
    assert error(of, rows, how) < error(of, rows, plain(rows))


def test_the_mean_error_is_taken_back() -> None:
    rows = np.abs(NORMAL)  # what is cut off is always too little
    rows[:5] *= 6
    of = product(place=None)
    how = learn(of, seen(rows))
    without = Quantized(how.scale, how.zero, how.smoothing, how.fold, None)
    assert error(of, rows, how) < error(of, rows, without)
    assert learn(product(has_bias=False), seen(rows)).bias is None


def test_values_that_never_fall_below_zero_use_all_bytes() -> None:
    how = learn(product(), seen(np.abs(NORMAL)))
    assert how.zero == 0


def test_smoothing_that_costs_an_operation_must_be_worth_it() -> None:
    even = learn(product(place=None), seen(NORMAL))
    assert even.smoothing is None
    loud = NORMAL * np.where(np.arange(CHANNELS) == 4, 40.0, 1.0)
    how = learn(product(place=None), seen(loud))
    assert how.smoothing is not None
    assert not how.fold


@pytest.mark.parametrize("rows", [np.zeros((ROWS, CHANNELS)), -np.abs(NORMAL)])
def test_what_is_always_zero_or_below(rows: Floats) -> None:
    how = learn(product(), seen(rows))
    assert np.isfinite(how.scale)
    assert how.scale > 0
    assert 0 <= how.zero <= 255
    assert np.isfinite(error(product(), rows, how))


def test_the_same_again() -> None:
    assert learn(product(), seen(NORMAL)) == learn(product(), seen(NORMAL))
