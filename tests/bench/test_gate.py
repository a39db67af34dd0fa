"""The gate holds when it should, and says what does not hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgesam_bench.comparison import Comparison, MaskResult, PictureResult
from edgesam_bench.gate import LOW_PRECISION, Gate


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


def test_a_variant_s_gate_bears_other_masks_but_not_few_of_them() -> None:
    def many(iou: float, pictures: int = 30, prompts: int = 60, kinds: int = 4) -> Comparison:
        return Comparison(
            [PictureResult(f"p{i}", f"kind {i % kinds}", "0" * 64, 0.05) for i in range(pictures)],
            [replace(mask(iou), case=f"case {i}") for i in range(prompts)],
        )

    assert LOW_PRECISION.failures(many(0.985)) == []
    assert Gate().failures(many(0.985)) != []
    assert "mean" in LOW_PRECISION.failures(many(0.979))[0]
    assert LOW_PRECISION.failures(many(1.0, pictures=29)) == ["too few pictures: 29 < 30"]
    assert LOW_PRECISION.failures(many(1.0, prompts=59)) == ["too few prompts: 59 < 60"]
    assert LOW_PRECISION.failures(many(1.0, kinds=3)) == ["too few modalities: 3 < 4"]


def test_nothing_compared_is_no_success() -> None:
    assert Gate().failures(Comparison([], [])) == ["nothing was compared"]
