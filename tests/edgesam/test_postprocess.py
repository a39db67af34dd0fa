"""From logits to masks: the order of operations by profile, and which of four masks answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam import Fit, OutOfMemory
from edgesam.models import LITE_MEDSAM, MEDSAM, SAM, Profile
from edgesam.postprocess import SELECTIONS, Select, make_mask, picture_mask, selected, tokens_for
from edgesam.preprocess import fit_of

Noise = Callable[..., NDArray[np.uint8]]
Floats = NDArray[np.float64]
SIZES = [(256, 256), (300, 400), (411, 97), (60, 1000), (512, 512), (1, 40)]


def bilinear(values: Floats, height: int, width: int) -> Floats:
    """Pixel centres at half-pixel positions, the edge repeated; in float64, pixel by pixel."""

    def neighbours(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        at = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
        low = np.floor(at).astype(np.intp)
        return low, np.minimum(low + 1, source - 1), at - low

    top, bottom, down = neighbours(values.shape[0], height)
    left, right, across = neighbours(values.shape[1], width)
    upper = values[top][:, left] * (1 - across) + values[top][:, right] * across
    lower = values[bottom][:, left] * (1 - across) + values[bottom][:, right] * across
    return upper * (1 - down[:, None]) + lower * down[:, None]


def noisy_logits(noise: Noise, seed: int = 0, side: int = 256) -> NDArray[np.float32]:
    """Blobs of a few cells with edges of very different steepness, -40 to 40."""
    coarse = noise(side // 8, side // 8, seed=seed).astype(np.float64) - 127.5
    steep = noise(side // 8, side // 8, seed=seed + 1) / 255
    rough = bilinear(coarse * steep**3, side, side) / 3
    return rough.astype(np.float32)


def lopsided_logits(noise: Noise) -> NDArray[np.float32]:
    """Cell by cell about +20 or about -1: where the sign changes depends on the order of steps."""
    draw = noise(256, 256)
    return np.where(draw > 127, 20, -1).astype(np.float32) + noise(256, 256, seed=1) / np.float32(
        500
    )


def agree(mask: NDArray[np.bool_], exact: Floats, slack: float) -> None:
    """The mask is where ``exact`` is above 0; closer to it than ``slack``, roundings decide."""
    clear = np.abs(exact) > slack
    assert clear.mean() > 0.98
    np.testing.assert_array_equal(mask[clear], exact[clear] > 0)


class TestPictureMask:
    @pytest.mark.parametrize("size", SIZES)
    def test_probabilities_are_made_first_and_resized_at_once(
        self, size: tuple[int, int], noise: Noise
    ) -> None:
        """MedSAM_Inference.py: sigmoid, bilinear from 256 to (H, W), above 0.5."""
        low = lopsided_logits(noise)
        mask = picture_mask(low, fit_of(*size, 1024, MEDSAM), MEDSAM)
        assert (mask.shape, mask.dtype) == (size, np.bool_)
        exact = bilinear(1 / (1 + np.exp(-low.astype(np.float64))), *size) - 0.5
        agree(mask, exact, slack=1e-5)

    def test_the_order_matters(self, noise: Noise) -> None:
        """So that the test above can fail: the other order gives other masks."""
        low, size = lopsided_logits(noise), (300, 400)
        fit = fit_of(*size, 1024, MEDSAM)
        first = picture_mask(low, fit, MEDSAM)
        last = picture_mask(low, fit, replace(MEDSAM, mask_from="logits"))
        assert (first != last).mean() > 0.05

    def test_logits_beyond_all_exponentials(self) -> None:
        low = np.full((256, 256), -1e30, np.float32)
        low[:, :128] = 1e30
        mask = picture_mask(low, fit_of(100, 200, 1024, MEDSAM), MEDSAM)
        assert mask[:, :99].all()
        assert not mask[:, 101:].any()

    @pytest.mark.parametrize("profile", [SAM, LITE_MEDSAM], ids=lambda p: p.name)
    @pytest.mark.parametrize("size", SIZES)
    def test_logits_pass_the_square_and_lose_the_padding(
        self, size: tuple[int, int], profile: Profile, noise: Noise
    ) -> None:
        """segment_anything/modeling/sam.py, ``postprocess_masks``."""
        square = 1024 if profile is SAM else 256
        fit = fit_of(*size, square, profile)
        low = noisy_logits(noise)
        mask = picture_mask(low, fit, profile)
        whole = bilinear(low.astype(np.float64), square, square)
        exact = bilinear(whole[: fit.resized_height, : fit.resized_width], *size)
        agree(mask, exact, slack=1e-3)

    def test_a_smaller_low_resolution(self, noise: Noise) -> None:
        low, size = noisy_logits(noise, side=64), (90, 120)
        fit = fit_of(*size, 128, SAM)
        whole = bilinear(low.astype(np.float64), 128, 128)
        exact = bilinear(whole[: fit.resized_height, : fit.resized_width], *size)
        agree(picture_mask(low, fit, SAM), exact, slack=1e-3)

    @pytest.mark.parametrize("profile", [SAM, MEDSAM], ids=lambda p: p.name)
    def test_zero_is_outside(self, profile: Profile) -> None:
        low = np.zeros((256, 256), np.float32)
        assert not picture_mask(low, fit_of(30, 40, 1024, profile), profile).any()

    @pytest.mark.parametrize("profile", [SAM, MEDSAM], ids=lambda p: p.name)
    def test_no_memory(self, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> Any:
            raise MemoryError

        monkeypatch.setattr("edgesam.postprocess.threshold_mask", fail)
        with pytest.raises(OutOfMemory, match="not enough memory for a mask of 48 x 64 pixels"):
            picture_mask(np.zeros((256, 256), np.float32), fit_of(64, 48, 1024, profile), profile)


def test_a_mask_keeps_its_own_logits_only(noise: Noise) -> None:
    many = np.stack([noisy_logits(noise, seed) for seed in range(4)])
    fit = fit_of(300, 400, 1024, SAM)
    mask = make_mask(many[2], np.float32(0.75), fit, SAM)
    np.testing.assert_array_equal(mask.logits, many[2])
    np.testing.assert_array_equal(mask.array, picture_mask(many[2], fit, SAM))
    assert mask.logits.base is None
    assert (mask.score, type(mask.score)) == (0.75, float)


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
    tokens = tokens_for(select)
    (found,) = selected(logits[:, tokens], np.array([iou], np.float32), select, fit)
    return tokens[found]


class TestSelected:
    @pytest.mark.parametrize(("select", "token"), [("single", 0), (0, 1), (1, 2), (2, 3)])
    def test_by_name_and_by_index(self, select: Select, token: int, noise: Noise) -> None:
        logits = four(*(noisy_logits(noise, seed) for seed in range(4)))
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
            tokens = tokens_for(select)
            found = selected(logits[:, tokens], iou, select, WHOLE)
            assert [tokens[i] for i in found] == expected[select], select
            assert np.issubdtype(found.dtype, np.integer)

    def test_a_picture_thinner_than_a_logit(self) -> None:
        thin = fit_of(2, 2000, 1024, SAM)
        assert choose(four(9, -9, disk(1, 0), -9), "stability", thin) == 2

    @settings(deadline=None)
    @given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["best", "stability"]))
    def test_it_is_always_one_of_the_three(self, height: int, width: int, select: Select) -> None:
        fit = fit_of(height, width, 1024, SAM)
        assert choose(four(9, -9, -9, -9), select, fit) in (1, 2, 3)
