"""What reaches the networks: refused prompts, the order of tokens, masks that stay in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam import Fit, Prompt, PromptError
from edgesam.models import LITE_MEDSAM, MEDSAM, MODELS, SAM, Profile
from edgesam.preprocess import check_prompt, decoder_inputs, fit_of, network_input, token_count
from edgesam_kernels.area import resize_area

Noise = Callable[..., NDArray[np.uint8]]

FIT = fit_of(300, 400, 1024, SAM)
LITE_FIT = fit_of(300, 400, 256, LITE_MEDSAM)
LOGITS = np.ones((256, 256), np.float32)
MASK = np.ones((300, 400), np.bool_)
STRETCHED = replace(SAM, layout="stretch")  # no known model takes masks into a stretched picture


def check(
    prompt: Prompt, fit: Fit = FIT, profile: Profile = SAM, model: str = "mobile-sam"
) -> None:
    check_prompt(prompt, fit, profile, model, 256)


class TestFit:
    def test_the_profile_says_how_prompts_scale(self) -> None:
        odd = fit_of(333, 512, 1024, SAM)
        assert odd.scale_y == 666 / 333
        assert odd == Fit.letterbox(333, 512, 1024, per_axis=True)
        lite = fit_of(331, 512, 256, LITE_MEDSAM)
        assert lite.scale_x == lite.scale_y == 0.5
        assert lite == Fit.letterbox(331, 512, 256, per_axis=False)

    def test_the_profile_says_whether_the_aspect_is_kept(self) -> None:
        assert fit_of(333, 512, 1024, MEDSAM) == Fit.stretch(333, 512, 1024)


class TestNetworkInput:
    def test_area_and_min_max(self, noise: Noise) -> None:
        picture = noise(300, 400, 3) // 2 + 20
        result = network_input(picture, LITE_FIT, LITE_MEDSAM)
        assert (result.shape, result.dtype) == ((1, 3, 256, 256), np.float32)
        resized = resize_area(picture, 192, 256).astype(np.float64)
        low, high = resized.min(), resized.max()
        expected = ((resized - low) / (high - low)).astype(np.float32)
        np.testing.assert_array_equal(result[0, :, :192].transpose(1, 2, 0), expected)
        assert not result[0, :, 192:].any()

    def test_pillow_and_mean_std(self, noise: Noise) -> None:
        from PIL import Image

        picture = noise(30, 40, 3)
        fit = fit_of(30, 40, 64, SAM)
        result = network_input(picture, fit, SAM)
        resized = np.asarray(Image.fromarray(picture).resize((64, 48), Image.Resampling.BILINEAR))
        expected = (resized.astype(np.float32) - np.float32(SAM.mean)) / np.float32(SAM.std)
        np.testing.assert_array_equal(result[0, :, :48].transpose(1, 2, 0), expected)
        assert not result[0, :, 48:].any()

    def test_medsam_fills_the_square_upright(self) -> None:
        picture = np.full((40, 90, 3), 50, np.uint8)
        picture[:10, 45:] = (90, 130, 170)  # the upper right
        result = network_input(picture, fit_of(40, 90, 64, MEDSAM), MEDSAM)
        assert (result.shape, result.dtype) == ((1, 3, 64, 64), np.float32)
        # Min-max over all channels together, (level - 50) / 120; no padding anywhere.
        assert (result.min(), result.max()) == (0, 1)
        for y, x, inside in [(4, 56, True), (4, 8, False), (60, 56, False), (60, 8, False)]:
            expected = np.array([40, 80, 120]) / 120 if inside else np.zeros(3)
            np.testing.assert_allclose(result[0, :, y, x], expected, atol=0.02)

    @pytest.mark.parametrize("profile", [SAM, LITE_MEDSAM, MEDSAM])
    @pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (2000, 8)])
    def test_thin_pictures(self, noise: Noise, size: tuple[int, int], profile: Profile) -> None:
        fit = fit_of(*size, 256, profile)
        result = network_input(noise(*size, 3), fit, profile)
        assert result.shape == (1, 3, 256, 256)
        assert np.isfinite(result).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ("prompt", "kind"),
        [
            (Prompt.point(5, 5), "point"),
            (Prompt([(5, 5)], [1], box=(1, 1, 9, 9)), "point"),
            (Prompt(box=(1, 1, 9, 9), mask_input=LOGITS), "mask"),
            (Prompt(mask_input=MASK), "mask"),
        ],
    )
    def test_a_kind_the_model_does_not_take(self, prompt: Prompt, kind: str) -> None:
        with pytest.raises(PromptError, match=rf"takes no {kind}.*mobile-sam") as raised:
            check(prompt, LITE_FIT, LITE_MEDSAM, "lite-medsam")
        assert str(raised.value).startswith("lite-medsam was trained for a box")
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("x", [-0.1, 400.1])
    def test_a_point_beside_the_picture(self, x: float) -> None:
        with pytest.raises(PromptError, match=r"point .* outside the picture of 400 x 300 pixels"):
            check(Prompt.points([(5, 5), (x, 5)], [1, 0]))

    @pytest.mark.parametrize("y", [-0.1, 300.1])
    def test_a_point_above_or_below(self, y: float) -> None:
        with pytest.raises(PromptError, match="outside"):
            check(Prompt.point(5, y))

    @pytest.mark.parametrize(
        "box", [(-9, 5, 0, 9), (400, 5, 500, 9), (5, -9, 9, 0), (5, 300, 9, 400)]
    )
    def test_a_box_that_misses_the_picture(self, box: tuple[int, int, int, int]) -> None:
        with pytest.raises(PromptError, match=r"box .* outside the picture of 400 x 300 pixels"):
            check(Prompt.box(*box))

    @pytest.mark.parametrize("shape", [(400, 300), (300, 399), (256, 256), (1, 1)])
    def test_a_mask_of_another_size(self, shape: tuple[int, int]) -> None:
        mask = np.ones(shape, np.bool_)
        with pytest.raises(PromptError, match=f"{shape[1]} x {shape[0]} pixels, not .*400 x 300"):
            check(Prompt(mask_input=mask))

    @pytest.mark.parametrize("side", [64, 255, 257, 1024])
    def test_logits_of_another_low_resolution(self, side: int) -> None:
        logits = np.zeros((side, side), np.float32)
        with pytest.raises(PromptError) as raised:
            check(Prompt(mask_input=logits))
        assert str(raised.value) == (
            f"the logits of mask_input are {side} x {side}, those of mobile-sam are 256 x 256: "
            "pass an earlier result's logits, or a boolean mask of the picture's size"
        )
        check_prompt(Prompt(mask_input=logits), FIT, SAM, "mobile-sam", side)

    @pytest.mark.parametrize("kind", ["point", "mask"])
    def test_medsam_takes_boxes_only(self, kind: str) -> None:
        fit = fit_of(300, 400, 1024, MEDSAM)
        prompt = Prompt.point(5, 5) if kind == "point" else Prompt(mask_input=LOGITS)
        with pytest.raises(PromptError) as raised:
            check(prompt, fit, MEDSAM, "medsam")
        takers = [m.name for m in MODELS.values() if kind in m.profile.prompt_kinds]
        assert "sam-vit-b" in takers
        assert "medsam" not in takers
        assert str(raised.value) == (
            f"medsam was trained for a box and takes no {kind}; "
            f"models that take a {kind}: {', '.join(takers)}"
        )
        check(Prompt.box(0, 0, 400, 300), fit, MEDSAM, "medsam")

    def test_what_touches_the_border_is_meant(self) -> None:
        check(Prompt.points([(0, 0), (400, 300), (400, 0)], [1, 1, 0]))
        check(Prompt.box(0, 0, 400, 300))
        check(Prompt(mask_input=MASK))
        check(Prompt(mask_input=LOGITS))

    @pytest.mark.parametrize(
        ("box", "cut"),
        [((-50, -50, 450, 350), "0, 0, 400, 300"), ((399, 299, 500, 500), "399, 299, 400, 300")],
    )
    def test_a_box_that_leaves_the_picture_is_told_how_to_stay(
        self, box: tuple[float, float, float, float], cut: str
    ) -> None:
        with pytest.raises(PromptError, match=rf"leaves the picture .* cut it to \({cut}\)"):
            check(Prompt.box(*box))


@settings(deadline=None)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    share=st.tuples(*[st.floats(0, 1)] * 4),
    profile=st.sampled_from([SAM, LITE_MEDSAM]),
)
def test_a_box_inside_the_picture_maps_inside_what_the_picture_fills(
    height: int, width: int, share: tuple[float, float, float, float], profile: Profile
) -> None:
    square = 1024 if profile is SAM else 256
    fit = fit_of(height, width, square, profile)
    (x0, x1), (y0, y1) = sorted(share[:2]), sorted(share[2:])
    corners = x0 * width, y0 * height, x1 * width, y1 * height
    assume(corners[0] < corners[2] and corners[1] < corners[3])
    prompt = Prompt.box(*corners)
    check_prompt(prompt, fit, profile, "a model", 256)
    (found,) = decoder_inputs([prompt], fit, profile, 256).coords
    # LiteMedSAM scales by the long side: the short side's rounding is up to half a pixel off.
    slack = 0.51 if profile is LITE_MEDSAM else 1e-3
    assert (found >= 0).all()
    assert (found <= [fit.resized_width + slack, fit.resized_height + slack]).all()
    if profile is LITE_MEDSAM:
        assert (found == np.trunc(found)).all()
        assert found.max() <= 256


@settings(deadline=None)
@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    share=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_medsam_boxes_are_mapped_as_its_inference_does(
    height: int, width: int, share: tuple[float, float, float, float]
) -> None:
    """MedSAM_Inference.py: ``box_1024 = box_np / np.array([W, H, W, H]) * 1024``."""
    (x0, x1), (y0, y1) = sorted(share[:2]), sorted(share[2:])
    box = np.array([x0 * width, y0 * height, x1 * width, y1 * height])
    assume(box[0] < box[2] and box[1] < box[3])
    prompt = Prompt(box=box)
    inputs = decoder_inputs([prompt], fit_of(height, width, 1024, MEDSAM), MEDSAM, 256)
    expected = box / np.array([width, height, width, height]) * 1024
    np.testing.assert_allclose(inputs.coords[0].ravel(), expected, rtol=1e-6, atol=1e-30)
    assert inputs.labels.tolist() == [[2, 3]]
    assert inputs.masks is None


class TestTokens:
    def test_points_then_the_padding_point(self) -> None:
        inputs = decoder_inputs([Prompt.points([(100, 50), (20, 10)], [1, 0])], FIT, SAM, 256)
        assert inputs.labels.tolist() == [[1, 0, -1]]
        np.testing.assert_allclose(inputs.coords[0], [(256, 128), (51.2, 25.6), (0, 0)], rtol=1e-6)
        assert (inputs.coords.dtype, inputs.labels.dtype) == (np.float32, np.int32)

    def test_points_then_corners_and_no_padding_point(self) -> None:
        prompt = Prompt([(100, 50)], [0], box=(10, 20, 30, 40))
        inputs = decoder_inputs([prompt], FIT, SAM, 256)
        assert inputs.labels.tolist() == [[0, 2, 3]]
        expected = [(256, 128), (25.6, 51.2), (76.8, 102.4)]
        np.testing.assert_allclose(inputs.coords[0], expected, rtol=1e-6)

    def test_a_box_alone_and_a_mask_alone(self) -> None:
        box = decoder_inputs([Prompt.box(10, 20, 30, 40)], FIT, SAM, 256)
        assert box.labels.tolist() == [[2, 3]]
        mask = decoder_inputs([Prompt(mask_input=LOGITS)], FIT, SAM, 256)
        assert (mask.coords.shape, mask.labels.shape) == ((1, 0, 2), (1, 0))
        assert (mask.coords.dtype, mask.labels.dtype) == (np.float32, np.int32)

    def test_counts_are_what_inputs_have(self) -> None:
        for prompt in [
            Prompt.point(1, 1),
            Prompt.points([(1, 1), (2, 2)], [1, 0]),
            Prompt.box(1, 1, 2, 2),
            Prompt([(1, 1)], [1], box=(1, 1, 2, 2)),
            Prompt(mask_input=LOGITS),
            Prompt(box=(1, 1, 2, 2), mask_input=LOGITS),
        ]:
            assert decoder_inputs([prompt], FIT, SAM, 256).coords.shape[1] == token_count(prompt)

    def test_lite_medsam_cuts_corners_to_whole_pixels(self) -> None:
        fit = fit_of(512, 512, 256, LITE_MEDSAM)
        prompt = Prompt.box(11, -3, 14.9, 401)
        inputs = decoder_inputs([prompt], fit, LITE_MEDSAM, 256)
        # int() of Python cuts towards zero: 5.5, -1.5, 7.45, 200.5.
        assert inputs.coords[0].tolist() == [[5, -1], [7, 200]]
        assert decoder_inputs([prompt], fit, SAM, 256).coords[0].tolist() == [
            [5.5, -1.5],
            [np.float32(7.45), 200.5],
        ]

    def test_sizes_of_the_long_side_and_of_each_axis(self) -> None:
        prompt = Prompt.box(0, 0, 512, 331)
        sam = decoder_inputs([prompt], fit_of(331, 512, 256, SAM), SAM, 256)
        assert sam.coords[0, 1].tolist() == [256, 166]
        lite = decoder_inputs([prompt], fit_of(331, 512, 256, LITE_MEDSAM), LITE_MEDSAM, 256)
        assert lite.coords[0, 1].tolist() == [256, 165]


class TestMasks:
    def test_none(self) -> None:
        assert decoder_inputs([Prompt.point(1, 1)] * 3, FIT, SAM, 256).masks is None

    def test_some_with_some_without(self) -> None:
        prompts = [Prompt.point(1, 1), Prompt([(1, 1)], [1], mask_input=LOGITS * 3)]
        masks = decoder_inputs(prompts, FIT, SAM, 256).masks
        assert masks is not None
        assert masks.logits.shape == (2, 1, 256, 256)
        assert masks.given.tolist() == [0, 1]
        assert masks.given.dtype == masks.logits.dtype == np.float32
        assert not masks.logits[0].any()
        assert (masks.logits[1] == 3).all()

    def test_the_low_resolution_is_the_models(self) -> None:
        prompts = [Prompt.point(1, 1), Prompt([(1, 1)], [1], mask_input=MASK)]
        both = decoder_inputs(prompts, FIT, SAM, 64).masks.logits
        assert both.shape == (2, 1, 64, 64)
        assert (both[1, 0, :48] > 5).all()
        assert (both[1, 0, 48:] < -5).all()

    @pytest.mark.parametrize("profile", [SAM, STRETCHED], ids=lambda p: p.layout)
    @pytest.mark.parametrize("size", [(300, 400), (400, 300), (100, 50), (2000, 1500)])
    @pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
    def test_a_boolean_mask_stays_in_its_corner(
        self, size: tuple[int, int], corner: tuple[int, int], profile: Profile
    ) -> None:
        height, width = size
        down, right = corner
        mask = np.zeros(size, np.bool_)
        rows = slice(height - height // 4, height) if down else slice(0, height // 4)
        columns = slice(width - width // 4, width) if right else slice(0, width // 4)
        mask[rows, columns] = True
        fit = fit_of(height, width, 1024, profile)
        low = decoder_inputs([Prompt(mask_input=mask)], fit, profile, 256).masks.logits[0, 0]
        assert np.isfinite(low).all()
        # Each cell's centre is in the mask, outside it, or in the padding.
        for cell_y in range(2, 256, 5):
            for cell_x in range(2, 256, 5):
                x, y = fit.to_picture(((cell_x + 0.5) * 4, (cell_y + 0.5) * 4))
                near = (
                    abs(x - columns.start) < 3 * width / 256
                    or abs(x - columns.stop) < 3 * width / 256
                )
                near |= (
                    abs(y - rows.start) < 3 * height / 256 or abs(y - rows.stop) < 3 * height / 256
                )
                if not near:
                    inside = columns.start < x < columns.stop and rows.start < y < rows.stop
                    assert (low[cell_y, cell_x] > 0) == inside, (cell_x, cell_y)

    def test_the_logits_sign_and_size(self) -> None:
        half = np.zeros((300, 400), np.bool_)
        half[:, :200] = True
        low = decoder_inputs([Prompt(mask_input=half)], FIT, SAM, 256).masks.logits[0, 0]
        assert low[:192, :128].min() > 5
        assert low[:192, 128:].max() < -5
        assert low[192:].max() < -5  # the padding is not in the mask
        assert np.abs(low).max() < 10

    def test_a_boolean_mask_fills_a_stretched_square(self) -> None:
        fit = fit_of(300, 400, 1024, STRETCHED)
        low = decoder_inputs([Prompt(mask_input=MASK)], fit, STRETCHED, 256).masks.logits[0, 0]
        assert low.min() > 5, "there is no padding"
        lower = MASK.copy()
        lower[:150] = False
        low = decoder_inputs([Prompt(mask_input=lower)], fit, STRETCHED, 256).masks.logits[0, 0]
        assert low[:128].max() < -5
        assert low[128:].min() > 5

    def test_logits_pass_unchanged(self, noise: Noise) -> None:
        logits = noise(256, 256).astype(np.float32) - 128
        inputs = decoder_inputs([Prompt(mask_input=logits)], FIT, SAM, 256)
        np.testing.assert_array_equal(inputs.masks.logits[0, 0], logits)
