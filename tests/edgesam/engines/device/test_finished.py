"""Masks that a card finishes are the CPU's: the kernel itself on the host, through Sam."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Mask, Prompt, Sam
from edgesam.automatic import everything
from edgesam.bundle import Bundle
from edgesam.compat.answers import answer
from edgesam.embedding import Embedding, ImageSide, Tensor, on_host
from edgesam.engines import Answer, Graphs, MaskPrompts, Prompts
from edgesam.engines.device.masks import DeviceMasks
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.engines.tensorrt.flavour import CLASSIC, Flavour
from edgesam.engines.tensorrt.graph import TensorRtGraph
from edgesam.postprocess import mask_frame
from edgesam.selection import Select
from edgesam_kernels.bilinear import resize_logits
from edgesam_kernels.finish import MaskFrame

from ....kernels.host_cuda import why_not
from ..card import Card

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

Noise = Callable[..., NDArray[np.uint8]]
Make = Callable[..., Bundle]
LOW = 256


def decoder(given: dict[str, Any]) -> dict[str, Any]:
    """Of each prompt and token other blobs and another predicted IoU, the same each time."""
    count, tokens = len(given["point_coords"]), given["mask_tokens"]
    logits = np.empty((count, len(tokens), LOW, LOW), np.float32)
    iou = np.empty((count, 4), np.float32)
    for row in range(count):
        asked = given["point_coords"][row].tobytes() + given["point_labels"][row].tobytes()
        seed = zlib.crc32(asked + given["keys"].tobytes() + given["queries"].tobytes())
        iou[row] = np.random.default_rng(seed).random(4)
        for i, token in enumerate(tokens):
            draw = np.random.default_rng([seed, token])
            coarse = draw.normal(0, 3, (16, 16)) * draw.choice([0.1, 0.5, 1.2], (16, 16))
            logits[row, i] = np.kron(coarse, np.ones((16, 16))) + draw.normal(0, 0.5, (LOW, LOW))
    return {"low_res_masks": logits, "iou_predictions": iou}


class OnHost(FakeSession):
    """The card's decoder; its logits become masks on the host."""

    def __init__(self, masks: DeviceMasks) -> None:
        super().__init__()
        self.masks = masks

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        told = (masks.logits.mean((1, 2, 3)) * masks.given)[:, None, None]
        keys = on_host(embedding)[:, 0, :4, :4] + told.astype(np.float32)
        return np.ascontiguousarray(keys), np.ascontiguousarray(keys[:, 0])

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answer = self.masks.answer(side, prompts, tokens)
        return answer.logits, answer.iou


class OnCard(OnHost):
    """And the card makes the masks."""

    def finish(
        self,
        side: ImageSide,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame,
        offset: float = 1.0,
    ) -> Answer:
        return self.masks.answer(side, prompts, tokens, frame, offset)


class Opens(FakeEngine):
    def __init__(self, session: FakeSession) -> None:
        self._session = session

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return self._session


@pytest.fixture
def card() -> Card:
    return Card()


@pytest.fixture
def masks(
    card: Card,
    fake_trt: Any,
    fake_plan: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> DeviceMasks:
    trt = type(fake_trt)(card, {"decoder": decoder})
    monkeypatch.setattr(Flavour, "load", lambda self: trt)
    plan = fake_plan("decoder").replace(b'"mask_tokens[0]", 8, 8]', b'"mask_tokens[0]", 256, 256]')
    graph = TensorRtGraph(CLASSIC, cast("Any", card), plan, name="decoder", precision="fp16")
    return DeviceMasks(graph, ["keys", "queries"])


@pytest.fixture(params=["mobile-sam", "lite-medsam", "medsam"])
def both(request: Any, make_bundle: Make, masks: DeviceMasks) -> tuple[Sam, Sam]:
    """The same model, its masks made by the card and by the host."""
    path = make_bundle(model=request.param).path
    sessions = OnCard(masks), OnHost(masks)
    assert [hasattr(session, "finish") for session in sessions] == [True, False]
    one, other = (edgesam.load(path, engine=Opens(session)) for session in sessions)
    return one, other


def assert_same(found: Mask, wanted: Mask, embedding: Embedding, sam: Sam) -> None:
    """But for pixels whose logit is closer to 0 than float32 rounds."""
    np.testing.assert_array_equal(found.logits, wanted.logits)
    assert found.score == wanted.score
    assert (found.place, found.provenance) == (wanted.place, wanted.provenance)
    frame = mask_frame(LOW, embedding.fit, sam.manifest.profile)
    values = np.tanh(found.logits / 2) if frame.probabilities else found.logits
    resized = resize_logits(values, frame.square, frame.crop, frame.size)
    clear = np.abs(resized) > 4e-7 * np.abs(values).max()
    assert np.count_nonzero(~clear) <= 1 + clear.size // 1000
    assert found.array.dtype == np.bool_
    assert found.array.any()
    np.testing.assert_array_equal(found.array[clear], wanted.array[clear])
    counted = Mask(found.array, 0, found.logits)
    assert (found.area, found.box) == (counted.area, counted.box)


PROMPTS = [
    Prompt.box(5, 10, 40, 50),
    Prompt.point(20, 20),
    Prompt.box(1, 2, 30, 33),
    Prompt.point(7, 44),
    Prompt.point(12, 13),
    Prompt.box(0, 0, 50, 60),
]


def taken(sam: Sam) -> list[Prompt]:
    """Those that the model was trained for."""
    points = "point" in sam.manifest.profile.prompt_kinds
    return [prompt for prompt in PROMPTS if points or prompt.corners is not None]


@pytest.mark.parametrize("size", [(60, 80), (301, 203), (64, 1)], ids=str)
@pytest.mark.parametrize("select", ["single", "best", "stability", 1])
def test_one_mask_of_each_prompt(
    both: tuple[Sam, Sam], noise: Noise, card: Card, select: Select, size: tuple[int, int]
) -> None:
    sam, plain = both
    prompts = taken(sam) if size[1] > 60 else [Prompt.box(0, 0, 1, 60), Prompt.box(0, 3, 1, 50)]
    embedding = sam.embed(noise(*size))
    found = sam.segment_batch(embedding, prompts, select=select)
    assert "finish" in card.launches
    before = card.launches.count("finish")
    wanted = plain.segment_batch(embedding, prompts, select=select)
    assert card.launches.count("finish") == before, "the other way makes them on the host"
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other, embedding, sam)


