"""From references on random weights to a verdict, with a model that answers what it is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgesam
from edgesam.errors import ParityError
from edgesam_bench import vit_parity
from edgesam_bench.aspects import one_of_each_aspect
from edgesam_bench.cases import Case
from edgesam_bench.exported import exported
from edgesam_bench.pictures import Picture, read_manifest
from edgesam_bench.random_weights import VIT_RECIPES
from edgesam_bench.reference import Answer, Reference, ReferencePicture, write_answers

SHA256 = "ab" * 32
SIZES = {"square": (40, 40), "wide": (64, 50), "long": (60, 30)}
EMBEDDING = np.random.default_rng(0).normal(size=(1, 256, 64, 64)).astype(np.float32)
LOGITS = np.random.default_rng(1).normal(size=(4, 256, 256)).astype(np.float32)
SCORES = np.arange(4, dtype=np.float32)

Main = Callable[..., int]


def masks_of(height: int, width: int) -> NDArray[np.bool_]:
    masks = np.zeros((4, height, width), bool)
    masks[:, 5:25, 3:20] = True
    return masks


class Echo:
    """Answers what the references have, off by a share of it."""

    engine = "echo:cpu"

    def __init__(self, embedding: float = 0.0, logits: float = 0.0) -> None:
        self.embedding, self.logits = embedding, logits

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def embed(self, pixels: NDArray[np.uint8]) -> Any:
        array = EMBEDDING * np.float32(1 + self.embedding)
        return SimpleNamespace(array=array, size=pixels.shape[:2])

    def segment(self, embedding: Any, prompt: edgesam.Prompt, multimask: bool = False) -> Any:
        logits = LOGITS * np.float32(1 + self.logits)
        four = tuple(
            edgesam.Mask(mask, float(score), low)
            for mask, score, low in zip(masks_of(*embedding.size), SCORES, logits, strict=True)
        )
        return four[1:] if multimask else four[0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A manifest of three pictures."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["image,mask,modality,subset,labels"]
    for name, (width, height) in SIZES.items():
        Image.new("L", (width, height), 7).save(folder / f"{name}.png")
        rows.append(f"{name}.png,{name}.png,ct,made,instances")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_reference(folder: Path, pictures: list[Picture], sha256: str = SHA256) -> None:
    folder.mkdir()
    seen, cases = [], []
    for picture in pictures:
        height, width = picture.pixels().shape[:2]
        digest = hashlib.sha256(picture.image.read_bytes()).hexdigest()
        seen.append(
            ReferencePicture(
                picture.name, picture.image.name, digest, "ct", "made", height, width, quick=False
            )
        )
        cases.append(Case(f"{picture.name}/0/box", picture.name, "box", box=(3, 5, 19, 24)))
        write_answers(
            folder, picture.name, EMBEDDING, [Answer(LOGITS, SCORES, masks_of(height, width))]
        )
    Reference(folder, "sam-vit-b", "invented", sha256, {"torch": "0"}, seen, cases).write()
    (folder / "checkpoint.pth").touch()


@pytest.fixture
def run(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """The command on references of both recipes; each checkpoint's bundle is its own path."""
    references = tmp_path / "references"
    references.mkdir()
    for recipe in VIT_RECIPES:
        pictures = one_of_each_aspect(read_manifest(data))
        write_reference(references / f"sam-vit-b-{recipe}", pictures)

    @contextmanager
    def as_it_is(checkpoint: Path, profile: str) -> Iterator[Path]:
        assert profile == "sam"
        yield checkpoint

    def main(*more: str, sam: Callable[[Path], Echo] = lambda _: Echo()) -> int:
        monkeypatch.setattr(edgesam, "load", lambda bundle, **_: sam(bundle))
        model = ["--model", "sam-vit-b", "--data", str(data)]
        return vit_parity.main([*model, "--references", str(references), *more])

    manifest = SimpleNamespace(checkpoint_sha256=SHA256)
    monkeypatch.setattr(vit_parity, "exported", as_it_is)
    monkeypatch.setattr(vit_parity, "open_bundle", lambda _: SimpleNamespace(manifest=manifest))
    return main


def test_what_agrees_holds(run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    out.write_text('{"schema": 1, "models": {"sam-vit-l": {"kept": true}}}')
    assert run("--out", str(out), sam=lambda _: Echo(5e-5, 5e-5)) == 0
    assert "limits: hold" in capsys.readouterr().out
    models = json.loads(out.read_text())["models"]
    assert models["sam-vit-l"] == {"kept": True}
    told = models["sam-vit-b"]["recipes"]
    assert set(told) == set(vit_parity.LIMITS)
    for of_recipe in told.values():
        assert of_recipe["embedding_error"]["n"] == of_recipe["logits_error"]["n"] == 3
        assert of_recipe["logits_error"]["worst"] == pytest.approx(5e-5, rel=0.01)
        assert of_recipe["mask_iou"]["worst"] == 1.0


@pytest.mark.parametrize("off", [{"embedding": 1e-3}, {"logits": 1e-3}, {"logits": float("nan")}])
def test_each_recipe_has_its_limit(
    off: dict[str, float], run: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sam=lambda _: Echo(**off)) == 3
    broken = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    (what,) = off
    expected = ["gentle"] if off[what] == 1e-3 else ["peaked", "gentle"]
    assert [line.split()[1].rstrip(":") for line in broken] == expected
    assert all(what in line for line in broken)


@pytest.mark.parametrize(("change", "code"), [(0.9, 0), (0.3, 3)])
def test_a_control_has_to_show(change: float, code: int, run: Main, tmp_path: Path) -> None:
    (tmp_path / "references" / "sam-vit-b-peaked" / "control-no-rel-pos.pth").touch()
    out = tmp_path / "out.json"
    found = run(
        *("--out", str(out), "--control", "no-rel-pos"),
        sam=lambda bundle: Echo(embedding=change if "control" in bundle.name else 0.0),
    )
    assert found == code
    report = json.loads(out.read_text())["models"]["sam-vit-b"]
    assert report["controls"]["change"] == {"peaked no-rel-pos": change}
    assert len(report["failures"]) == (code != 0)


def test_answers_to_other_weights_are_refused(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(manifest=SimpleNamespace(checkpoint_sha256="0" * 64))
    monkeypatch.setattr(vit_parity, "open_bundle", lambda _: other)
    assert run() == 1
    assert "holds answers to another checkpoint" in capsys.readouterr().err


def test_another_picture_is_refused(
    run: Main, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", SIZES["wide"], 8).save(data / "wide.png")
    assert run() == 1
    assert "is not the picture that the reference saw" in capsys.readouterr().err


def test_without_references_it_says_so(
    run: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--references", str(tmp_path)) == 1
    assert "bench/reference/README.md" in capsys.readouterr().err


def test_a_failed_export_gives_its_reason(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pth"
    checkpoint.write_bytes(b"no checkpoint")
    with (
        pytest.raises(ParityError, match=r"no bundle to measure: .*checkpoint\.pth is not a"),
        exported(checkpoint, "sam"),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir() if file != tmp_path / "edgesam-home"] == [
        "checkpoint.pth"
    ]
