"""segment-anything's example notebooks through edgesam.compat, against the official answers.

tests/golden/compat_mobile_sam.npz holds what the official predictor and generator answered to the
same calls (bench/reference/make_compat_golden.py); no PyTorch is needed here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam.compat import (
    ResizeLongestSide,
    SamAutomaticMaskGenerator,
    SamModel,
    SamPredictor,
    sam_model_registry,
)
from edgesam.home import home
from edgesam.models import MODELS
from edgesam_bench.golden import sampled
from edgesam_bench.phantoms import Phantom, draw

pytestmark = pytest.mark.weights

PULLED = home()  # read before any test gets a home of its own
FILE = Path(__file__).parent.parent / "golden" / "compat_mobile_sam.npz"
LEAST = 0.999  # IoU of a mask with the official one


class Golden:
    """The official answers, and what was asked."""

    def __init__(self) -> None:
        with np.load(FILE) as arrays:
            self.arrays = dict(arrays)
        self.about = json.loads(str(self.arrays["about"]))
        self.prompts: dict[str, Any] = self.about["prompts"]
        truck, groceries = (draw(h, w, colour=True, seed=s) for h, w, s in self.about["pictures"])
        self.truck: Phantom = truck
        self.groceries: Phantom = groceries

    def masks(self, name: str, width: int) -> NDArray[np.bool_]:
        return np.unpackbits(self.arrays[name], axis=-1, count=width).astype(np.bool_)

    def agrees(self, name: str, answer: tuple[NDArray[Any], ...]) -> None:
        """Shapes, dtypes, masks, scores and low-resolution logits of one call."""
        masks, scores, logits = answer
        expected = self.masks(f"{name}/masks", masks.shape[-1])
        assert (masks.shape, masks.dtype) == (expected.shape, np.bool_), name
        assert worst_iou(masks, expected) >= LEAST, name
        wanted = self.arrays[f"{name}/scores"]
        assert (scores.shape, scores.dtype) == (wanted.shape, np.float32), name
        np.testing.assert_allclose(scores, wanted, atol=1e-4, err_msg=name)
        wanted = self.arrays[f"{name}/logits"]
        assert (logits.shape, logits.dtype) == ((*wanted.shape[:-1], 256, 256), np.float32), name
        np.testing.assert_allclose(sampled(logits), wanted, atol=5e-3, err_msg=name)


def worst_iou(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    """Of masks (..., H, W)."""
    shared = np.count_nonzero(found & expected, axis=(-2, -1))
    either = np.count_nonzero(found | expected, axis=(-2, -1))
    return float(np.where(either == 0, 1.0, shared / np.maximum(either, 1)).min())


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden()


@pytest.fixture(scope="module")
def sam() -> SamModel:
    """MobileSAM, as a program that has its checkpoint's name gets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESAM_HOME", str(PULLED))
        try:
            return sam_model_registry["vit_t"](checkpoint="mobile-sam")
        except edgesam.ModelNotFound as error:
            if os.environ.get("EDGESAM_TESTS_NEED_WEIGHTS"):
                raise
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def predictor(sam: SamModel, golden: Golden) -> SamPredictor:
    sam.to(device="cpu")
    predictor = SamPredictor(sam)
    predictor.set_image(golden.truck.pixels)
    return predictor


def test_the_answers_are_worth_comparing(golden: Golden) -> None:
    assert golden.about["checkpoint_sha256"] == MODELS["mobile-sam"].sha256
    for name in ("point", "box", "boxes", "end_to_end/0", "end_to_end/1"):
        share = np.unpackbits(golden.arrays[f"{name}/masks"], axis=-1).mean(axis=(-2, -1))
        assert ((share > 0.005) & (share < 0.95)).all(), name
    assert all(len(records) >= 4 for records in golden.about["automatic"])


class TestPredictorNotebook:
    def test_points_and_a_mask_fed_back(self, predictor: SamPredictor, golden: Golden) -> None:
        p = golden.prompts
        point = np.array([p["point"]])
        masks, scores, logits = predictor.predict(
            point_coords=point, point_labels=np.array([1]), multimask_output=True
        )
        golden.agrees("point", (masks, scores, logits))
        mask_input = logits[np.argmax(scores), :, :]
        for name, last, labels in (
            ("two_points", p["second"], [1, 1]),
            ("minus_point", p["outside"], [1, 0]),
        ):
            answer = predictor.predict(
                point_coords=np.array([p["point"], last]),
                point_labels=np.array(labels),
                mask_input=mask_input[None, :, :],
                multimask_output=False,
            )
            golden.agrees(name, answer)

    def test_a_box(self, predictor: SamPredictor, golden: Golden) -> None:
        box = np.array(golden.prompts["box"])
        golden.agrees(
            "box",
            predictor.predict(
                point_coords=None, point_labels=None, box=box[None, :], multimask_output=False
            ),
        )
        golden.agrees(
            "box_and_point",
            predictor.predict(
                point_coords=np.array([golden.prompts["second"]]),
                point_labels=np.array([0]),
                box=box,
                multimask_output=False,
            ),
        )

    def test_a_batch_of_boxes(self, predictor: SamPredictor, golden: Golden) -> None:
        boxes = np.array(golden.prompts["boxes"])
        size = golden.truck.pixels.shape[:2]
        answer = predictor.predict_torch(
            point_coords=None,
            point_labels=None,
            boxes=predictor.transform.apply_boxes_torch(boxes, size),
            multimask_output=False,
        )
        golden.agrees("boxes", answer)

    def test_end_to_end(self, sam: SamModel, golden: Golden) -> None:
        transform = ResizeLongestSide(sam.image_encoder.img_size)
        batched_input = [
            {
                "image": transform.apply_image(picture.pixels).transpose(2, 0, 1),
                "boxes": transform.apply_boxes_torch(np.array(boxes), picture.pixels.shape[:2]),
                "original_size": picture.pixels.shape[:2],
            }
            for picture, boxes in (
                (golden.truck, golden.prompts["boxes"]),
                (golden.groceries, golden.prompts["groceries"]),
            )
        ]
        for number, result in enumerate(sam(batched_input, multimask_output=False)):
            assert list(result) == ["masks", "iou_predictions", "low_res_logits"]
            golden.agrees(f"end_to_end/{number}", tuple(result.values()))


