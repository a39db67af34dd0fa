"""From a reference folder to a verdict, with a model that answers what it is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgesam
from edgesam.manifest import ROLES, BundleFile, Variant
from edgesam_bench import parity
from edgesam_bench.cases import Case
from edgesam_bench.comparison import compare
from edgesam_bench.reference import (
    Answer,
    Reference,
    ReferencePicture,
    read_reference,
    write_answers,
)

HEIGHT, WIDTH = 40, 51
SHA256 = "ab" * 32

CASES = [
    Case("a/0/box", "a", "box", box=(1, 2, 30, 31)),
    Case("a/0/points", "a", "points", points=((3, 4), (9, 9)), labels=(1, 0)),
    Case("a/0/box+logits", "a", "box+logits", box=(1, 2, 30, 31), mask_input="a/0/box"),
    Case("b/0/box", "b", "box", box=(0, 0, 5, 5)),
]


def answer(seed: int) -> Answer:
    random = np.random.default_rng(seed)
    masks = np.zeros((4, HEIGHT, WIDTH), bool)
    masks[0, 5:25, 7:33] = masks[1, 2:39] = True
    masks[2, 3:6, 3:6] = True  # tiny; the last one stays empty
    return Answer(
        logits=random.normal(size=(4, 256, 256)).astype(np.float32),
        scores=random.random(4).astype(np.float32),
        masks=masks,
    )


ANSWERS = {case.name: answer(seed) for seed, case in enumerate(CASES)}
EMBEDDING = np.random.default_rng(0).normal(size=(1, 256, 64, 64)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reference of two pictures, and the pictures below ``data``."""
    (tmp_path / "data").mkdir()
    pictures = []
    for name, quick in (("a", True), ("b", False)):
        file = tmp_path / "data" / f"{name}.png"
        Image.new("L", (WIDTH, HEIGHT), ord(name)).save(file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        modality = "ct" if quick else "mri"
        pictures.append(
            ReferencePicture(name, file.name, sha256, modality, "s", HEIGHT, WIDTH, quick)
        )
        answers = [ANSWERS[case.name] for case in CASES if case.picture == name]
        write_answers(tmp_path, name, EMBEDDING, answers)
    Reference(
        folder=tmp_path,
        model="mobile-sam",
        recipe="invented",
        checkpoint_sha256=SHA256,
        versions={"torch": "0"},
        pictures=pictures,
        cases=CASES,
    ).write()
    return tmp_path


class Parrot:
    """Answers what the reference has, after an optional change."""

    engine = "parrot:cpu"
    variant = "fp32"

    def __init__(self, worse: bool = False) -> None:
        self.worse = worse
        self.prompts: list[edgesam.Prompt] = []

    def __enter__(self) -> Parrot:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def embed(self, image: edgesam.Image) -> Any:
        grey = image.to_rgb8()[0][0, 0, 0]
        return SimpleNamespace(array=EMBEDDING, picture=chr(grey))

    def segment(self, embedding: Any, prompt: edgesam.Prompt, multimask: bool = False) -> Any:
        self.prompts.append(prompt)
        (name,) = (
            case.name
            for case in CASES
            if case.picture == embedding.picture
            and bool(case.points) == (prompt.point_coords is not None)
            and (case.mask_input is not None) == (prompt.mask_input is not None)
        )
        found = ANSWERS[name]
        masks = found.masks.copy()
        if self.worse:
            masks[0, 5] = False
        four = tuple(
            edgesam.Mask(array, float(score), logits)
            for array, score, logits in zip(masks, found.scores, found.logits, strict=True)
        )
        return four[1:] if multimask else four[0]


def use(monkeypatch: pytest.MonkeyPatch, sam: Parrot, sha256: str = SHA256) -> None:
    graphs = {role: BundleFile(role, role[-1:] * 64, 1) for role in ROLES}
    bundle = SimpleNamespace(
        path=Path("bundle"),
        manifest=SimpleNamespace(checkpoint_sha256=sha256),
        variant=lambda _: ("fp32", Variant(**graphs, weights=None, passport=None)),
    )
    monkeypatch.setattr(parity, "find_bundle", lambda _: bundle)
    monkeypatch.setattr(edgesam, "load", lambda *_, **__: sam)


def arguments(folder: Path, *more: str) -> Sequence[str]:
    return [
        *("--model", "mobile-sam", "--reference", str(folder), "--data", str(folder / "data")),
        *more,
    ]


def test_a_reference_is_read_as_it_was_written(folder: Path) -> None:
    reference = read_reference(folder)
    assert list(reference.cases) == CASES
    answers = reference.answers(reference.pictures[0])
    for case, found in answers:
        assert np.array_equal(found.masks, ANSWERS[case.name].masks)
        assert np.array_equal(found.logits, ANSWERS[case.name].logits)
        assert np.array_equal(found.scores, ANSWERS[case.name].scores)
    assert np.array_equal(answers.embedding, EMBEDDING)


def test_logits_are_fed_back_from_the_reference(folder: Path) -> None:
    sam = Parrot()
    compare(sam, read_reference(folder), folder / "data")  # type: ignore[arg-type]
    fed = [p.mask_input for p in sam.prompts if p.mask_input is not None]
    assert len(fed) == 2
    assert np.array_equal(fed[0], ANSWERS["a/0/box"].logits[0])


def test_agreement_holds_and_gives_a_passport(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Parrot())
    out, passport = folder / "out.json", folder / "passport.json"
    assert parity.main(arguments(folder, "--out", str(out), "--passport", str(passport))) == 0
    report = json.loads(passport.read_text("utf-8"))
    assert report["graphs"] == {role: role[-1:] * 64 for role in ROLES}
    assert report["mask_iou"] == {"n": 8, "mean": 1.0, "p5": 1.0, "worst": 1.0}
    assert report["by_output"]["single"]["n"] == report["by_output"]["multimask"]["n"] == 4
    assert {k: v["n"] for k, v in report["by_prompt"].items()} == {
        "box": 4,
        "points": 2,
        "box+logits": 2,
    }
    assert {k: v["n"] for k, v in report["by_modality"].items()} == {"ct": 6, "mri": 2}
    assert report["tiny"]["n"] == 4
    assert report["empty"] == {"n": 4, "agreed": 4}
    assert report["pictures"]["n"] == len(report["pictures"]["sha256"]) == 2
    assert report["engine"] == "parrot:cpu"
    assert {**report, "quick": False, "failures": []} == json.loads(out.read_text("utf-8"))
    assert "gate: holds" in capsys.readouterr().out


def test_disagreement_fails_and_gives_no_passport(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Parrot(worse=True))
    out, passport = folder / "out.json", folder / "passport.json"
    assert parity.main(arguments(folder, "--out", str(out), "--passport", str(passport))) == 3
    assert not passport.exists()
    assert json.loads(out.read_text("utf-8"))["failures"]
    assert "gate: failed" in capsys.readouterr().out


def test_quick_takes_the_quick_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Parrot())
    out = folder / "out.json"
    assert parity.main(arguments(folder, "--quick", "--out", str(out))) == 0
    assert json.loads(out.read_text("utf-8"))["pictures"]["n"] == 1


