"""Automatic masks, over an engine that segments by grey level, and over MobileSAM."""

from __future__ import annotations

import inspect
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Prompt, PromptError, Sam, Window
from edgesam.automatic import Record, everything
from edgesam.bundle import Bundle
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.home import home
from edgesam.mask import decode_rle
from edgesam.models import PROFILES
from edgesam_bench.figures import iou
from edgesam_bench.phantoms import draw

PULLED = home()  # the user's, before any test has its own

Boxes = dict[int, tuple[int, int, int, int]]  # grey level -> x0, y0, x1, y1, last pixels included
Paint = Callable[[NDArray[np.bool_], int], NDArray[np.float32]]
Judge = Callable[[float, int], float]


def plain(mask: NDArray[np.bool_], token: int) -> NDArray[np.float32]:
    """A steep edge: stable whatever the resizing does to it."""
    return np.where(mask, 1000, -1000).astype(np.float32)


def first_is_best(level: float, token: int) -> float:
    return (0, 0.95, 0.5, 0.4)[token]


class Levels(FakeEngine):
    """Its objects are grey levels: the answer to a point is all that looks like it.

    ``paint`` makes a token's logits of the object at 256 x 256, ``judge`` its predicted IoU from
    the grey level. A picture of 256 x 256 is seen as it is.
    """

    def __init__(self) -> None:
        self.paint: Paint = plain
        self.judge: Judge = first_is_best
        self.calls: list[Prompts] = []

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return LevelsSession(self)


