"""From logits to masks: the order of operations by profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import Mask, OutOfMemory
from edgesam.models import LITE_MEDSAM, MEDSAM, SAM, Profile
from edgesam.postprocess import finished_mask, make_mask, mask_frame, picture_mask
from edgesam.preprocess import fit_of
from edgesam_kernels.bilinear import resize_logits
from edgesam_kernels.cpu import finish

Noise = Callable[..., NDArray[np.uint8]]
Floats = NDArray[np.float64]
FIT = fit_of(64, 48, 1024, SAM)
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


@pytest.mark.parametrize("profile", [SAM, LITE_MEDSAM, MEDSAM], ids=lambda p: p.name)
@pytest.mark.parametrize("size", SIZES)
def test_the_kernels_way_gives_the_same_mask(
    size: tuple[int, int], profile: Profile, noise: Noise
) -> None:
    """Its sums have another order: closer to 0 than float32 rounds, either side is right."""
    fit = fit_of(*size, 256 if profile is LITE_MEDSAM else 1024, profile)
    low = noisy_logits(noise)
    frame = mask_frame(256, fit, profile)
    values = np.tanh(low / 2) if profile is MEDSAM else low
    resized = resize_logits(values, frame.square, frame.crop, frame.size)
    clear = np.abs(resized) > 4e-7 * np.abs(values).max()
    assert clear.mean() > 0.999
    found = finish(low[None], frame).mask(0)
    np.testing.assert_array_equal(found[clear], picture_mask(low, fit, profile)[clear])


def test_a_mask_keeps_its_own_logits_only(noise: Noise) -> None:
    many = np.stack([noisy_logits(noise, seed) for seed in range(4)])
    fit = fit_of(300, 400, 1024, SAM)
    mask = make_mask(many[2], np.float32(0.75), fit, SAM)
    np.testing.assert_array_equal(mask.logits, many[2])
    np.testing.assert_array_equal(mask.array, picture_mask(many[2], fit, SAM))
    assert mask.logits.base is None
    assert (mask.score, type(mask.score)) == (0.75, float)


def test_a_finished_mask_is_unpacked_with_its_figures(noise: Noise) -> None:
    many = np.stack([noisy_logits(noise, seed) for seed in range(3)])
    many[1] = -1
    fit = fit_of(300, 401, 1024, SAM)
    finished = finish(many, mask_frame(256, fit, SAM))
    for index, low in enumerate(many):
        mask = finished_mask(finished, index, low, np.float32(0.75))
        assert (mask.array.shape, mask.array.dtype) == ((300, 401), np.bool_)
        assert mask.array.flags.writeable
        again = Mask(mask.array.copy(), 0.75, low)
        assert (mask.area, mask.box) == (again.area, again.box)
        assert (type(mask.area), type(mask.score), mask.score) == (int, float, 0.75)
        assert mask.logits.base is None
        np.testing.assert_array_equal(mask.logits, low)


def test_no_memory_for_a_finished_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = finish(np.zeros((1, 256, 256), np.float32), mask_frame(256, FIT, SAM))

    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("edgesam_kernels.finished.Finished.mask", fail)
    with pytest.raises(OutOfMemory, match="not enough memory for a mask of 48 x 64 pixels"):
        finished_mask(finished, 0, np.zeros((256, 256), np.float32), np.float32(0))
