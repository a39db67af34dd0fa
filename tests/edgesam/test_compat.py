"""edgesam.compat's predictor and model over an engine that answers noise: layout, shapes, state."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import ImageError, Prompt, PromptError, Sam
from edgesam.automatic import everything
from edgesam.bundle import Bundle
from edgesam.compat import (
    ResizeLongestSide,
    SamAutomaticMaskGenerator,
    SamModel,
    SamPredictor,
)
from edgesam.embedding import ImageSide
from edgesam.engines import Prompts
from edgesam.engines.fake import FakeSession
from edgesam.manifest import BundleFile, Manifest, Variant
from edgesam.models import MODELS
from edgesam.preprocess import fit_of

Noise = Callable[..., NDArray[np.uint8]]
MODELS_OF_EACH_PROFILE = ["mobile-sam", "lite-medsam", "medsam"]
# (name, default) as segment_anything/predictor.py and automatic_mask_generator.py have them.
NONE = inspect.Parameter.empty
SIGNATURES: list[tuple[Callable[..., Any], list[tuple[str, Any]]]] = [
    (SamPredictor, [("sam_model", NONE)]),
    (SamPredictor.set_image, [("image", NONE), ("image_format", "RGB")]),
    (
        SamPredictor.set_torch_image,
        [("transformed_image", NONE), ("original_image_size", NONE)],
    ),
    (
        SamPredictor.predict,
        [
            ("point_coords", None),
            ("point_labels", None),
            ("box", None),
            ("mask_input", None),
            ("multimask_output", True),
            ("return_logits", False),
        ],
    ),
    (
        SamPredictor.predict_torch,
        [
            ("point_coords", NONE),
            ("point_labels", NONE),
            ("boxes", None),
            ("mask_input", None),
            ("multimask_output", True),
            ("return_logits", False),
        ],
    ),
    (SamPredictor.get_image_embedding, []),
    (SamPredictor.reset_image, []),
    (SamModel.__call__, [("batched_input", NONE), ("multimask_output", NONE)]),
    (ResizeLongestSide, [("target_length", NONE)]),
    (ResizeLongestSide.apply_image, [("image", NONE)]),
    (ResizeLongestSide.apply_coords, [("coords", NONE), ("original_size", NONE)]),
    (ResizeLongestSide.apply_boxes, [("boxes", NONE), ("original_size", NONE)]),
    (ResizeLongestSide.apply_image_torch, [("image", NONE)]),
    (ResizeLongestSide.apply_coords_torch, [("coords", NONE), ("original_size", NONE)]),
    (ResizeLongestSide.apply_boxes_torch, [("boxes", NONE), ("original_size", NONE)]),
    (
        ResizeLongestSide.get_preprocess_shape,
        [("oldh", NONE), ("oldw", NONE), ("long_side_length", NONE)],
    ),
    (
        SamAutomaticMaskGenerator,
        [
            ("model", NONE),
            ("points_per_side", 32),
            ("points_per_batch", 64),
            ("pred_iou_thresh", 0.88),
            ("stability_score_thresh", 0.95),
            ("stability_score_offset", 1.0),
            ("box_nms_thresh", 0.7),
            ("crop_n_layers", 0),
            ("crop_nms_thresh", 0.7),
            ("crop_overlap_ratio", 512 / 1500),
            ("crop_n_points_downscale_factor", 1),
            ("point_grids", None),
            ("min_mask_region_area", 0),
            ("output_mode", "binary_mask"),
        ],
    ),
    (SamAutomaticMaskGenerator.generate, [("image", NONE)]),
]


class NoisySession(FakeSession):
    """Remembers what it is given; its masks are smooth noise that depends on the prompt's row."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[NDArray[np.float32]] = []
        self.calls: list[Prompts] = []

    def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
        self.pictures.append(image)
        return super().encode(image, *more)

    def all_four(
        self, side: ImageSide, prompts: Prompts
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.calls.append(prompts)
        y, x = np.mgrid[:256, :256] / 256
        said = prompts.coords.reshape(len(prompts.coords), -1).sum(axis=1) + (
            0 if prompts.masks is None else prompts.masks.logits.sum()
        )
        waves = [
            [8 * np.sin(9 * x + token + s / 100) * np.cos(7 * y - s / 50) for token in range(4)]
            for s in said
        ]
        iou = np.array([[s + token for token in range(4)] for s in said], np.float32)
        return np.array(waves, np.float32).reshape(-1, 4, 256, 256), iou.reshape(-1, 4)


def sam_of(model: str, session: FakeSession) -> Sam:
    """A Sam of a known model's profile over a session."""
    spec = MODELS[model]
    file = BundleFile("graph.onnx", "1" * 64, 1)
    manifest = Manifest(
        model=model,
        architecture=spec.architecture,
        image_size=spec.image_size,
        grid=64,
        profile=spec.profile,
        profile_assumed=False,
        checkpoint_sha256=spec.sha256,
        licence=spec.licence,
        builder="edgesam 0",
        working_memory=0,
        variants={"fp32": Variant(file, file, file, weights=None, passport=None)},
    )
    return Sam(Bundle(Path("nowhere"), manifest), "fp32", session, None)


@pytest.fixture
def session() -> NoisySession:
    return NoisySession()


@pytest.fixture
def predictor(session: NoisySession, noise: Noise) -> SamPredictor:
    """mobile-sam with a picture of 90 x 120 pixels."""
    predictor = SamPredictor(sam_of("mobile-sam", session))
    predictor.set_image(noise(90, 120, 3))
    return predictor


class TestInterface:
    @pytest.mark.parametrize(("call", "official"), SIGNATURES, ids=lambda v: str(v)[:60])
    def test_signatures(self, call: Callable[..., Any], official: list[tuple[str, Any]]) -> None:
        parameters = list(inspect.signature(call).parameters.values())
        if parameters and parameters[0].name == "self":
            del parameters[0]
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert [(p.name, p.default) for p in positional] == official
        # What is ours alone never gets in the way of a positional argument.
        ours = [p for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD]
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not NONE for p in ours)

    def test_no_framework_is_imported(self) -> None:
        names = ["torch", "torchvision", "cv2", "pycocotools", "onnx", "onnx_ir", "onnxruntime"]
        check = f"import edgesam.compat, sys\nprint(*(n for n in {names} if n in sys.modules))"
        run = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == []

    def test_without_a_picture(self, session: NoisySession, noise: Noise) -> None:
        predictor = SamPredictor(sam_of("mobile-sam", session))
        asked: list[Callable[[], object]] = [
            lambda: predictor.predict(box=[1, 2, 30, 40]),
            lambda: predictor.predict_torch(None, None),
            predictor.get_image_embedding,
        ]
        for ask in asked:
            with pytest.raises(RuntimeError, match="set_image"):
                ask()
        predictor.set_image(noise(50, 60, 3))
        assert predictor.is_image_set
        predictor.reset_image()
        assert not predictor.is_image_set
        for ask in asked:
            with pytest.raises(RuntimeError, match="set_image"):
                ask()

    def test_attributes(self, predictor: SamPredictor) -> None:
        assert predictor.is_image_set
        assert predictor.original_size == (90, 120)
        assert predictor.input_size == (768, 1024)
        assert predictor.device == predictor.model.device == "cpu"
        assert predictor.model.image_encoder.img_size == predictor.transform.target_length == 1024
        assert (predictor.model.mask_threshold, predictor.model.image_format) == (0.0, "RGB")
        embedding = predictor.get_image_embedding()
        assert (embedding.shape, embedding.dtype) == ((1, 256, 64, 64), np.float32)