class LevelsSession(FakeSession):
    def __init__(self, engine: Levels) -> None:
        super().__init__()
        self._engine = engine

    def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
        grey = image[0, 0].reshape(256, 4, 256, 4) * 58.395 + 123.675
        # Bilinear enlargement mixes a pixel with its neighbours; on two samples of four by parts
        # 1/8 and 3/8 of one and the same, which this takes out again.
        grey = 1.5 * grey[:, 1] - 0.5 * grey[:, 0]
        grey = 1.5 * grey[..., 1] - 0.5 * grey[..., 0]
        embedding = np.zeros((1, 256, 64, 64), np.float32)
        embedding.reshape(-1)[: 256 * 256] = grey.ravel()
        return embedding

    def all_four(
        self, side: ImageSide, prompts: Prompts
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._engine.calls.append(prompts)
        grey = side[0].reshape(-1)[: 256 * 256].reshape(256, 256)
        logits, iou = [], []
        for x, y in prompts.coords[:, 0]:
            level = grey[int(y) // 4, int(x) // 4]
            mask = np.abs(grey - level) < 35
            logits.append([self._engine.paint(mask, token) for token in range(4)])
            iou.append([self._engine.judge(float(level), token) for token in range(4)])
        return np.array(logits, np.float32), np.array(iou, np.float32)


@pytest.fixture
def engine() -> Levels:
    return Levels()


@pytest.fixture
def sam(make_bundle: Callable[..., Bundle], engine: Levels) -> Sam:
    return edgesam.load(make_bundle().path, engine=engine)


OBJECTS: Boxes = {70: (20, 24, 59, 89), 180: (100, 30, 160, 200), 250: (200, 190, 235, 240)}


def picture(objects: Boxes = OBJECTS, height: int = 256, width: int = 256) -> NDArray[np.uint8]:
    pixels = np.zeros((height, width), np.uint8)
    for level, (x0, y0, x1, y1) in objects.items():
        pixels[y0 : y1 + 1, x0 : x1 + 1] = level
    return pixels


def masks(records: list[Record]) -> list[NDArray[np.bool_]]:
    return [np.asarray(record["segmentation"]) for record in records]


class TestWhatIsFound:
    def test_every_object_once(self, sam: Sam) -> None:
        pixels = picture()
        records = everything(sam, pixels, points_per_side=16)
        found = {int(pixels[mask][0]): mask for mask in masks(records)}
        assert len(records) == 4
        assert set(found) == {0, *OBJECTS}
        for level, mask in found.items():
            np.testing.assert_array_equal(mask, pixels == level)

    def test_a_record(self, sam: Sam) -> None:
        (record,) = everything(sam, picture(), points_per_side=None, point_grids=[[(0.5, 0.25)]])
        assert list(record) == [
            "segmentation",
            "area",
            "bbox",
            "predicted_iou",
            "point_coords",
            "stability_score",
            "crop_box",
        ]
        assert record["area"] == np.sum(record["segmentation"]) == 61 * 171
        assert record["bbox"] == [100, 30, 60, 170]
        assert record["predicted_iou"] == float(np.float32(0.95))
        assert record["point_coords"] == [[128.0, 64.0]]
        assert record["stability_score"] == 1.0
        assert record["crop_box"] == [0, 0, 256, 256]
        types = [type(record[key]) for key in ("area", "predicted_iou", "stability_score")]  # type: ignore[literal-required]
        assert types == [int, float, float]
        assert {type(value) for value in record["bbox"] + record["crop_box"]} == {int}

    def test_the_best_judged_come_first(self, sam: Sam, engine: Levels) -> None:
        engine.judge = lambda level, token: 0.89 + level / 3000 if token == 2 else 0
        records = everything(sam, picture(), points_per_side=16)
        levels = [int(picture()[mask][0]) for mask in masks(records)]
        assert levels == [250, 180, 70, 0]

    def test_of_equals_the_first_point_and_the_first_mask(self, sam: Sam, engine: Levels) -> None:
        def holed(mask: NDArray[np.bool_], token: int) -> NDArray[np.float32]:
            logits = plain(mask, token)
            logits[100 : 100 + 5 * token, 120:130] = -1000  # within the box of level 180
            return logits

        engine.paint, engine.judge = holed, lambda level, token: 0.9 if level > 100 else 0
        records = everything(sam, picture({180: OBJECTS[180]}), points_per_side=16)
        (record,) = records
        assert record["area"] == 61 * 171 - 5 * 10
        assert record["point_coords"] == [[104.0, 40.0]]

    def test_boxes_that_overlap_less_stay(self, sam: Sam, engine: Levels) -> None:
        def halved(mask: NDArray[np.bool_], token: int) -> NDArray[np.float32]:
            mask = mask.copy()
            mask[160:] &= token != 2
            return plain(mask, token)

        engine.paint = halved
        engine.judge = lambda level, token: (0, 0.95, 0.9, 0)[token] if level > 100 else 0
        share = 129 / 170  # of the boxes' heights, which leave out their last pixels
        for threshold, count in ((share - 0.01, 1), (share + 0.01, 2)):
            records = everything(
                sam,
                picture({180: OBJECTS[180]}),
                points_per_side=16,
                box_nms_thresh=threshold,
            )
            assert len(records) == count

    def test_a_picture_with_nothing_good_enough(self, sam: Sam) -> None:
        for layers in (0, 1):
            for area in (0, 50):
                found = everything(
                    sam,
                    picture(),
                    points_per_side=4,
                    pred_iou_thresh=0.96,
                    crop_n_layers=layers,
                    min_mask_region_area=area,
                )
                assert found == []

    def test_colour_and_deep_pictures(self, sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
        grey = picture()
        expected = masks(everything(sam, grey, points_per_side=8))
        seen: list[NDArray[Any]] = []
        embed = sam.embed
        monkeypatch.setattr(sam, "embed", lambda image: seen.append(image.pixels) or embed(image))
        deep = grey.astype(np.int16) * 4 - 1000
        window = Window(level=-1000 + 510, width=1020)
        for image, by in ((np.stack([grey] * 3, axis=2), None), (deep, window)):
            found = masks(everything(sam, image, by, points_per_side=8, crop_n_layers=1))
            assert len(found) >= len(expected)
        # The window is applied once: a crop is not stretched over its own range.
        for crops in (seen[:5], seen[5:]):
            assert crops[0].shape == (256, 256, 3)
            np.testing.assert_array_equal(crops[1], crops[0][:172, :172])
            np.testing.assert_array_equal(crops[2], crops[0][85:, :172])
            assert crops[1].max() < crops[0].max()


class TestBars:
    def test_predicted_iou_is_exceeded(self, sam: Sam, engine: Levels) -> None:
        engine.judge = lambda level, token: (0, 0.7, 0.8, 0.6)[token]
        for bar, count in ((0.79, 4), (0.8, 0)):
            found = everything(sam, picture(), points_per_side=16, pred_iou_thresh=bar)
            assert len(found) == count
            assert {r["predicted_iou"] for r in found} <= {float(np.float32(0.8))}

    def test_no_bar_lets_all_three_pass(self, sam: Sam, engine: Levels) -> None:
        engine.judge = lambda level, token: -0.1 * token
        records = everything(
            sam,
            picture(),
            points_per_side=None,
            point_grids=[[(0.5, 0.25)]],
            pred_iou_thresh=0,
            box_nms_thresh=1,
        )
        assert [round(r["predicted_iou"], 1) for r in records] == [-0.1, -0.2, -0.3]

    def test_stability_is_reached(self, sam: Sam, engine: Levels) -> None:
        def sloping(mask: NDArray[np.bool_], token: int) -> NDArray[np.float32]:
            """A tent of height 10 over rows 50 to 150 and all columns."""
            row = np.arange(256, dtype=np.float32)[:, None]
            return np.broadcast_to(10 - np.abs(row - 100) / 5, (256, 256)).astype(np.float32)

        engine.paint = sloping
        bars = {"points_per_side": 2, "stability_score_offset": 2.0}

        def found(bar: float) -> list[Record]:
            return everything(sam, picture(), stability_score_thresh=bar, **bars)  # type: ignore[arg-type]

        (record,) = found(0.5)
        stability = record["stability_score"]
        assert stability == pytest.approx(80 / 120, abs=0.02)
        assert len(found(stability)) == 1
        assert found(float(np.nextafter(np.float32(stability), np.float32(1)))) == []

    def test_an_empty_mask_is_never_stable(self, sam: Sam, engine: Levels) -> None:
        engine.paint = lambda mask, token: np.full((256, 256), -10, np.float32)
        assert everything(sam, picture(), points_per_side=2, stability_score_thresh=0.01) == []
        (record,) = everything(
            sam,
            picture(),
            points_per_side=None,
            point_grids=[[(0.5, 0.5)]],
            stability_score_thresh=0,
        )
        assert (record["area"], record["stability_score"]) == (0, 0.0)
        assert record["bbox"] == [0, 0, 0, 0]


class TestCrops:
    # Layer 1 cuts 256 pixels into 0..171 and 85..255, in both directions.
    @pytest.mark.parametrize(
        ("box", "crop"),
        [
            ((20, 24, 59, 89), [0, 0, 172, 172]),
            ((200, 190, 235, 240), [85, 85, 171, 171]),
            ((30, 180, 90, 230), [0, 85, 172, 171]),
        ],
    )
    def test_smaller_crops_are_preferred(
        self, sam: Sam, box: tuple[int, int, int, int], crop: list[int]
    ) -> None:
        # One object at a time: a crop's enlargement blurs a bright one's edge to other levels.
        pixels = picture({250: box})
        records = everything(sam, pixels, points_per_side=16, crop_n_layers=1)
        (found,) = [r for r, m in zip(records, masks(records), strict=True) if pixels[m].max()]
        assert found["crop_box"] == crop
        x0, y0, x1, y1 = box
        np.testing.assert_allclose(found["bbox"], [x0, y0, x1 - x0, y1 - y0], atol=1)
        (x, y) = found["point_coords"][0]
        assert pixels[int(y), int(x)] == 250
        assert iou(np.asarray(found["segmentation"]), pixels == 250) > 0.95

    def test_what_a_crop_cut_is_left_to_the_whole_picture(self, sam: Sam) -> None:
        # From 30 to 200 in height: every crop cuts it.
        records = everything(sam, picture(), points_per_side=16, crop_n_layers=1)
        found = zip(masks(records), records, strict=True)
        (cut,) = [record for mask, record in found if picture()[mask].max() == 180]
        assert cut["crop_box"] == [0, 0, 256, 256]

    def test_crops_come_before_the_picture(self, sam: Sam) -> None:
        records = everything(sam, picture(), points_per_side=16, crop_n_layers=1)
        areas = [r["crop_box"][2] * r["crop_box"][3] for r in records]
        assert areas == sorted(areas)
        assert len(set(areas)) == 2

    def test_each_layer_has_its_grid(self, sam: Sam, engine: Levels) -> None:
        everything(
            sam,
            picture(),
            points_per_side=8,
            points_per_batch=1000,
            crop_n_layers=1,
            crop_n_points_downscale_factor=2,
        )
        assert [len(call.coords) for call in engine.calls] == [4] * 32
        engine.calls.clear()
        grids = [np.array([(0.5, 0.5)]), [(0.25, 0.75), (0.875, 0)]]
        everything(sam, picture(), points_per_side=None, point_grids=grids, crop_n_layers=1)
        np.testing.assert_array_equal(engine.calls[0].coords[:, 0], [(512, 512)])
        for call in engine.calls[1:]:
            np.testing.assert_allclose(call.coords[:, 0], [(256, 768), (896, 0)], atol=6)
        assert len(engine.calls) == 5

    def test_points_follow_the_picture_s_shape(self, sam: Sam, engine: Levels) -> None:
        everything(
            sam, picture(height=100, width=201), points_per_side=None, point_grids=[[(0.3, 0.9)]]
        )
        expected = (0.3 * 201 * (1024 / 201), 0.9 * 100 * (509 / 100))
        np.testing.assert_array_equal(engine.calls[0].coords[0, 0], np.float32(expected))


class TestSmallRegions:
    @pytest.fixture
    def speckled(self, engine: Levels) -> Levels:
        def paint(mask: NDArray[np.bool_], token: int) -> NDArray[np.float32]:
            mask = mask.copy()
            if mask[120, 130]:  # level 180
                mask[100:105, 120:125] = False
                mask[5:9, 5:9] = True
            return plain(mask, token)

        engine.paint = paint
        return engine

    def test_holes_are_filled_and_islands_removed(self, sam: Sam, speckled: Levels) -> None:
        asked: dict[str, Any] = {"points_per_side": None, "point_grids": [[(0.5, 0.5)]]}
        (before,) = everything(sam, picture(), **asked)
        assert before["area"] == 61 * 171 - 25 + 16
        assert before["bbox"] == [5, 5, 155, 195]
        (after,) = everything(sam, picture(), min_mask_region_area=30, **asked)
        np.testing.assert_array_equal(after["segmentation"], picture() == 180)
        assert (after["area"], after["bbox"]) == (61 * 171, [100, 30, 60, 170])
        (partly,) = everything(sam, picture(), min_mask_region_area=20, **asked)
        assert partly["area"] == 61 * 171 - 25

    def test_masks_that_were_clean_come_first_and_stay(self, sam: Sam, speckled: Levels) -> None:
        # Token 1 is speckled, token 2 the clean object: different boxes until it is cleaned.
        paint = speckled.paint
        speckled.paint = lambda mask, token: (paint if token == 1 else plain)(mask, token)
        speckled.judge = lambda level, token: (0, 0.95, 0.9, 0)[token]
        asked: dict[str, Any] = {"points_per_side": None, "point_grids": [[(0.5, 0.5)]]}
        assert [r["predicted_iou"] > 0.93 for r in everything(sam, picture(), **asked)] == [
            True,
            False,
        ]
        (clean,) = everything(sam, picture(), min_mask_region_area=30, **asked)
        assert clean["predicted_iou"] == float(np.float32(0.9))
        grid = [(0.5, 0.5), (0.15, 0.2)]
        asked["point_grids"] = [grid]
        speckled.judge = first_is_best
        records = everything(sam, picture(), min_mask_region_area=30, **asked)
        assert [r["bbox"][0] for r in records] == [20, 100]


class TestOutput:
    def test_modes_say_the_same(self, sam: Sam) -> None:
        one, two, three = (
            everything(sam, picture(), points_per_side=8, output_mode=mode)
            for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
        )
        assert len(one) == len(two) == len(three) == 4
        for binary, plain_rle, coco in zip(one, two, three, strict=True):
            mask = np.asarray(binary["segmentation"])
            assert (mask.shape, mask.dtype) == ((256, 256), np.bool_)
            rle: Any = plain_rle["segmentation"]
            assert rle["size"] == [256, 256]
            assert type(rle["counts"]) is list
            flat = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"])
            np.testing.assert_array_equal(flat.reshape(256, 256).T, mask)
            code: Any = coco["segmentation"]
            assert type(code["counts"]) is str
            np.testing.assert_array_equal(decode_rle(code), mask)
            assert binary["bbox"] == plain_rle["bbox"] == coco["bbox"]

    def test_progress(self, sam: Sam) -> None:
        told: list[tuple[int, int]] = []
        everything(
            sam,
            picture(),
            points_per_side=6,
            points_per_batch=10,
            crop_n_layers=1,
            crop_n_points_downscale_factor=6,
            progress=lambda done, total: told.append((done, total)),
        )
        assert told == [(n, 40) for n in (*range(4, 37, 4), 37, 38, 39, 40)]

    def test_memory_is_bounded(self, sam: Sam, engine: Levels) -> None:
        engine.judge = lambda level, token: 0.9
        pixels = np.zeros((1200, 1200), np.uint8)
        run: dict[str, Any] = {"box_nms_thresh": 1, "output_mode": "uncompressed_rle"}
        everything(sam, pixels, points_per_side=1, **run)  # fills caches
        tracemalloc.start()
        try:
            records = everything(sam, pixels, points_per_side=6, **run)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(records) == 36 * 3
        # 108 masks are 156 MB as booleans, 622 MB as floats; 16 points' logits alone are 17 MB.
        assert peak < 75e6


class TestCalls:
    def test_the_prompt_layout(self, sam: Sam, engine: Levels) -> None:
        everything(sam, picture(), points_per_side=4)
        assert len(engine.calls) == 4
        for row, call in enumerate(engine.calls):
            assert call.coords.dtype == np.float32
            assert call.labels.tolist() == [[1, -1]] * 4
            np.testing.assert_array_equal(call.coords[:, 1], 0)
            np.testing.assert_array_equal(
                call.coords[:, 0], [(128 + 256 * i, 128 + 256 * row) for i in range(4)]
            )
            assert call.masks is None

    @pytest.mark.parametrize(
        ("most", "sizes"), [(64, [4, 4, 1]), (2, [2, 2, 2, 2, 1]), (4, [4, 4, 1])]
    )
    def test_calls_are_small(self, sam: Sam, engine: Levels, most: int, sizes: list[int]) -> None:
        everything(sam, picture(), points_per_side=3, points_per_batch=most)
        assert [len(call.coords) for call in engine.calls] == sizes


class TestParameters:
    def test_official_names_and_defaults(self) -> None:
        ours = {
            name: p.default
            for name, p in inspect.signature(everything).parameters.items()
            if p.kind is p.KEYWORD_ONLY and name != "progress"
        }
        assert ours == {  # SamAutomaticMaskGenerator.__init__
            "points_per_side": 32,
            "points_per_batch": 64,
            "pred_iou_thresh": 0.88,
            "stability_score_thresh": 0.95,
            "stability_score_offset": 1.0,
            "box_nms_thresh": 0.7,
            "crop_n_layers": 0,
            "crop_nms_thresh": 0.7,
            "crop_overlap_ratio": 512 / 1500,
            "crop_n_points_downscale_factor": 1,
            "point_grids": None,
            "min_mask_region_area": 0,
            "output_mode": "binary_mask",
        }

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"points_per_side": None}, "exactly one of points_per_side and point_grids"),
            ({"point_grids": [[(0.5, 0.5)]]}, "exactly one of points_per_side and point_grids"),
            ({"points_per_side": 0}, "points_per_side must be at least 1, not 0"),
            ({"points_per_batch": 0}, "points_per_batch must be at least 1"),
            ({"crop_n_layers": -1}, "crop_n_layers must be at least 0"),
            (
                {"crop_n_layers": 1, "crop_n_points_downscale_factor": 0},
                "downscale_factor must be at least 1",
            ),
            ({"min_mask_region_area": -5}, "min_mask_region_area must be at least 0"),
            ({"pred_iou_thresh": float("nan")}, "pred_iou_thresh must be a number, not nan"),
            ({"stability_score_offset": float("inf")}, "stability_score_offset must be a number"),
            ({"box_nms_thresh": -0.5}, "box_nms_thresh must be at least 0, not -0.5"),
            ({"crop_nms_thresh": -0.1}, "crop_nms_thresh must be at least 0"),
            ({"crop_overlap_ratio": float("nan")}, "crop_overlap_ratio must be 0 to 1"),
            ({"crop_overlap_ratio": 1.5}, "crop_overlap_ratio must be 0 to 1, not 1.5"),
            ({"output_mode": "png"}, "output_mode is 'png', not one of binary_mask, unc"),
            (
                {"points_per_side": 4, "crop_n_layers": 3, "crop_n_points_downscale_factor": 2},
                "leaves no point in layer 3",
            ),
            ({"crop_n_layers": 8, "points_per_side": 256}, "take fewer layers"),
            (
                {"points_per_side": None, "point_grids": [[(0.5, 0.5)]], "crop_n_layers": 1},
                "crop_n_layers=1 needs 2 point_grids, not 1",
            ),
            ({"points_per_side": None, "point_grids": []}, "needs 1 point_grids, not 0"),
            ({"points_per_side": None, "point_grids": [(0.5, 0.5)]}, r"must be \(P, 2\)"),
            ({"points_per_side": None, "point_grids": [[(3, 80)]]}, "0 to 1 in both directions"),
        ],
    )
    def test_bad_ones(self, sam: Sam, engine: Levels, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            everything(sam, picture(height=256, width=200), **wrong)
        assert engine.calls == []

    def test_models_without_points(self, make_bundle: Callable[..., Bundle]) -> None:
        sam = edgesam.load(make_bundle(model="lite-medsam").path, engine=FakeEngine())
        with pytest.raises(PromptError, match=r"lite-medsam .*takes no point.*mobile-sam"):
            everything(sam, picture())

    def test_models_with_points_threshold_logits(self) -> None:
        # Stability is measured on logits; a profile of points and probabilities would need more.
        for profile in PROFILES.values():
            assert "point" not in profile.prompt_kinds or profile.mask_from == "logits"


@pytest.mark.weights
def test_mobile_sam_s_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESAM_HOME", str(PULLED))
    try:
        sam = edgesam.load("mobile-sam")
    except edgesam.ModelNotFound as error:
        if os.environ.get("EDGESAM_TESTS_NEED_WEIGHTS"):
            raise
        pytest.skip(str(error))
    phantom = draw(300, 400, colour=True, seed=3)
    with sam:
        records = everything(sam, phantom.pixels, points_per_side=5)
        embedding = sam.embed(phantom.pixels)
        three = [
            sam.segment(embedding, Prompt.point(*record["point_coords"][0]), multimask=True)
            for record in records
        ]
    assert len(records) >= 3
    for record, answers in zip(records, three, strict=True):
        (same,) = [a for a in answers if abs(a.score - record["predicted_iou"]) < 1e-5]
        assert iou(same.array, np.asarray(record["segmentation"])) > 0.999
        assert record["bbox"][2] < 400
        assert record["predicted_iou"] > 0.88
        assert record["stability_score"] >= 0.95
