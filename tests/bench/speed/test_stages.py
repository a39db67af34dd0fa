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
from edgesam_bench.speed.measures import STAGES
from edgesam_bench.speed.stages import watched

PICTURE = np.arange(96 * 128, dtype=np.uint16).reshape(96, 128)


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
def test_each_stage_is_seen(make_bundle: Callable[..., Bundle], model: str) -> None:
    sam = edgesam.load(make_bundle(model=model).path, engine=FakeEngine())
    with watched(sam) as times:
        embedding = sam.embed(PICTURE)
        masks = [sam.segment(embedding, edgesam.Prompt.box(9, 9, 60, 70)) for _ in range(3)]
    assert {stage: len(seconds) for stage, seconds in times.seconds.items()} == {
        **dict.fromkeys(STAGES["embed"], 1),
        **dict.fromkeys(STAGES["click"], 3),
    }
    plain = sam.segment(sam.embed(PICTURE), edgesam.Prompt.box(9, 9, 60, 70))
    assert np.array_equal(masks[0].array, plain.array)
    assert len(times.seconds["encode"]) == 1  # no longer watched


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