def test_pictures_that_a_recipe_was_learned_from_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Parrot())
    all_of_them = read_reference(folder).pictures
    recipe, out = folder / "recipe.json", folder / "out.json"
    recipe.write_text(json.dumps({"images": [all_of_them[0].sha256]}))
    held_out = ("--held-out", str(recipe))
    assert parity.main(arguments(folder, *held_out, "--out", str(out))) == 0
    found = json.loads(out.read_text("utf-8"))["pictures"]["sha256"]
    assert found == [picture.sha256 for picture in all_of_them[1:]]
    recipe.write_text("{}")
    assert parity.main(arguments(folder, *held_out)) == 1
    assert "does not say what it was learned from" in capsys.readouterr().err


def test_a_quick_passport_is_refused(folder: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        parity.main(arguments(folder, "--quick", "--passport", "p.json"))
    assert stopped.value.code == 2


def test_a_folder_to_write_to_is_looked_for_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sam = Parrot()
    use(monkeypatch, sam)
    assert parity.main(arguments(folder, "--out", str(folder / "no" / "out.json"))) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert sam.prompts == []


def test_other_weights_are_not_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Parrot(), sha256="cd" * 32)
    assert parity.main(arguments(folder)) == 1
    assert "cannot be compared" in capsys.readouterr().err


def test_another_picture_is_not_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Parrot())
    Image.new("L", (WIDTH, HEIGHT), 1).save(folder / "data" / "a.png")
    assert parity.main(arguments(folder)) == 1
    assert "not the picture the reference saw" in capsys.readouterr().err
    (folder / "data" / "a.png").unlink()
    assert parity.main(arguments(folder)) == 1
    assert "is missing" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "{", '{"schema": 2}', '{"schema": 1}'])
def test_a_folder_without_a_reference_is_said_to_be_one(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "reference.json").write_text(text, "utf-8")
    assert parity.main(arguments(tmp_path)) == 1
    error = capsys.readouterr().err
    assert "holds no reference" in error
    assert error.count("\n") == 1