class TestBeyondTheNotebooks:
    """What the official predictor accepts and a stricter one might refuse."""

    @pytest.mark.parametrize(
        "name",
        ["nothing", "only_mask", "beyond_the_picture", "far_point", "ignored_point", "everything"],
    )
    def test_it_takes(self, predictor: SamPredictor, golden: Golden, name: str) -> None:
        p = golden.prompts
        drawn = golden.truck.logits(-1)[None]
        point, label = np.array([p["point"]]), np.array([1])
        calls: dict[str, dict[str, Any]] = {
            "nothing": {},
            "only_mask": {"mask_input": drawn},
            "beyond_the_picture": {"box": np.array(p["beyond"])},
            "far_point": {"point_coords": np.array([[-25.5, 400.0]]), "point_labels": label},
            "ignored_point": {
                "point_coords": np.array([p["point"], p["outside"]]),
                "point_labels": np.array([1, -1]),
            },
            "everything": {
                "point_coords": point,
                "point_labels": label,
                "box": np.array(p["box"]),
                "mask_input": drawn,
            },
        }
        golden.agrees(name, predictor.predict(**calls[name]))

    def test_logits_of_the_pictures_size(self, predictor: SamPredictor, golden: Golden) -> None:
        point = np.array([golden.prompts["point"]])
        logits, _, _ = predictor.predict(point, np.array([1]), return_logits=True)
        assert (logits.shape, logits.dtype) == ((3, *golden.truck.pixels.shape[:2]), np.float32)
        expected = golden.arrays["full_logits"]
        np.testing.assert_allclose(logits[:, ::16, ::16], expected, atol=5e-3)

    def test_batches_with_masks(self, predictor: SamPredictor, golden: Golden) -> None:
        p, drawn = golden.prompts, golden.truck.logits(-1)[None]
        both, size = np.stack([drawn, -drawn]), golden.truck.pixels.shape[:2]
        coords = predictor.transform.apply_coords(np.array([[p["point"]]]), size)
        answer = predictor.predict_torch(coords, np.array([[1]]), mask_input=both)
        golden.agrees("one_point_two_masks", answer)
        several = np.array([[p["point"], p["outside"]], [p["outside"], p["point"]]])
        coords = predictor.transform.apply_coords(several, size)
        labels = np.array([[1, 0], [1, 0]])
        golden.agrees("two_prompts", predictor.predict_torch(coords, labels, mask_input=both))

    def test_blue_green_red(self, sam: SamModel, golden: Golden) -> None:
        predictor = SamPredictor(sam.sam)
        predictor.set_image(golden.truck.pixels, image_format="BGR")
        point = np.array([golden.prompts["point"]])
        golden.agrees("bgr", predictor.predict(point, np.array([1])))


@pytest.mark.parametrize(
    ("number", "parameters"),
    [
        (0, {"points_per_side": 6}),
        (
            1,
            {
                "points_per_side": 4,
                "pred_iou_thresh": 0.86,
                "stability_score_thresh": 0.92,
                "crop_n_layers": 1,
                "crop_n_points_downscale_factor": 2,
                "min_mask_region_area": 100,
            },
        ),
    ],
    ids=["default", "crops"],
)
def test_automatic_notebook(
    sam: SamModel, golden: Golden, number: int, parameters: dict[str, Any]
) -> None:
    records = SamAutomaticMaskGenerator(model=sam, **parameters).generate(golden.truck.pixels)
    expected = golden.about["automatic"][number]
    assert len(records) == len(expected)
    height, width = golden.truck.pixels.shape[:2]
    masks = golden.masks(f"automatic/{number}", width)
    for record, wanted, mask in zip(records, expected, masks, strict=True):
        found = dict(record)
        segmentation = found.pop("segmentation")
        assert isinstance(segmentation, np.ndarray)
        assert (segmentation.shape, segmentation.dtype) == ((height, width), np.bool_)
        assert worst_iou(segmentation, mask) >= LEAST
        assert found.keys() == wanted.keys()
        assert found["crop_box"] == wanted["crop_box"]
        assert found["area"] == pytest.approx(wanted["area"], abs=3)
        np.testing.assert_allclose(found["bbox"], wanted["bbox"], atol=1)
        np.testing.assert_allclose(found["point_coords"], wanted["point_coords"], rtol=1e-12)
        assert found["predicted_iou"] == pytest.approx(wanted["predicted_iou"], abs=1e-4)
        assert found["stability_score"] == pytest.approx(wanted["stability_score"], abs=2e-3)
