"""edgesam's stages, watched from outside: each is seen once, and nothing is left changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import edgesam
import edgesam.preprocess
import edgesam.sam
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine
from edgesam.image import Image
from edgesam_bench.speed.measures import STAGES, parts_of
from edgesam_bench.speed.stages import WatchedSession, watched

from ..device_engine import DeviceFake

BOX = edgesam.Prompt.box(9, 9, 60, 70)
PICTURE = np.arange(96 * 128, dtype=np.uint16).reshape(96, 128)


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
def test_each_stage_is_seen(make_bundle: Callable[..., Bundle], model: str) -> None:
    sam = edgesam.load(make_bundle(model=model).path, engine=FakeEngine())
    with watched(sam) as times:
        embedding = sam.embed(PICTURE)
        masks = [sam.segment(embedding, edgesam.Prompt.box(9, 9, 60, 70)) for _ in range(3)]
    assert {stage: len(seconds) for stage, seconds in times.seconds.items()} == {
        **dict.fromkeys(set(STAGES["embed"]) - {"prepare"}, 1),
        **dict.fromkeys(STAGES["click"], 3),
    }
    plain = sam.segment(sam.embed(PICTURE), edgesam.Prompt.box(9, 9, 60, 70))
    assert np.array_equal(masks[0].array, plain.array)
    assert len(times.seconds["encode"]) == 1  # no longer watched


def test_a_device_prepares_and_finishes_when_it_is_watched_too(
    make_bundle: Callable[..., Bundle],
) -> None:
    engine = DeviceFake()
    sam = edgesam.load(make_bundle(model="lite-medsam").path, engine=engine, device="cuda")
    plain = sam.segment(sam.embed(PICTURE), BOX)
    unwatched, engine.done = engine.done, []
    with watched(sam) as times:
        embedding = sam.embed(PICTURE)
        seen = sam.segment(embedding, BOX)
        assert isinstance(sam.pixels, WatchedSession)
    assert engine.done == unwatched == ["prepare", "encode", "image_side", "finish"]
    assert all(late.waited for _, late in engine.late[-3:]), "a stage ended before its answer"
    # This device computes with the very functions that are watched on the host.
    seen_on_device = times.seconds.keys() - {"resize", "normalise"}
    assert parts_of("embed", seen_on_device) == ["prepare", "encode", "image_side"]
    assert all(len(times.seconds[stage]) == 1 for stage in seen_on_device)
    assert set(STAGES["click"]) < seen_on_device
    np.testing.assert_array_equal(seen.array, plain.array)


def test_what_a_session_cannot_is_not_claimed(make_bundle: Callable[..., Bundle]) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    with watched(sam):
        assert sam.pixels is None
        assert not hasattr(sam._open, "finish")


def test_everything_is_put_back_even_after_an_error(make_bundle: Callable[..., Bundle]) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    before = (sam._session, edgesam.answering.make_mask, edgesam.preprocess.resized, Image.to_rgb8)
    with pytest.raises(edgesam.ImageError), watched(sam):
        sam.embed(np.zeros((0, 4), np.uint8))
    after = (sam._session, edgesam.answering.make_mask, edgesam.preprocess.resized, Image.to_rgb8)
    assert after == before


def test_a_closed_sam_stays_closed(make_bundle: Callable[..., Bundle]) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    sam.close()
    with pytest.raises(ValueError, match="closed"), watched(sam):
        pass
