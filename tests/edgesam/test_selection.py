"""Which of four masks answers: by token, by predicted IoU, by the stablest edge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam import Fit
from edgesam.models import SAM
from edgesam.preprocess import fit_of
from edgesam.selection import SELECTIONS, Select, Selection

Noise = Callable[..., NDArray[np.uint8]]
Floats = NDArray[np.float64]
FIT = fit_of(300, 400, 1024, SAM)  # 192 of 256 rows
WHOLE = fit_of(400, 400, 1024, SAM)


def four(*inside: Floats | float) -> NDArray[np.float32]:
    """(1, 4, 256, 256) logits, each the value given or (256, 256)."""
    return np.stack([np.broadcast_to(x, (256, 256)) for x in inside])[None].astype(np.float32)


def disk(sure: int, perhaps: int) -> Floats:
    """Above +1 in ``sure`` rows, between -1 and +1 in ``perhaps`` more, else below -1."""
    logits = np.full((256, 256), -5.0)
    logits[: sure + perhaps] = 0.5
    logits[:sure] = 5.0
    return logits


def choose(
    logits: NDArray[np.float32],
    select: Select,
    fit: Fit = WHOLE,
    iou: tuple[float, float, float, float] = (0.1, 0.2, 0.3, 0.4),
) -> int:
    selection = Selection(select)
    logits = logits[:, selection.tokens]
    ((found,),) = selection.chosen(logits, np.array([iou], np.float32), fit)
    return selection.tokens[found]


class TestSelected:
    @pytest.mark.parametrize(("select", "token"), [("single", 0), (0, 1), (1, 2), (2, 3)])
    def test_by_name_and_by_index(self, select: Select, token: int, noise: Noise) -> None:
        logits = four(*(noise(256, 256, seed=seed) - 127.5 for seed in range(4)))
        for iou in [(0.9, 0.1, 0.2, 0.3), (0.1, 0.9, 0.2, 0.3), (0.1, 0.2, 0.3, 0.9)]:
            assert choose(logits, select, iou=iou) == token

    @pytest.mark.parametrize("token", [1, 2, 3])
    def test_best_is_of_the_three(self, token: int) -> None:
        iou = [0.99, 0.5, 0.5, 0.5]  # the single-mask output's own score has no say
        iou[token] = 0.51
        assert choose(four(1, 1, 1, 1), "best", iou=(iou[0], iou[1], iou[2], iou[3])) == token

    @pytest.mark.parametrize("token", [1, 2, 3])
    def test_stability_is_the_share_that_stays(self, token: int) -> None:
        masks = [disk(100, 0), disk(100, 25), disk(100, 25), disk(100, 25)]
        masks[token] = disk(100, 20)
        assert choose(four(*masks), "stability", iou=(1, 0, 0, 0)) == token

    def test_stability_is_a_ratio_and_not_an_area(self) -> None:
        # 10/11, 100/120, 2/2: the smallest is the most stable.
        assert choose(four(-9, disk(10, 1), disk(100, 20), disk(2, 0)), "stability") == 3

    def test_the_offset_is_one(self) -> None:
        # Between -1 and +1 counts against a mask; beyond, on both sides, it does not.
        logits = [np.full((256, 256), -1.01) for _ in range(3)]
        for mask, level in zip(logits, (0.99, 1.01, -0.99), strict=True):
            mask[:50] = 3.0
            mask[50:60] = level
        assert choose(four(-9, *logits), "stability") == 2

    def test_padding_has_no_say(self) -> None:
        steady, shaky = disk(100, 10), disk(100, 20)
        steady[192:] = 0.5  # what a network says beside the picture
        shaky[192:] = 5.0
        assert choose(four(-9, shaky, steady, -9), "stability", FIT) == 2
        assert choose(four(-9, shaky, steady, -9), "stability", WHOLE) == 1
        turned = four(-9, shaky.T, steady.T, -9)
        assert choose(turned, "stability", fit_of(400, 300, 1024, SAM)) == 2
        assert choose(turned, "stability", FIT) == 1

    def test_an_empty_mask_is_not_stable(self) -> None:
        assert choose(four(9, -9, disk(1, 200), -9), "stability") == 2
        # Nothing above +1, but something above -1, is no better than nothing: the first.
        assert choose(four(9, -9, disk(0, 9), -9), "stability") == 1
        assert choose(four(9, -9, -9, -9), "stability") == 1

    def test_a_tie_is_the_first(self) -> None:
        assert choose(four(-9, disk(9, 1), disk(9, 1), disk(9, 1)), "stability") == 1
        assert choose(four(1, 1, 1, 1), "best", iou=(0, 0.5, 0.5, 0.5)) == 1

    def test_of_many_prompts_each_has_its_own(self) -> None:
        logits = np.concatenate(
            [
                four(9, disk(9, 0), disk(9, 5), disk(9, 5)),
                four(9, disk(9, 5), disk(9, 5), disk(9, 0)),
                four(9, disk(9, 5), disk(9, 0), disk(9, 5)),
            ]
        )
        iou = np.array([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], np.float32)
        expected = {
            "single": [0, 0, 0],
            "best": [3, 2, 1],
            "stability": [1, 3, 2],
            0: [1, 1, 1],
            1: [2, 2, 2],
            2: [3, 3, 3],
        }
        assert set(expected) == set(SELECTIONS)
        for select in SELECTIONS:
            selection = Selection(select)
            found = selection.chosen(logits[:, selection.tokens], iou, WHOLE)
            assert [selection.tokens[i] for (i,) in found] == expected[select], select
            assert np.issubdtype(found.dtype, np.integer)

    def test_all_three(self) -> None:
        selection = Selection.asked("single", multimask=True)
        assert selection.tokens == (1, 2, 3)
        logits = np.zeros((2, 3, 256, 256), np.float32)
        found = selection.chosen(logits, np.zeros((2, 4), np.float32), WHOLE)
        assert found.tolist() == [[0, 1, 2], [0, 1, 2]]

    def test_a_picture_thinner_than_a_logit(self) -> None:
        thin = fit_of(2, 2000, 1024, SAM)
        assert choose(four(9, -9, disk(1, 0), -9), "stability", thin) == 2

    @settings(deadline=None)
    @given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["best", "stability"]))
    def test_it_is_always_one_of_the_three(self, height: int, width: int, select: Select) -> None:
        fit = fit_of(height, width, 1024, SAM)
        assert choose(four(9, -9, -9, -9), select, fit) in (1, 2, 3)
