"""The gate holds when it should, and says what does not hold."""

from __future__ import annotations

import math

import pytest

from edgesam_bench.comparison import Comparison, MaskResult, PictureResult
from edgesam_bench.gate import Gate


def mask(iou: float = 1.0, area: int = 1000, differing: int = 0) -> MaskResult:
    return MaskResult("a/0/box", "box", "ct", 0, area, differing, iou, 0.0, 0.0)


def comparison(*masks: MaskResult, error: float = 1e-6) -> Comparison:
    return Comparison([PictureResult("a", "ct", "0" * 64, error)], masks)


def test_perfect_agreement_holds() -> None:
    assert Gate().failures(comparison(mask(), mask())) == []


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([mask(0.9998)] * 100, "mean"),
        ([mask(0.9994)] * 6 + [mask()] * 94, "p5"),
        ([mask(0.9949)] + [mask()] * 999, "worst"),
        ([mask(math.nan)] + [mask()] * 9, "mean"),
        ([mask(1.0, area=63, differing=17)], "17 differ"),
        ([mask(0.0, area=0, differing=17)], "0 pixels in the reference"),
    ],
)
def test_each_threshold_is_held(masks: list[MaskResult], said: str) -> None:
    assert said in "; ".join(Gate().failures(comparison(*masks)))


def test_tiny_and_empty_masks_are_judged_by_their_pixels() -> None:
    masks = [mask(0.5, area=8, differing=8), mask(0.0, area=0, differing=3)]
    assert Gate().failures(comparison(*masks)) == []


@pytest.mark.parametrize("error", [2e-4, math.nan, math.inf])
def test_an_embedding_that_is_off_fails_even_when_masks_agree(error: float) -> None:
    assert "embedding of a" in Gate().failures(comparison(mask(), error=error))[0]


def test_nothing_compared_is_no_success() -> None:
    assert Gate().failures(Comparison([], [])) == ["nothing was compared"]