def test_three_masks_and_clicks_that_are_recorded(both: tuple[Sam, Sam], noise: Noise) -> None:
    sam, plain = both
    embedding = sam.embed(noise(120, 90))
    for prompt in [*taken(sam), *taken(sam)]:
        found = sam.segment(embedding, prompt, multimask=True)
        for one, other in zip(found, plain.segment(embedding, prompt, multimask=True), strict=True):
            assert_same(one, other, embedding, sam)


def test_two_pictures_in_turn(both: tuple[Sam, Sam], noise: Noise) -> None:
    sam, plain = both
    embeddings = [sam.embed(noise(70, 90, seed=seed) // (1 + seed)) for seed in (1, 2)]
    first, second = (sam.segment(each, PROMPTS[0]) for each in embeddings)
    assert not np.array_equal(first.logits, second.logits), "the pictures are told apart"
    for _ in range(3):
        for embedding in embeddings:
            wanted = plain.segment(embedding, PROMPTS[0])
            assert_same(sam.segment(embedding, PROMPTS[0]), wanted, embedding, sam)


def test_masks_as_prompts(both: tuple[Sam, Sam], noise: Noise) -> None:
    sam, plain = both
    if "mask" not in sam.manifest.profile.prompt_kinds:
        pytest.skip("a model without mask prompts")
    embedding = sam.embed(noise(70, 90))
    before = sam.segment(embedding, PROMPTS[0])
    prompt = Prompt(points=[(20, 20)], labels=[1], mask_input=before.logits)
    assert_same(sam.segment(embedding, prompt), plain.segment(embedding, prompt), embedding, sam)


@pytest.mark.parametrize("return_logits", [False, True])
def test_the_official_names(
    both: tuple[Sam, Sam], noise: Noise, card: Card, return_logits: bool
) -> None:
    """Logits at the picture's size are made on the host: a card never makes them."""
    embedding = both[0].embed(noise(50, 70))
    prompts = Prompts(
        np.random.default_rng(1).random((6, 2, 2)).astype(np.float32) * 256,
        np.tile(np.array([2, 3], np.int32), (6, 1)),
    )
    found, wanted = (
        answer(sam, embedding, prompts, multimask_output=True, return_logits=return_logits)
        for sam in both
    )
    assert ("finish" in card.launches) is not return_logits
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[2], wanted[2])
    assert found[0].dtype == wanted[0].dtype
    assert found[0].shape == (6, 3, 50, 70)
    assert (found[0] != wanted[0]).mean() < 1e-3
    assert (found[0] > 0).any(axis=(2, 3)).all()


def test_everything(make_bundle: Make, masks: DeviceMasks, noise: Noise, card: Card) -> None:
    """Counts above and below decide there which masks stay."""
    path = make_bundle().path
    picture = noise(90, 70)
    options: dict[str, Any] = {
        "points_per_side": 4,
        "pred_iou_thresh": 0.3,
        "stability_score_thresh": 0.34,
        "stability_score_offset": 0.7,
        "box_nms_thresh": 1.0,
    }
    found, wanted = (
        everything(edgesam.load(path, engine=Opens(session)), picture, **options)
        for session in (OnCard(masks), OnHost(masks))
    )
    assert "finish" in card.launches
    assert 10 < len(found) == len(wanted) < 38, "some are too unstable"
    for one, other in zip(found, wanted, strict=True):
        assert one["predicted_iou"] == other["predicted_iou"]
        assert one["point_coords"] == other["point_coords"]
        assert one["stability_score"] == pytest.approx(other["stability_score"], abs=1e-3)
        assert (one["segmentation"] != other["segmentation"]).mean() < 1e-3
