"""What is asked where nobody drew labels, and how answers are lined up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam.bundle import Bundle
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.models import LITE_MEDSAM, SAM
from edgesam_bench.cases import KINDS
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.variants.exam import judge, kinds_for, pages
from edgesam_bench.variants.gallery import Sample, open_gallery
from edgesam_bench.variants.seeds import find_things
from edgesam_bench.variants.verdict import measure


class Shrinking(FakeEngine):
    """Draws what it is told, a rim thinner."""

    def open(
        self, graphs: Graphs, *, precision: str, device: str, threads: int | None
    ) -> FakeSession:
        return ShrinkingSession()


class ShrinkingSession(FakeSession):
    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = super().decode(side, prompts, tokens)
        thinner = np.minimum.reduce(
            [np.roll(logits, step, axis) for axis in (2, 3) for step in (-4, 4)]
        )
        return np.minimum(logits, thinner), iou


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def samples(clinic: Path) -> Sequence[Sample]:
    return open_gallery(clinic).samples


def test_kinds_of_prompt() -> None:
    assert kinds_for(LITE_MEDSAM.prompt_kinds) == ["box"]
    assert kinds_for(SAM.prompt_kinds) == list(KINDS)


@pytest.mark.parametrize("model", ["mobile-sam", "lite-medsam"])
def test_things_are_found_without_labels(
    model: str, make_bundle: Callable[..., Bundle], samples: Sequence[Sample]
) -> None:
    made = make_bundle(model=model)
    with edgesam.load(made.path, engine=FakeEngine()) as sam:
        embedding = sam.embed(samples[0].read())
        things = find_things(sam, embedding, samples[0].key, most=3)
        again = find_things(sam, embedding, samples[0].key, most=3)
    assert 1 <= len(things) <= 3
    assert [t.area for t in things] == sorted((t.area for t in things), reverse=True)
    assert all((a.mask == b.mask).all() for a, b in zip(things, again, strict=True))


def test_a_model_agrees_with_itself(bundle: Bundle, samples: Sequence[Sample]) -> None:
    with edgesam.load(bundle.path, engine=FakeEngine()) as sam:
        found = judge(sam, pages(sam, samples))
    assert found.masks
    assert {mask.kind for mask in found.masks} >= {"box", "point", "logits"}
    assert all(mask.iou == 1.0 for mask in found.masks)
    assert {picture.modality for picture in found.pictures} == {"ct", "mri", "unknown"}
    assert all(picture.picture == picture.sha256 for picture in found.pictures)


def test_another_model_does_not(bundle: Bundle, samples: Sequence[Sample]) -> None:
    with (
        edgesam.load(bundle.path, engine=FakeEngine()) as sam,
        edgesam.load(bundle.path, engine=Shrinking()) as other,
    ):
        found = judge(other, list(pages(sam, samples)))
    assert LOW_PRECISION.apart(found)
    assert {mask.kind for mask in found.masks if mask.iou < 0.99} >= {"box", "point"}


def test_the_report_is_bound_to_graphs_and_names_nobody(
    bundle: Bundle, samples: Sequence[Sample]
) -> None:
    variant = bundle.variants["fp32"]
    with edgesam.load(bundle.path, engine=FakeEngine()) as sam:
        verdict = measure(sam, sam, variant, samples)
    report = verdict.report
    assert verdict.failures == []
    assert report["graphs"] == report["reference"]["graphs"] == variant.graphs
    assert set(report["pictures"]["sha256"]) <= {s.key for s in samples}
    assert report["too_few"] == verdict.too_few
    assert any("too few modalities: 3 < 4" in line for line in verdict.too_few)
    assert {"versions", "processor", "instruction_sets", "engine"} <= set(report)
    assert "smith" not in str(report)
    assert "SECRET" not in str(report)
    assert "against fp32 of the same bundle" in verdict.table


def test_a_failing_figure_is_not_a_lack_of_pictures(
    bundle: Bundle, samples: Sequence[Sample]
) -> None:
    few = Gate(embedding_error=1.0, worst=0.0, tiny_pixels=1 << 20)
    with (
        edgesam.load(bundle.path, engine=FakeEngine()) as sam,
        edgesam.load(bundle.path, engine=Shrinking()) as other,
    ):
        verdict = measure(sam, other, bundle.variants["fp32"], samples, gate=few)
    assert not verdict.too_few
    assert any("mean" in line for line in verdict.failures)