class TestPictures:
    def test_blue_green_red(self, session: NoisySession, noise: Noise) -> None:
        predictor, picture = SamPredictor(sam_of("mobile-sam", session)), noise(60, 80, 3)
        predictor.set_image(picture)
        predictor.set_image(picture[..., ::-1], image_format="BGR")
        predictor.set_image(picture[..., ::-1])
        rgb, bgr, swapped = session.pictures
        np.testing.assert_array_equal(rgb, bgr)
        assert not np.array_equal(rgb, swapped)
        with pytest.raises(ValueError, match="'RGBA'"):
            predictor.set_image(picture, "RGBA")

    @pytest.mark.parametrize(
        "image", [np.zeros((9, 9)), np.zeros((9, 9, 3)), np.zeros((9, 9, 4), np.uint8)]
    )
    def test_what_is_no_eight_bit_rgb(self, predictor: SamPredictor, image: NDArray[Any]) -> None:
        with pytest.raises(ImageError, match="uint8"):
            predictor.set_image(image)
        with pytest.raises(ImageError, match="uint8"):
            SamAutomaticMaskGenerator(predictor.model).generate(image)

    @pytest.mark.parametrize("model", MODELS_OF_EACH_PROFILE)
    @pytest.mark.parametrize("size", [(60, 80), (75, 31), (300, 290)])
    def test_resized_outside(
        self, session: NoisySession, noise: Noise, model: str, size: tuple[int, int]
    ) -> None:
        picture = noise(*size, 3)
        first, second = (SamPredictor(sam_of(model, session)) for _ in range(2))
        first.set_image(picture)
        resized = second.transform.apply_image(picture).transpose(2, 0, 1)[None]
        second.set_torch_image(resized.astype(np.float32), size)
        np.testing.assert_array_equal(*session.pictures)
        assert first.input_size == second.input_size == resized.shape[2:]
        assert second.original_size == size

    def test_torch_image_rounds_to_grey_levels(self, session: NoisySession, noise: Noise) -> None:
        predictor, picture = SamPredictor(sam_of("mobile-sam", session)), noise(30, 40, 3)
        batch = picture.transpose(2, 0, 1)[None]
        resized = predictor.transform.apply_image_torch(np.concatenate([batch, batch[:, ::-1]]))
        assert (resized.shape, resized.dtype) == ((2, 3, 768, 1024), np.float32)
        np.testing.assert_array_equal(resized[0], resized[1][::-1])
        predictor.set_image(picture)
        for off in (-0.3, 0.3):
            near = np.clip(resized[:1] + np.float32(off), 0, 255)
            predictor.set_torch_image(near, (30, 40))
            np.testing.assert_array_equal(session.pictures[0], session.pictures[-1])

    @pytest.mark.parametrize(
        ("image", "error", "says"),
        [
            (np.zeros((3, 768, 1024)), ValueError, r"\(1, 3, h, w\)"),
            (np.zeros((2, 3, 768, 1024)), ValueError, r"\(1, 3, h, w\)"),
            (np.zeros((1, 3, 76, 102)), ValueError, "long side of 1024"),
            (np.full((1, 3, 768, 1024), -1.5), ImageError, "not yet normalised"),
            (np.full((1, 3, 768, 1024), np.nan), ImageError, "grey levels"),
        ],
    )
    def test_torch_images_that_are_none(
        self, predictor: SamPredictor, image: NDArray[Any], error: type[Exception], says: str
    ) -> None:
        with pytest.raises(error, match=says):
            predictor.set_torch_image(image, (90, 120))

    def test_an_embedding_put_back(self, predictor: SamPredictor, noise: Noise) -> None:
        kept = predictor.get_image_embedding().copy()
        expected = predictor.predict(box=[10, 20, 60, 70])
        other = SamPredictor(predictor.model)
        other.features, other.original_size, other.input_size = kept, (90, 120), (768, 1024)
        other.is_image_set = True
        for found, wanted in zip(other.predict(box=[10, 20, 60, 70]), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        for own in (kept, other.get_image_embedding(), predictor.get_image_embedding()):
            own[:] = 0  # the program's to change, still


class TestLayout:
    """What reaches the decoder: points, the padding point only without a box, the corners."""

    def asked(self, session: NoisySession) -> Prompts:
        assert len(session.calls) == 1
        return session.calls.pop()

    def test_points(self, predictor: SamPredictor, session: NoisySession) -> None:
        predictor.predict([[60, 45], [-3, 200]], [1, 0])
        asked = self.asked(session)
        scale = 1024 / 120
        np.testing.assert_allclose(
            asked.coords, [[[60 * scale, 45 * scale], [-3 * scale, 200 * scale], [0, 0]]], rtol=1e-6
        )
        assert asked.labels.tolist() == [[1, 0, -1]]
        assert asked.masks is None
        assert (asked.coords.dtype, asked.labels.dtype) == (np.float32, np.int32)

    @pytest.mark.parametrize("box", [[60, 30, 12, 90], np.array([[60, 30, 12, 90]])])
    def test_a_box_even_inverted(
        self, predictor: SamPredictor, session: NoisySession, box: Any
    ) -> None:
        predictor.predict(box=box)
        asked = self.asked(session)
        scale = 1024 / 120
        np.testing.assert_allclose(
            asked.coords, [[[60 * scale, 30 * scale], [12 * scale, 90 * scale]]], rtol=1e-6
        )
        assert asked.labels.tolist() == [[2, 3]]

    def test_all_together(self, predictor: SamPredictor, session: NoisySession) -> None:
        mask = np.full((1, 256, 256), 2.5)
        predictor.predict([[1, 2]], [0], np.array([3, 4, 5, 6]), mask)
        asked = self.asked(session)
        assert asked.labels.tolist() == [[0, 2, 3]]
        assert asked.masks.given.tolist() == [1]
        logits = asked.masks.logits
        assert (logits.shape, logits.dtype) == ((1, 1, 256, 256), np.float32)
        assert (logits == 2.5).all()

    def test_nothing_and_a_mask_alone(self, predictor: SamPredictor, session: NoisySession) -> None:
        predictor.predict()
        assert (asked := self.asked(session)).coords.shape == (1, 0, 2)
        assert (asked.labels.shape, asked.masks) == ((1, 0), None)
        predictor.predict(mask_input=np.ones((1, 256, 256)))
        assert (asked := self.asked(session)).coords.shape == (1, 0, 2)
        assert asked.masks.given.tolist() == [1]

    def test_an_ignored_point_may_be_anywhere(
        self, predictor: SamPredictor, session: NoisySession
    ) -> None:
        points = [[5, 6], [np.nan, 7]]
        predictor.predict(points, [1, -1])
        asked = self.asked(session)
        assert asked.labels.tolist() == [[1, -1, -1]]
        assert asked.coords[0, 1].tolist() == [0, 0]
        assert np.isnan(points[1][0])  # and the program's own list is as it was

    def test_one_prompt_and_several_masks(
        self, predictor: SamPredictor, session: NoisySession
    ) -> None:
        masks = np.arange(3, dtype=np.float32)[:, None, None, None] + np.zeros((1, 256, 256))
        _, scores, _ = predictor.predict_torch([[[8, 9]]], [[1]], mask_input=masks)
        asked = self.asked(session)
        assert (asked.coords.shape, len(asked.masks.logits), len(scores)) == ((3, 2, 2), 3, 3)

    def test_a_whole_batch_in_pieces(self, predictor: SamPredictor, session: NoisySession) -> None:
        boxes = np.arange(40 * 4).reshape(40, 4)
        masks, scores, low = predictor.predict_torch(None, None, boxes, multimask_output=False)
        assert [len(call.coords) for call in session.calls] == [4] * 10
        assert (masks.shape, scores.shape, low.shape) == (
            (40, 1, 90, 120),
            (40, 1),
            (40, 1, 256, 256),
        )
        np.testing.assert_allclose(scores[:, 0], boxes.sum(axis=1))
        session.calls.clear()
        own = np.arange(40, dtype=np.float32)[:, None, None, None] + np.zeros((1, 256, 256))
        _, scores, _ = predictor.predict_torch(None, None, boxes, own)
        assert [call.masks.logits[0, 0, 0, 0] for call in session.calls] == list(range(0, 40, 4))

    def test_no_boxes_no_masks(self, predictor: SamPredictor) -> None:
        masks, scores, low = predictor.predict_torch(None, None, np.zeros((0, 4)))
        assert (masks.shape, masks.dtype) == ((0, 3, 90, 120), np.bool_)
        assert (scores.shape, low.shape) == ((0, 3), (0, 3, 256, 256))

    @pytest.mark.parametrize(
        ("parts", "says"),
        [
            ({"point_coords": [[1, 2]]}, "without point_labels"),
            ({"point_coords": [1, 2], "point_labels": [1]}, r"must be \(B, N, 2\)"),
            ({"point_coords": [[1, 2]], "point_labels": [1, 0]}, r"point_labels \(B, N\)"),
            ({"point_coords": [[1, 2]], "point_labels": [2]}, "not 2"),
            ({"box": np.zeros((2, 4))}, "use predict_torch"),
            ({"mask_input": np.zeros((256, 256))}, "mask_input must be"),
            ({"mask_input": np.zeros((1, 90, 120))}, "mask_input must be"),
            ({"mask_input": np.zeros((2, 256, 256))}, "mask_input must be"),
        ],
    )
    def test_shapes_that_cannot_be_meant(
        self, predictor: SamPredictor, session: NoisySession, parts: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(ValueError, match=says):
            predictor.predict(**parts)
        assert session.calls == []

    @pytest.mark.parametrize(
        ("parts", "says"),
        [
            (([[[1, 2]]], [[1]], np.zeros((2, 4))), "1 prompts of points need 1 boxes, not 2"),
            ((None, None, np.zeros((2, 4)), np.zeros((3, 1, 256, 256))), "need 1 or 2"),
            ((None, None, np.zeros((2, 3))), r"boxes must be \(B, 4\)"),
        ],
    )
    def test_batches_that_do_not_match(
        self, predictor: SamPredictor, parts: tuple[Any, ...], says: str
    ) -> None:
        with pytest.raises(ValueError, match=says):
            predictor.predict_torch(*parts)


class TestEveryProfile:
    @pytest.mark.parametrize("model", MODELS_OF_EACH_PROFILE)
    @pytest.mark.parametrize("size", [(90, 120), (131, 47)])
    def test_it_agrees_with_sam(
        self, session: NoisySession, noise: Noise, model: str, size: tuple[int, int]
    ) -> None:
        sam, picture = sam_of(model, session), noise(*size, 3)
        box = (10.3, 20.6, 41.2, 77.7)
        predictor = SamPredictor(sam)
        predictor.set_image(picture)
        masks, scores, low = predictor.predict(box=np.array(box))
        expected = sam.segment(sam.embed(picture), Prompt.box(*box), multimask=True)
        mine, theirs = session.calls
        np.testing.assert_array_equal(mine.coords, theirs.coords)
        for row, mask in enumerate(expected):
            np.testing.assert_array_equal(masks[row], mask.array)
            np.testing.assert_array_equal(low[row], mask.logits)
            assert scores[row] == np.float32(mask.score)
        transformed = predictor.transform.apply_boxes_torch(np.array([box]), size)
        assert transformed.dtype == np.float32
        again, _, _ = predictor.predict_torch(None, None, transformed)
        np.testing.assert_array_equal(again[0], masks)

    @pytest.mark.parametrize("model", MODELS_OF_EACH_PROFILE)
    def test_full_logits_and_masks_are_one(
        self, session: NoisySession, noise: Noise, model: str
    ) -> None:
        predictor = SamPredictor(sam_of(model, session))
        predictor.set_image(noise(211, 173, 3))
        box = np.array([20, 30, 100, 150])
        masks, _, low = predictor.predict(box=box)
        logits, _, _ = predictor.predict(box=box, return_logits=True)
        assert (logits.shape, logits.dtype) == ((3, 211, 173), np.float32)
        unsure = np.abs(logits) < 1e-4
        assert ((logits > 0) == masks)[~unsure].all()
        assert unsure.mean() < 1e-3
        assert 0.2 < masks.mean() < 0.8
        # Interpolation neither loses nor invents: the range is the low-resolution one's.
        fit = fit_of(211, 173, predictor.transform.target_length, predictor.transform.profile)
        inside = low[:, : -(-256 * fit.resized_height // fit.square)]
        assert logits.max() == pytest.approx(inside.max(), abs=0.1)

    @pytest.mark.parametrize("model", ["lite-medsam", "medsam"])
    @pytest.mark.parametrize(
        ("kind", "parts"),
        [
            ("point", {"point_coords": [[1, 2]], "point_labels": [1]}),
            ("mask", {"mask_input": np.zeros((1, 256, 256))}),
        ],
    )
    def test_kinds_it_was_not_trained_for(
        self, session: NoisySession, noise: Noise, model: str, kind: str, parts: dict[str, Any]
    ) -> None:
        predictor = SamPredictor(sam_of(model, session))
        predictor.set_image(noise(50, 60, 3))
        with pytest.raises(PromptError, match=f"{model} .* takes no {kind}.*mobile-sam"):
            predictor.predict(**parts)
        with pytest.raises(PromptError, match=f"takes no {kind}"):
            predictor.predict(box=[1, 2, 3, 4], **parts)

    def test_frames(self) -> None:
        sam, stretched = ResizeLongestSide(1024), MODELS["medsam"]
        assert sam.get_preprocess_shape(1200, 1800, 1024) == (683, 1024)
        np.testing.assert_allclose(
            sam.apply_coords(np.array([[900, 600]]), (1200, 1800)), [[512, 341.5]]
        )
        np.testing.assert_allclose(
            sam.apply_boxes(np.array([0, 0, 1800, 1200]), (1200, 1800)), [[0, 0, 1024, 683]]
        )
        medsam = ResizeLongestSide(1024, profile=stretched.profile)
        np.testing.assert_allclose(
            medsam.apply_coords(np.array([[900, 600]]), (1200, 1800)), [[512, 512]]
        )


class TestModel:
    def test_end_to_end_is_the_predictor(self, session: NoisySession, noise: Noise) -> None:
        model = SamModel(sam_of("mobile-sam", session))
        assert model.eval() is model
        transform = ResizeLongestSide(model.image_encoder.img_size)
        pictures = noise(60, 80, 3), noise(90, 40, 3, seed=1)
        boxes, mask = np.array([[1, 2, 30, 40], [5, 6, 20, 30]]), np.ones((1, 1, 256, 256))
        batched = [
            {
                "image": transform.apply_image(picture).transpose(2, 0, 1),
                "original_size": picture.shape[:2],
                "boxes": transform.apply_boxes_torch(boxes, picture.shape[:2]),
                "point_coords": np.array([[[1, 1]], [[2, 2]]]),
                "point_labels": np.array([[1], [0]]),
                "mask_inputs": mask,
            }
            for picture in pictures
        ]
        for result, record, picture in zip(
            model(batched, multimask_output=True), batched, pictures, strict=True
        ):
            predictor = SamPredictor(model)
            predictor.set_image(picture)
            expected = predictor.predict_torch(
                record["point_coords"], record["point_labels"], record["boxes"], mask
            )
            for found, wanted in zip(result.values(), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)

    def test_its_threshold_cannot_be_set_in_vain(self, predictor: SamPredictor) -> None:
        with pytest.raises(AttributeError):
            predictor.model.mask_threshold = 1.0  # type: ignore[misc]


class TestGenerator:
    """Over FakeSession, whose masks are disks around the points."""

    def test_it_is_everything(self, noise: Noise) -> None:
        sam, picture = sam_of("mobile-sam", FakeSession()), noise(90, 120, 3)
        asked: dict[str, Any] = {
            "points_per_side": 3,
            "pred_iou_thresh": 0.5,
            "stability_score_thresh": 0.0,
            "output_mode": "coco_rle",
        }
        generator = SamAutomaticMaskGenerator(sam, **asked)
        records = generator.generate(picture)
        expected = everything(sam, picture, **asked)
        assert records == expected
        assert len(records) == 9
        generator.points_per_side = 2  # an attribute, as the official generator's are
        assert len(generator.generate(picture)) == 4

    def test_every_parameter_arrives(self, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
        given: dict[str, Any] = {}
        monkeypatch.setattr(
            "edgesam.compat.generator.everything", lambda *_, **parameters: given.update(parameters)
        )
        asked: dict[str, Any] = {
            "points_per_side": None,
            "points_per_batch": 5,
            "pred_iou_thresh": 0.1,
            "stability_score_thresh": 0.2,
            "stability_score_offset": 0.3,
            "box_nms_thresh": 0.4,
            "crop_n_layers": 1,
            "crop_nms_thresh": 0.5,
            "crop_overlap_ratio": 0.6,
            "crop_n_points_downscale_factor": 2,
            "point_grids": [np.zeros((1, 2))],
            "min_mask_region_area": 7,
            "output_mode": "uncompressed_rle",
        }
        sam = sam_of("mobile-sam", FakeSession())
        SamAutomaticMaskGenerator(sam, *asked.values()).generate(noise(9, 9, 3))
        assert given == asked

    @pytest.mark.parametrize(
        ("parameters", "says"),
        [
            ({"points_per_side": None}, "point_grids"),
            ({"point_grids": [np.zeros((1, 2))]}, "point_grids"),
            ({"output_mode": "polygon"}, "'polygon'"),
        ],
    )
    def test_parameters_that_cannot_be_meant(self, parameters: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            SamAutomaticMaskGenerator(sam_of("mobile-sam", FakeSession()), **parameters)

    def test_a_model_without_points(self, noise: Noise) -> None:
        generator = SamAutomaticMaskGenerator(sam_of("lite-medsam", FakeSession()))
        with pytest.raises(PromptError, match="takes no point"):
            generator.generate(noise(50, 60, 3))
