"""edgesam with real weights against stored answers of the official code: no PyTorch needed."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import edgesam
from edgesam.engines import ENGINES
from edgesam.home import home
from edgesam.models import MODELS
from edgesam_bench import passports
from edgesam_bench.comparison import Comparison, MaskResult, PictureResult, line_up
from edgesam_bench.figures import relative_l2
from edgesam_bench.gate import Gate
from edgesam_bench.golden import (
    Golden,
    describe,
    fed_back,
    read_golden,
    sampled,
)

FOLDER = Path(__file__).parent.parent / "golden"
PULLED = home()  # read before any test gets a home of its own
FILES = sorted(FOLDER.glob("official_*.npz"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read_golden(request.param)


def test_there_is_one_for_every_model_with_a_passport() -> None:
    shipped = {entry.name for entry in resources.files(passports).iterdir()}
    models = [read_golden(file).model for file in FILES]
    of_fp32 = {name for name in shipped if name.endswith(".fp32.json")}
    assert {f"{model}.fp32.json" for model in models} == of_fp32
    assert len(models) == len(set(models)) >= 2


def test_it_was_made_with_the_official_weights(golden: Golden) -> None:
    assert golden.checkpoint_sha256 == MODELS[golden.model].sha256


def test_its_pictures_are_drawn_here_byte_for_byte(golden: Golden) -> None:
    nothing = np.zeros(1, np.float32)
    for name, picture in golden.pictures.items():
        assert describe(golden.pixels(name), nothing).sha256 == picture.sha256, name


def test_its_masks_are_worth_comparing(golden: Golden) -> None:
    for case, answer in zip(golden.cases, golden.answers, strict=True):
        assert answer.masks.shape == (4, *golden.pixels(case.picture).shape[:2])
    single = [answer.masks[0].mean() for answer in golden.answers]
    assert sum(0.005 < share < 0.95 for share in single) >= 0.8 * len(single)


@pytest.mark.weights
@pytest.mark.parametrize("engine", ENGINES)
def test_edgesam_agrees(golden: Golden, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if (reason := ENGINES[engine].available()) is not None:
        pytest.skip(f"{engine} {reason}")
    monkeypatch.setenv("EDGESAM_HOME", str(PULLED))
    try:
        # The export of the official checkpoint is covered by the passport that ships.
        sam = edgesam.load(golden.model, engine=engine, require_passport=True)
    except edgesam.ModelNotFound as error:
        if os.environ.get("EDGESAM_TESTS_NEED_WEIGHTS"):
            raise
        pytest.skip(str(error))
    pictures: list[PictureResult] = []
    masks: list[MaskResult] = []
    assert sam.engine.startswith(f"{engine}:")
    with sam:
        for name, expected in golden.pictures.items():
            pixels = golden.pixels(name)
            embedding = sam.embed(pixels)
            found = describe(pixels, embedding.array)
            error = relative_l2(expected.samples, found.samples)
            pictures.append(PictureResult(name, "golden", expected.sha256, error))
            assert found.norm == pytest.approx(expected.norm, rel=1e-5)
            for case, answer in zip(golden.cases, golden.answers, strict=True):
                if case.picture != name:
                    continue
                prompt = edgesam.Prompt(**case.prompt(fed_back(case)))
                four = [
                    sam.segment(embedding, prompt),
                    *sam.segment(embedding, prompt, multimask=True),
                ]
                masks += line_up(
                    case, "golden", answer, [replace(m, logits=sampled(m.logits)) for m in four]
                )
    assert Gate().failures(Comparison(pictures, masks)) == []
    assert max(mask.score_error for mask in masks) < 1e-4
    assert max(mask.logits_error for mask in masks) < 1e-2
