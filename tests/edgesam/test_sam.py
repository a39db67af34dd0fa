"""Sam over an engine that paints what it is told, and over the real one where it matters."""

from __future__ import annotations

import gc
import hashlib
import logging
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import (
    BundleError,
    ChecksumMismatch,
    EngineUnavailable,
    ImageError,
    Mask,
    ModelNotFound,
    OutOfMemory,
    PrecisionMismatch,
    Prompt,
    PromptError,
    Sam,
    Window,
)
from edgesam.bundle import MANIFEST, Bundle
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, MaskPrompts, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.home import bundle_path
from edgesam.manifest import ROLES, SCHEMA, BundleFile, Manifest
from edgesam.models import MEDSAM
from edgesam.selection import Select

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]


class Recording(FakeEngine):
    """Remembers the pictures and prompts its session is given; its four masks differ."""

    def __init__(self) -> None:
        self.pictures: list[NDArray[np.float32]] = []
        self.calls: list[Prompts] = []
        self.masks: list[MaskPrompts] = []
        self.opened: dict[str, Any] = {}
        self.closed = 0

    def open(self, *_: Graphs, **options: Any) -> FakeSession:
        self.opened = options
        return RecordingSession(self)


class RecordingSession(FakeSession):
    def __init__(self, engine: Recording) -> None:
        super().__init__()
        self._engine = engine

    def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
        self._engine.pictures.append(image)
        return super().encode(image, *more)

    def image_side(self, embedding: NDArray[np.float32], masks: MaskPrompts) -> ImageSide:
        self._engine.masks.append(masks)
        return super().image_side(embedding, masks)

    def all_four(
        self, side: ImageSide, prompts: Prompts
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._engine.calls.append(prompts)
        logits, iou = super().all_four(side, prompts)
        for token in range(4):  # a frame of its own height tells the tokens apart
            logits[:, token, : 10 * token] = -10
        return logits, iou

    def close(self) -> None:
        self._engine.closed += 1


@pytest.fixture
def engine() -> Recording:
    return Recording()


@pytest.fixture
def sam(make_bundle: Make, engine: Recording) -> Sam:
    """mobile-sam over the recording engine."""
    return edgesam.load(make_bundle().path, engine=engine)


def amended(bundle: Bundle, **changes: Any) -> Path:
    """The bundle's folder, its manifest changed."""
    manifest: Manifest = replace(bundle.manifest, **changes)
    (bundle.path / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return bundle.path


@pytest.fixture
def medsam(make_bundle: Make, engine: Recording) -> Sam:
    bundle = make_bundle("medsam", model="mobile-sam")
    return edgesam.load(amended(bundle, model="medsam", profile=MEDSAM), engine=engine)


class TestEmbed:
    def test_grey_and_colour(self, sam: Sam, engine: Recording, noise: Noise) -> None:
        grey = noise(60, 80)
        one, three = sam.embed(grey), sam.embed(np.stack([grey] * 3, axis=2))
        np.testing.assert_array_equal(engine.pictures[0], engine.pictures[1])
        assert engine.pictures[0].shape == (1, 3, 1024, 1024)
        assert one.size == three.size == (60, 80)
        assert one.mapping == three.mapping == "as stored"

    def test_colours_are_rgb(self, sam: Sam, engine: Recording) -> None:
        red = np.zeros((64, 64, 3), np.uint8)
        red[..., 0] = 255
        sam.embed(red)
        channels = engine.pictures[0][0, :, 500, 500]
        assert channels[0] > 2 > -1 > channels[1]
        assert channels[2] < -1

    def test_medsam_sees_the_picture_fill_the_square(
        self, medsam: Sam, engine: Recording, noise: Noise
    ) -> None:
        embedding = medsam.embed(noise(60, 80))
        assert embedding.fit == edgesam.Fit.stretch(60, 80, 1024)
        assert (engine.pictures[0].min(), engine.pictures[0].max()) == (0, 1)
        assert engine.pictures[0][..., -1, -1].any()

    def test_sixteen_bits_pass_a_window(self, sam: Sam, engine: Recording, noise: Noise) -> None:
        deep = noise(60, 80).astype(np.uint16) * 16
        windowed = sam.embed(deep, Window(level=2048, width=4096))
        assert windowed.mapping.startswith("window 2048/4096")
        assert sam.embed(deep).mapping.startswith("percentiles")
        assert not np.array_equal(engine.pictures[0], engine.pictures[1])

    @pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (20_000, 8), (8, 20_000)])
    def test_extreme_pictures(self, sam: Sam, noise: Noise, size: tuple[int, int]) -> None:
        embedding = sam.embed(noise(*size))
        mask = sam.segment(embedding, Prompt.box(0, 0, size[1], size[0]))
        assert mask.array.shape == embedding.size == size
        if max(size) < 1000:  # in the others the picture is thinner than a logit
            assert mask.array.all()
        point = sam.segment(embedding, Prompt.point(size[1] / 2, size[0] / 2))
        assert point.array[size[0] // 2, size[1] // 2]

    @pytest.mark.parametrize(
        "array",
        [np.zeros((0, 5)), np.zeros(5), np.zeros((5, 5, 2)), np.full((5, 5), np.nan)],
    )
    def test_pixels_that_cannot_be_used(
        self, sam: Sam, engine: Recording, array: NDArray[Any]
    ) -> None:
        with pytest.raises(ImageError):
            sam.embed(array)
        assert engine.pictures == []

    def test_an_embedding_cannot_be_changed(self, sam: Sam, noise: Noise) -> None:
        embedding = sam.embed(noise(60, 80))
        with pytest.raises(ValueError, match="read-only"):
            embedding.array[0] = 1
        with pytest.raises(AttributeError):
            embedding.encoder = "other"  # type: ignore[misc]
        assert repr(embedding) == "Embedding(80x60, as stored)"
        assert embedding.array.dtype == np.float32


class TestSegment:
    def test_a_box_comes_back_as_its_mask(self, sam: Sam, noise: Noise) -> None:
        mask = sam.segment(sam.embed(noise(600, 800)), Prompt.box(200, 100, 400, 500))
        assert mask.box is not None
        np.testing.assert_allclose(mask.box, (200, 100, 399, 499), atol=3)
        assert mask.array.shape == (600, 800)
        assert mask.array.dtype == np.bool_
        assert mask.score == pytest.approx(0.9)
        assert type(mask.score) is float
        assert (mask.logits.shape, mask.logits.dtype) == ((256, 256), np.float32)

    def test_multimask_is_the_three_in_order(self, sam: Sam, noise: Noise) -> None:
        embedding = sam.embed(noise(256, 256))
        prompt = Prompt.box(0, 0, 256, 256)
        single = sam.segment(embedding, prompt)
        three = sam.segment(embedding, prompt, multimask=True)
        assert isinstance(three, tuple)
        assert [round(mask.score, 1) for mask in three] == [0.7, 0.8, 0.6]
        tops = [mask.box[1] for mask in (single, *three) if mask.box]
        np.testing.assert_allclose(tops, [0, 10, 20, 30], atol=1)

    @pytest.mark.parametrize(
        ("select", "top", "score"),
        [
            ("single", 0, 0.9),
            ("best", 20, 0.8),
            ("stability", 10, 0.7),  # all edges are as steep: the first of the three
            (0, 10, 0.7),
            (1, 20, 0.8),
            (2, 30, 0.6),
        ],
    )
    def test_one_mask_by_name_or_index(
        self, sam: Sam, noise: Noise, select: Select, top: int, score: float
    ) -> None:
        embedding = sam.embed(noise(256, 256))
        prompt = Prompt.box(0, 0, 256, 256)
        mask = sam.segment(embedding, prompt, select=select)
        assert isinstance(mask, Mask)
        assert mask.box is not None
        assert abs(mask.box[1] - top) <= 1
        assert mask.score == pytest.approx(score)
        (batch,) = sam.segment_batch(embedding, [prompt], select=select)
        (each,) = sam.segment_each(embedding, [prompt], select=select)
        for same in (batch, each):
            np.testing.assert_array_equal(mask.logits, same.logits)
            assert mask.score == same.score

    @pytest.mark.parametrize("select", ["Best", "oracle", "", "0", 3, -1, None, True, 1.0])
    def test_an_unknown_selection(
        self, sam: Sam, noise: Noise, engine: Recording, select: Any
    ) -> None:
        embedding, prompt = sam.embed(noise(64, 64)), Prompt.point(5, 5)
        said = f"select is {select!r}, not one of single, best, stability, 0, 1, 2"
        for call in (
            lambda: sam.segment(embedding, prompt, select=select),
            lambda: sam.segment_batch(embedding, [prompt], select=select),
            lambda: sam.segment_each(embedding, [prompt], select=select),
        ):
            with pytest.raises(ValueError, match="select is") as raised:
                call()
            assert str(raised.value) == said
        assert engine.calls == []

    def test_an_index_of_numpy(self, sam: Sam, noise: Noise) -> None:
        embedding, prompt = sam.embed(noise(48, 64)), Prompt.box(3, 3, 30, 30)
        second = sam.segment(embedding, prompt, select=1)
        found = sam.segment(embedding, prompt, select=np.int64(1))  # type: ignore[call-overload]
        np.testing.assert_array_equal(found.logits, second.logits)
        assert found.score == second.score

    @pytest.mark.parametrize("select", ["best", "stability", 0, 1, 2])
    def test_all_three_and_one_of_them_cannot_both_be_meant(
        self, sam: Sam, noise: Noise, engine: Recording, select: Any
    ) -> None:
        embedding, prompt = sam.embed(noise(64, 64)), Prompt.point(5, 5)
        with pytest.raises(ValueError, match="multimask gives all three masks: leave out select"):
            sam.segment(embedding, prompt, multimask=True, select=select)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="leave out select"):
            sam.segment_batch(embedding, [prompt], True, select=select)
        assert engine.calls == []

    def test_batches_keep_their_order(self, sam: Sam, noise: Noise, engine: Recording) -> None:
        embedding = sam.embed(noise(1024, 1024))
        prompts, places = [], []
        for i in range(50):
            x, y = 100 + 80 * (i % 10), 100 + 150 * (i // 10)
            if i % 3 == 0:
                prompts.append(Prompt.box(x - 20, y - 20, x + 20, y + 20))
            elif i % 3 == 1:
                prompts.append(Prompt.point(x, y))
            else:
                prompts.append(Prompt.points([(x, y), (0, 0)], [1, 0]))
            places.append((x, y))
        masks = sam.segment_batch(embedding, prompts)
        assert len(masks) == 50
        for mask, (x, y) in zip(masks, places, strict=True):
            assert mask.box is not None
            centre = (mask.box[0] + mask.box[2] + 1) / 2, (mask.box[1] + mask.box[3] + 1) / 2
            np.testing.assert_allclose(centre, (x, y), atol=4)
        for prompt, mask in zip(prompts[:6], masks, strict=False):
            alone = sam.segment(embedding, prompt)
            np.testing.assert_array_equal(alone.array, mask.array)
            np.testing.assert_array_equal(alone.logits, mask.logits)

    def test_equal_counts_share_calls_of_4(self, sam: Sam, noise: Noise, engine: Recording) -> None:
        embedding = sam.embed(noise(64, 64))
        boxes = [Prompt.box(1, 1, 9, 9)] * 7
        points = [Prompt.point(5, 5)] * 4  # with the padding point they have two tokens, too
        sam.segment_batch(embedding, [*boxes, *points, Prompt.points([(1, 1), (2, 2)], [1, 1])])
        assert [call.coords.shape[:2] for call in engine.calls] == [
            (4, 2),
            (4, 2),
            (3, 2),
            (1, 3),
        ]

    def test_batches_of_three_masks_and_of_none(self, sam: Sam, noise: Noise) -> None:
        embedding = sam.embed(noise(64, 64))
        batch = sam.segment_batch(embedding, [Prompt.point(5, 5)] * 2, multimask=True)
        assert all(isinstance(masks, tuple) and len(masks) == 3 for masks in batch)
        assert sam.segment_batch(embedding, []) == []

    def test_a_bad_prompt_stops_the_batch_before_anything_runs(
        self, sam: Sam, noise: Noise, engine: Recording
    ) -> None:
        embedding = sam.embed(noise(64, 64))
        with pytest.raises(PromptError, match="outside"):
            sam.segment_batch(embedding, [Prompt.point(5, 5), Prompt.point(65, 5)])
        assert engine.calls == []

    def test_logits_of_another_models_size(self, sam: Sam, noise: Noise, engine: Recording) -> None:
        embedding = sam.embed(noise(64, 64))
        prompt = Prompt([(5, 5)], [1], mask_input=np.zeros((64, 64), np.float32))
        with pytest.raises(PromptError, match="are 64 x 64, those of mobile-sam are 256 x 256"):
            sam.segment(embedding, prompt)
        with pytest.raises(PromptError, match="are 64 x 64, those of mobile-sam are 256 x 256"):
            sam.check(prompt, 64, 64)
        assert engine.calls == []

    def test_an_earlier_mask_reaches_the_decoder(
        self, sam: Sam, noise: Noise, engine: Recording
    ) -> None:
        embedding = sam.embed(noise(64, 64))
        first = sam.segment(embedding, Prompt.box(10, 10, 50, 50))
        sam.segment(embedding, Prompt([(20, 20)], [1], mask_input=first.logits))
        alone, fed_back = engine.calls
        assert alone.masks is None
        assert fed_back.masks.given.tolist() == [1]
        np.testing.assert_array_equal(fed_back.masks.logits[0, 0], first.logits)
        assert [masks.given.tolist() for masks in engine.masks] == [[0], [1]]
        assert engine.masks[1] is fed_back.masks

    def test_results_do_not_hold_the_whole_batch(self, sam: Sam, noise: Noise) -> None:
        mask = sam.segment_batch(sam.embed(noise(64, 64)), [Prompt.point(5, 5)] * 16)[0]
        assert mask.logits.base is None

    def test_an_embedding_of_another_model(self, make_bundle: Make, noise: Noise) -> None:
        one = edgesam.load(make_bundle("one").path, engine=FakeEngine())
        other = edgesam.load(make_bundle("two", content="else").path, engine=FakeEngine())
        embedding = one.embed(noise(64, 64))
        with pytest.raises(PromptError, match="made by another model than mobile-sam fp32"):
            other.segment(embedding, Prompt.point(5, 5))
        assert one.segment(embedding, Prompt.point(5, 5)).area > 0

    def test_a_mask_too_large_for_memory(
        self, sam: Sam, noise: Noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Any:
            raise MemoryError

        embedding = sam.embed(noise(64, 48))
        monkeypatch.setattr("edgesam.postprocess.threshold_mask", fail)
        with pytest.raises(OutOfMemory, match="not enough memory for a mask of 48 x 64 pixels"):
            sam.segment(embedding, Prompt.point(5, 5))

    def test_medsam_maps_a_box_and_stretches_its_mask_back(
        self, medsam: Sam, noise: Noise, engine: Recording
    ) -> None:
        embedding = medsam.embed(noise(200, 800))
        mask = medsam.segment(embedding, Prompt.box(200, 50, 600, 100))
        assert engine.calls[0].coords.tolist() == [[[256, 256], [768, 512]]]
        assert mask.array.shape == (200, 800)
        assert mask.box is not None
        np.testing.assert_allclose(mask.box, (200, 50, 599, 99), atol=3)

    def test_medsam_names_who_takes_a_point(
        self, medsam: Sam, noise: Noise, engine: Recording
    ) -> None:
        said = r"medsam was trained for a box and takes no point; .*: mobile-sam, sam-vit-b, .*-h$"
        with pytest.raises(PromptError, match=said):
            medsam.segment(medsam.embed(noise(64, 64)), Prompt.point(5, 5))
        with pytest.raises(PromptError, match=said):
            medsam.check(Prompt.point(5, 5), 64, 64)
        assert engine.calls == []

    def test_lite_medsam_takes_boxes(self, make_bundle: Make, noise: Noise) -> None:
        sam = edgesam.load(make_bundle(model="lite-medsam").path, engine=FakeEngine())
        embedding = sam.embed(noise(300, 400))
        assert sam.segment(embedding, Prompt.box(100, 100, 200, 200)).area > 0
        with pytest.raises(PromptError, match=r"lite-medsam .*takes no point.*mobile-sam"):
            sam.segment(embedding, Prompt.point(5, 5))


class Small(FakeEngine):
    """A model of 4 x 4 tokens that knows nothing."""

    class Session(FakeSession):
        def image_side(self, embedding: NDArray[np.float32], masks: MaskPrompts) -> ImageSide:
            assert masks.logits.shape[-2:] == (16, 16)
            return super().image_side(embedding, masks)

        def all_four(
            self, side: ImageSide, prompts: Prompts
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            count = len(prompts.coords)
            return np.ones((count, 4, 16, 16), np.float32), np.zeros((count, 4), np.float32)

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return self.Session()


@pytest.fixture
def small(make_bundle: Make) -> Sam:
    return edgesam.load(amended(make_bundle("small"), grid=4, image_size=64), engine=Small())


def test_another_low_resolution_holds_everywhere(small: Sam, noise: Noise) -> None:
    embedding = small.embed(noise(30, 40))
    mask = small.segment(embedding, Prompt.point(5, 5))
    assert mask.logits.shape == (16, 16)
    small.segment(embedding, Prompt([(5, 5)], [1], mask_input=mask.logits))
    small.segment(embedding, Prompt(mask_input=mask.array))
    with pytest.raises(PromptError, match="are 256 x 256, those of mobile-sam are 16 x 16"):
        small.segment(embedding, Prompt(mask_input=np.zeros((256, 256), np.float32)))


def mixed(count: int) -> list[Prompt]:
    """Boxes, points, and points with an earlier mask, for pictures of at least 64 pixels."""
    earlier = np.zeros((256, 256), np.float32)
    kinds: list[Callable[[int], Prompt]] = [
        lambda i: Prompt.box(i, 1, i + 9, 30),
        lambda i: Prompt.point(i, 5),
        lambda i: Prompt.points([(i, 5), (60, 60), (1, 60)], [1, 0, 0]),
        lambda i: Prompt([(i, 9)], [1], mask_input=earlier),
        lambda i: Prompt([(i, 9)], [1], box=(0, 0, 64, 64)),
    ]
    return [kinds[i * i % 5](i % 50) for i in range(count)]


class TestSegmentEach:
    @pytest.mark.parametrize("select", ["single", "best", 2])
    def test_it_gives_what_a_batch_gives(self, sam: Sam, noise: Noise, select: Select) -> None:
        embedding, prompts = sam.embed(noise(64, 64)), mixed(41)
        each = list(sam.segment_each(embedding, prompts, select=select))
        batch = sam.segment_batch(embedding, prompts, select=select)
        alone = [sam.segment(embedding, prompt, select=select) for prompt in prompts]
        assert len(each) == len(batch) == 41
        for one, two, three in zip(each, batch, alone, strict=True):
            assert one.score == two.score == three.score
            np.testing.assert_array_equal(one.logits, two.logits)
            np.testing.assert_array_equal(one.logits, three.logits)
            np.testing.assert_array_equal(one.array, two.array)

    def test_the_prompts_order(self, sam: Sam, noise: Noise) -> None:
        xs = [(37 * i) % 900 + 50 for i in range(50)]
        prompts = [
            Prompt.point(x, 500) if i % 3 else Prompt.box(x - 20, 480, x + 20, 520)
            for i, x in enumerate(xs)
        ]
        masks = sam.segment_each(sam.embed(noise(1024, 1024)), prompts)
        for x, mask in zip(xs, masks, strict=True):
            assert mask.box is not None
            assert abs((mask.box[0] + mask.box[2] + 1) / 2 - x) <= 4

    def test_the_decoder_runs_as_masks_are_taken(
        self, sam: Sam, noise: Noise, engine: Recording
    ) -> None:
        masks = sam.segment_each(sam.embed(noise(64, 64)), [Prompt.point(5, 5)] * 10)
        assert engine.calls == []
        calls = []
        for _ in masks:
            calls.append(len(engine.calls))
        assert calls == [1] * 4 + [2] * 4 + [3] * 2
        assert max(len(call.coords) for call in engine.calls) == 4

    def test_all_prompts_are_checked_before_the_first_is_computed(
        self, sam: Sam, noise: Noise, engine: Recording
    ) -> None:
        embedding = sam.embed(noise(64, 64))
        wrong = [
            Prompt.point(65, 5),
            Prompt(mask_input=np.zeros((3, 3), np.bool_)),
            Prompt(mask_input=np.zeros((9, 9), np.float32)),
        ]
        for prompt in wrong:
            with pytest.raises(PromptError):
                sam.segment_each(embedding, [Prompt.point(5, 5)] * 100 + [prompt])
        assert engine.calls == []

    def test_a_changed_list_changes_nothing(self, sam: Sam, noise: Noise) -> None:
        prompts = [Prompt.point(5, 5)] * 3
        masks = sam.segment_each(sam.embed(noise(64, 64)), prompts)
        prompts.clear()
        assert len(list(masks)) == 3

    def test_none(self, sam: Sam, noise: Noise) -> None:
        assert list(sam.segment_each(sam.embed(noise(64, 64)), [])) == []

    def test_what_was_handed_out_is_not_kept(self, sam: Sam, noise: Noise) -> None:
        masks = sam.segment_each(sam.embed(noise(64, 64)), [Prompt.point(5, 5)] * 40)
        handed = [weakref.ref(next(masks)) for _ in range(10)]
        gc.collect()
        alive = [i for i, mask in enumerate(handed[:-1]) if mask() is not None]
        assert alive == [], "all but the last could be freed"

    def test_memory_does_not_grow_with_the_number_of_prompts(
        self, small: Sam, noise: Noise
    ) -> None:
        embedding = small.embed(noise(200, 200))

        def peak(prompts: list[Prompt]) -> int:
            tracemalloc.start()
            try:
                for mask in small.segment_each(embedding, prompts):
                    assert mask.area
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        few, many = [Prompt.point(5, 5)] * 32, [Prompt.point(5, 5)] * 1024
        peak(few)  # fills the caches
        assert peak(many) < 1.5 * peak(few)
        assert peak(few) < 60 * 200 * 200  # and not so large that more would not show

    def test_an_embedding_of_another_model(self, sam: Sam, small: Sam, noise: Noise) -> None:
        embedding = replace(small.embed(noise(64, 64)), encoder="0" * 64)
        with pytest.raises(PromptError, match="made by another model than mobile-sam fp32"):
            sam.segment_each(embedding, [Prompt.point(5, 5)])


def box_input(count: int = 1) -> Prompts:
    """The whole square of 1024, as the decoder takes it."""
    return Prompts(
        np.tile(np.array([[0, 0], [1024, 1024]], np.float32), (count, 1, 1)),
        np.tile(np.array([2, 3], np.int32), (count, 1)),
    )


class TestDecode:
    def test_all_four_tokens_untouched(self, sam: Sam, noise: Noise, engine: Recording) -> None:
        embedding, inputs = sam.embed(noise(64, 64)), box_input(3)
        logits, iou = sam.decode(embedding, inputs)
        assert engine.calls == [inputs]
        assert (logits.shape, iou.shape) == ((3, 4, 256, 256), (3, 4))
        assert [int((logits[0, i, :, 0] < 0).sum()) for i in range(4)] == [0, 10, 20, 30]
        three = sam.segment(embedding, Prompt.box(0, 0, 64, 64), multimask=True)
        for token, mask in enumerate(three, start=1):
            np.testing.assert_array_equal(logits[0, token], mask.logits)
            assert iou[0, token] == np.float32(mask.score)

    def test_an_embedding_of_another_model(
        self, sam: Sam, make_bundle: Make, noise: Noise, engine: Recording
    ) -> None:
        other = edgesam.load(make_bundle("two", content="else").path, engine=FakeEngine())
        with pytest.raises(PromptError, match="made by another model than mobile-sam fp32"):
            sam.decode(other.embed(noise(64, 64)), box_input())
        assert engine.calls == []

    def test_of_a_closed_sam(self, sam: Sam, noise: Noise) -> None:
        embedding = sam.embed(noise(64, 64))
        sam.close()
        with pytest.raises(ValueError, match="this Sam is closed"):
            sam.decode(embedding, box_input())


class TestThreads:
    def test_many_threads_one_sam(self, sam: Sam, noise: Noise) -> None:
        pictures = [noise(40 + i, 90 - i, seed=i) for i in range(6)]

        def work(i: int) -> tuple[float, list[int]]:
            picture = pictures[i % 6]
            embedding = sam.embed(picture)
            prompts = [Prompt.box(1, 1, 5 + i % 30, 30), Prompt.point(i % 40, i % 20)]
            return float(embedding.array[0, 0, 0, 0]), [
                mask.area for mask in sam.segment_batch(embedding, prompts)
            ]

        expected = [work(i) for i in range(18)]
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(18))) == expected

    def test_the_real_engine(self, lite_bundle: Path, noise: Noise) -> None:
        with edgesam.load(lite_bundle, threads=1) as sam:
            embedding = sam.embed(noise(90, 120))
            prompts = [Prompt.box(5 * i, 5, 60 + 5 * i, 80) for i in range(6)]
            alone = [sam.segment(embedding, prompt) for prompt in prompts]
            start = threading.Barrier(len(prompts))

            def work(prompt: Prompt) -> Mask:
                start.wait()
                return sam.segment(embedding, prompt)

            with ThreadPoolExecutor(len(prompts)) as pool:
                together = list(pool.map(work, prompts))
            batch = sam.segment_batch(embedding, prompts)
        assert alone[0].area > 0
        for one, two, three in zip(alone, together, batch, strict=True):
            np.testing.assert_array_equal(one.logits, two.logits)
            np.testing.assert_allclose(one.logits, three.logits, atol=1e-2)
            assert one.score == two.score == pytest.approx(three.score, abs=1e-3)


class TestClosing:
    def test_a_closed_sam_says_so(self, sam: Sam, engine: Recording, noise: Noise) -> None:
        with sam as same:
            assert same is sam
            embedding = sam.embed(noise(64, 64))
        assert engine.closed == 1
        for call in (
            lambda: sam.embed(noise(64, 64)),
            lambda: sam.segment(embedding, Prompt.point(5, 5)),
        ):
            with pytest.raises(ValueError, match="this Sam is closed"):
                call()
        sam.close()
        assert engine.closed == 1
        assert repr(sam) == "Sam(mobile-sam, fp32, fake:cpu, passport none, closed)"


class TestLoad:
    def test_what_it_says_of_itself(self, sam: Sam) -> None:
        assert repr(sam) == "Sam(mobile-sam, fp32, fake:cpu, passport none)"
        assert (sam.model, sam.variant, sam.engine, sam.passport) == (
            "mobile-sam",
            "fp32",
            "fake:cpu",
            None,
        )

    def test_options_reach_the_engine(self, make_bundle: Make, engine: Recording) -> None:
        for wrong in (0, -1, 10**20):
            with pytest.raises(ValueError, match="threads must be 1 to 1024"):
                edgesam.load(make_bundle().path, engine=engine, threads=wrong)
        edgesam.load(make_bundle().path, engine=engine, device="moon", threads=3)
        assert engine.opened == {"precision": "fp32", "device": "moon", "threads": 3}

    def test_an_unknown_model(self) -> None:
        with pytest.raises(ModelNotFound, match="neither a known model"):
            edgesam.load("sam-9000")

    def test_a_model_that_was_not_pulled(self) -> None:
        with pytest.raises(ModelNotFound, match="run: edgesam pull lite-medsam"):
            edgesam.load()

    def test_a_model_by_name(self, make_bundle: Make) -> None:
        bundle_path("mobile-sam").parent.mkdir(parents=True)
        make_bundle().path.rename(bundle_path("mobile-sam"))
        assert edgesam.load("mobile-sam", engine=FakeEngine()).model == "mobile-sam"

    def test_errors_of_what_is_asked_for(self, make_bundle: Make, lite_bundle: Path) -> None:
        path = make_bundle().path
        with pytest.raises(BundleError, match="no variant 'int8'"):
            edgesam.load(path, engine=FakeEngine(), variant="int8")
        with pytest.raises(EngineUnavailable, match="'tensorflow'"):
            edgesam.load(path, engine="tensorflow")
        with pytest.raises(EngineUnavailable, match="no device 'moon'"):
            edgesam.load(lite_bundle, engine="onnxruntime", device="moon")
        with pytest.raises(BundleError, match="cannot load"):
            edgesam.load(path)  # the graphs of this bundle are no graphs

    def test_a_changed_graph(self, make_bundle: Make) -> None:
        bundle = make_bundle()
        file = bundle.path / bundle.variants["fp32"].mask_decoder.file
        file.write_bytes(file.read_bytes() + b"!")
        with pytest.raises(ChecksumMismatch):
            edgesam.load(bundle.path, engine=FakeEngine())

    def test_changed_weights(self, make_bundle: Make, engine: Recording) -> None:
        bundle = make_bundle()
        data = b"weights"
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"image_encoder.fp32.{sha256[:8]}.data"
        entry = BundleFile(name, sha256, len(data))
        variants = {"fp32": replace(bundle.variants["fp32"], weights=entry)}
        path = amended(bundle, variants=variants)
        with pytest.raises(BundleError, match=f"lacks {name}"):
            edgesam.load(path, engine=engine)
        (path / name).write_bytes(data + b"!")
        with pytest.raises(ChecksumMismatch, match=f"{name} has sha256"):
            edgesam.load(path, engine=engine)
        assert engine.opened == {}, "nothing was opened"
        (path / name).write_bytes(data)
        edgesam.load(path, engine=engine)
        assert engine.opened != {}

    def test_a_bundle_of_an_earlier_schema(self, make_bundle: Make) -> None:
        path = make_bundle().path
        text = (path / MANIFEST).read_text("utf-8")
        (path / MANIFEST).write_text(text.replace(f'"schema": {SCHEMA}', '"schema": 1'), "utf-8")
        with pytest.raises(BundleError, match=r"schema 1.*: pull or export it again$"):
            edgesam.load(path, engine=FakeEngine())

    def test_an_engine_that_runs_something_else(self, make_bundle: Make) -> None:
        class Other(FakeEngine):
            def open(self, *_: Graphs, **__: Any) -> FakeSession:
                raise PrecisionMismatch("runs fp16")

        with pytest.raises(PrecisionMismatch):
            edgesam.load(make_bundle().path, engine=Other())


def passport(mean: float = 0.5, **more: Any) -> dict[str, Any]:
    """A report whose figures hold a gate of 0.4."""
    gate = {"mean": 0.4, "p5": 0.4, "worst": 0.4}
    return {"mask_iou": {"mean": mean, "p5": mean, "worst": mean}, "gate": gate, **more}


class TestPassport:
    def test_none_is_a_warning(self, make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
        sam = edgesam.load(make_bundle().path, engine=FakeEngine())
        assert sam.passport is None
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert warnings[0].startswith("no parity report vouches for mobile-sam fp32")

    def test_none_is_a_refusal_where_it_is_required(
        self, make_bundle: Make, engine: Recording
    ) -> None:
        with pytest.raises(BundleError, match=r"no parity report.*a passport was required"):
            edgesam.load(make_bundle().path, engine=engine, require_passport=True)
        assert engine.opened == {}

    def test_one_is_kept(self, make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
        path = make_bundle(passport=passport(0.99987)).path
        sam = edgesam.load(path, engine=FakeEngine(), require_passport=True)
        assert sam.passport is not None
        assert repr(sam) == "Sam(mobile-sam, fp32, fake:cpu, passport 0.9999)"
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]

    def test_one_of_other_graphs_is_none(self, make_bundle: Make) -> None:
        other = dict.fromkeys(ROLES, "0" * 64)
        path = make_bundle(passport=passport(1.0, graphs=other)).path
        assert edgesam.load(path, engine=FakeEngine()).passport is None
        with pytest.raises(BundleError, match="a passport was required"):
            edgesam.load(path, engine=FakeEngine(), require_passport=True)
