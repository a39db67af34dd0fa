"""A variant enters a bundle with its passport, or leaves it as it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import BundleError
from edgesam.bundle import Bundle, open_bundle
from edgesam.digest import sha256_of
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.image import Image
from edgesam.manifest import BundleFile
from edgesam_bench.gate import Gate
from edgesam_bench.variants.gallery import Sample
from edgesam_export.measured import Candidate, measured

Noise = Callable[..., NDArray[np.uint8]]
LOW = Gate(embedding_error=1.0, mean=0.98, p5=0.93, worst=0.0, tiny_pixels=1 << 20)


class Rough(FakeEngine):
    """Paints int8 masks a rim thinner than fp32's."""

    name = "rough"

    def open(
        self, graphs: Graphs, *, precision: str, device: str, threads: int | None
    ) -> FakeSession:
        self.opened = graphs
        return RoughSession() if precision == "int8" else FakeSession()


class RoughSession(FakeSession):
    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = super().decode(side, prompts, tokens)
        moved = [np.roll(logits, step, axis) for axis in (2, 3) for step in (-4, 4)]
        return np.minimum(logits, np.minimum.reduce(moved)), iou


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def candidate(bundle: Bundle, tmp_path: Path) -> Candidate:
    path = tmp_path / "image_encoder.int8.onnx"
    path.write_bytes(b"eight bits")
    sha256 = sha256_of(path)
    file = BundleFile(f"image_encoder.int8.{sha256[:8]}.onnx", sha256, path.stat().st_size)
    variant = replace(bundle.variants["fp32"], image_encoder=file, passport=None)
    return Candidate("int8", variant, {file.file: path})


@pytest.fixture
def samples(noise: Noise) -> list[Sample]:
    def sample(number: int) -> Sample:
        key = hashlib.sha256(bytes([number])).hexdigest()
        pixels = noise(90, 100, seed=number)
        return Sample(key, key, "ct", lambda: Image.from_array(pixels))

    return [sample(number) for number in range(3)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_holds_enters_with_its_passport(
    bundle: Bundle, candidate: Candidate, samples: list[Sample]
) -> None:
    about = {"recipe": "how"}
    found, verdict = measured(
        bundle, candidate, samples, gate=LOW, engine=FakeEngine(), about=about
    )
    assert not verdict.failures
    opened = open_bundle(bundle.path)
    assert opened == found
    assert list(opened.variants) == ["fp32", "int8"]
    int8 = opened.variants["int8"]
    report = opened.passport(int8)
    assert report is not None
    assert report["graphs"] == int8.graphs
    assert report["graphs"]["image_encoder"] == candidate.variant.image_encoder.sha256
    assert report["reference"]["graphs"] == bundle.variants["fp32"].graphs
    assert report["pictures"]["sha256"] == [s.key for s in samples]
    assert report["recipe"] == "how"
    with edgesam.load(bundle.path, engine=FakeEngine(), variant="int8", require_passport=True):
        pass


def test_what_fails_leaves_the_bundle_as_it_was(
    bundle: Bundle, candidate: Candidate, samples: list[Sample]
) -> None:
    before = contents(bundle.path)
    engine = Rough()
    found, verdict = measured(bundle, candidate, samples, gate=LOW, engine=engine)
    assert verdict.failures
    assert found == bundle
    assert contents(bundle.path) == before
    assert verdict.report["mask_iou"]["mean"] < 0.98


def test_both_run_on_the_graphs_that_are_named(
    bundle: Bundle, candidate: Candidate, samples: list[Sample]
) -> None:
    engine = Rough()
    measured(bundle, candidate, samples, gate=LOW, engine=engine)
    assert sha256_of(engine.opened.image_encoder) == candidate.variant.image_encoder.sha256
    assert engine.opened.mask_decoder.parent == bundle.path


def test_of_too_few_pictures_a_passport_vouches_for_nothing(
    bundle: Bundle, candidate: Candidate, samples: list[Sample]
) -> None:
    gate = replace(LOW, pictures=30)
    found, verdict = measured(bundle, candidate, samples, gate=gate, engine=FakeEngine())
    assert not verdict.failures
    int8 = found.variants["int8"]
    assert int8.passport is not None
    report = json.loads((found.path / int8.passport.file).read_text("utf-8"))
    assert report["too_few"] == ["too few pictures: 3 < 30"]
    assert found.passport(int8) is None
    with pytest.raises(BundleError, match="passport was required"):
        edgesam.load(found.path, engine=FakeEngine(), variant="int8", require_passport=True)


def test_nothing_to_compare_is_a_failure(
    bundle: Bundle, candidate: Candidate, tmp_path: Path
) -> None:
    before = contents(bundle.path)
    _, verdict = measured(bundle, candidate, [], gate=LOW, engine=FakeEngine())
    assert "nothing was compared" in verdict.failures[0]
    assert verdict.table == ""
    assert contents(bundle.path) == before
