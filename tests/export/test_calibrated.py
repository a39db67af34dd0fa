"""From a checkpoint and a folder of pictures to a measured variant, on a network of 128 pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
from edgesam import ExportError
from edgesam.bundle import open_bundle
from edgesam.commands import GATE, OK, USAGE, main
from edgesam.digest import sha256_of
from edgesam_bench.gate import Gate
from edgesam_bench.random_weights import PEAKED, random_state_dict
from edgesam_export.calibrated import export_calibrated, read_recipe
from edgesam_export.quantization import calibration, order

pytest.importorskip("onnxruntime")

StateDict = dict[str, NDArray[Any]]
Save = Callable[[Path, Mapping[str, NDArray[Any]]], Path]
ANYTHING = Gate(embedding_error=9.0, mean=-1.0, p5=-1.0, worst=0.0, tiny_pixels=1 << 20)
NOTHING = Gate(embedding_error=9.0, mean=1.1, p5=1.1, worst=0.0, tiny_pixels=1 << 20)


@pytest.fixture(scope="module", autouse=True)
def few_products() -> Iterator[None]:
    """Only the largest are tried: a search of three steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "LEAST_WORK", 0.08)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, save_safetensors: Save) -> Path:
    path = Path(__file__).parent.parent / "golden" / "shapes.json"
    shapes = {k: tuple(s) for k, s in json.loads(path.read_text("utf-8"))["sam-vit-test"].items()}
    weights = random_state_dict(shapes, seed=1, recipe=PEAKED)
    return save_safetensors(tmp_path_factory.mktemp("ck") / "small.safetensors", weights)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for modality in ("ct", "mri"):
        (folder / modality).mkdir()
        for number in range(4):
            random = np.random.default_rng(number + 10 * len(modality))
            coarse = random.integers(0, 256, (8, 8), np.uint8)
            drawn = Pillow.fromarray(coarse).resize((90, 80), Pillow.Resampling.BICUBIC)
            drawn.save(folder / modality / f"{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, pictures: Path) -> Any:
    """What came of an export whose gate let everything through; not to be changed."""
    return export(checkpoint, tmp_path_factory.mktemp("held") / "b", pictures)


def export(checkpoint: Path, out: Path, pictures: Path, **more: Any) -> Any:
    options = {"variants": ["int8"], "profile": "sam", "gate": ANYTHING, **more}
    return export_calibrated(checkpoint, out, pictures, **options)


def test_a_variant_that_holds(held: Any) -> None:
    found = held
    bundle = open_bundle(found.bundle.path)
    assert bundle == found.bundle
    int8 = bundle.variants["int8"]
    report = json.loads((bundle.path / int8.passport.file).read_text("utf-8"))  # type: ignore[union-attr]
    assert report["graphs"] == int8.graphs
    assert report["graphs"]["image_encoder"] == sha256_of(bundle.path / int8.image_encoder.file)
    assert report["graphs"]["image_encoder"] != bundle.variants["fp32"].image_encoder.sha256
    assert report["reference"]["graphs"] == bundle.variants["fp32"].graphs
    assert report["engine"].startswith("onnxruntime:cpu")
    assert {"onnxruntime", "python"} <= set(report["versions"])
    assert found.learned is not None
    assert found.learned.recipe is not None
    assert "| nodes in int8 |" in found.learned.table
    assert any("notes.txt" in line for line in found.gallery.faults)
    with edgesam.load(bundle.path, variant="int8") as sam:
        assert sam.variant == "int8"


def test_what_taught_does_not_judge(held: Any, pictures: Path) -> None:
    report = held.verdicts["int8"].report
    judging, taught = report["pictures"]["sha256"], report["recipe"]["images"]
    assert judging
    assert taught
    assert not set(judging) & set(taught)
    files = {sha256_of(path) for path in pictures.rglob("*.png")}
    assert set(judging) | set(taught) <= files


def test_a_variant_that_fails_is_left_out(
    checkpoint: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search finds a set, the held-out pictures refuse it."""
    monkeypatch.setattr(calibration, "stricter", lambda _: ANYTHING)
    found = export(checkpoint, tmp_path / "b", pictures, gate=NOTHING)
    assert found.learned.recipe is not None
    assert any("mean" in line for line in found.verdicts["int8"].failures)
    plain = edgesam_export_fp32(checkpoint, tmp_path / "plain")
    assert contents(tmp_path / "b") == contents(plain), "fp32 is whole, and nothing else is there"


def edgesam_export_fp32(checkpoint: Path, out: Path) -> Path:
    from edgesam_export import export_bundle

    return export_bundle(checkpoint, out, profile="sam", variants=["fp32"]).path


def test_the_recipe_in_the_passport_makes_the_same_bytes(
    held: Any, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    one = held.bundle
    passport = one.path / one.variants["int8"].passport.file
    two = export(checkpoint, tmp_path / "two", pictures, recipe=passport)
    assert two.learned is None
    assert two.bundle.variants["int8"].image_encoder == one.variants["int8"].image_encoder
    recipe = read_recipe(passport)
    judging = two.verdicts["int8"].report["pictures"]["sha256"]
    assert judging
    assert not set(judging) & set(recipe.images)
    plain = tmp_path / "recipe.json"
    plain.write_text(recipe.to_json(), "utf-8")
    assert read_recipe(plain) == recipe
    line = ["export", str(checkpoint), "-o", str(tmp_path / "three"), "--profile", "sam"]
    assert main([*line, "--variant", "int8", "--recipe", str(plain)]) == OK
    three = open_bundle(tmp_path / "three").variants["int8"]
    assert three.image_encoder == one.variants["int8"].image_encoder
    assert three.passport is None


def test_a_recipe_of_another_checkpoint(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text('{"schema": 1, "checkpoint": "00", "images": [], "nodes": {}}')
    with pytest.raises(ExportError, match="another checkpoint"):
        export(checkpoint, tmp_path / "b", pictures, recipe=file)


def test_learning_twice_gives_the_same(
    held: Any, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    again = export(checkpoint, tmp_path / "again", pictures)
    assert again.learned.recipe == held.learned.recipe


def test_too_few_to_learn_from(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(next(pictures.rglob("*.png")), one)
    with pytest.raises(ExportError, match="too few pictures to calibrate"):
        export(checkpoint, tmp_path / "b", one)
    assert list(open_bundle(tmp_path / "b").variants) == ["fp32"]


def test_fp16_is_measured_on_all_pictures(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    found = export(checkpoint, tmp_path / "b", pictures, variants=["fp16"])
    assert list(found.verdicts) == ["fp16"]
    assert found.learned is None
    bundle = open_bundle(tmp_path / "b")
    fp32, fp16 = bundle.variants.values()
    assert fp16.image_encoder.size < 0.6 * fp32.image_encoder.size
    assert fp16.passport is not None
    report = json.loads((bundle.path / fp16.passport.file).read_text("utf-8"))
    assert report["graphs"] == fp16.graphs
    assert report["engine"].endswith(", products of float16 in float32")
    # None of them selects; one in which fp32 finds nothing says nothing.
    keys = {sample.key for sample in found.gallery.samples}
    assert set(report["pictures"]["sha256"]) <= keys
    assert report["pictures"]["n"] > 0.75 * len(keys)
    with edgesam.load(bundle.path, engine="onnxruntime", variant="fp16") as sam:
        assert sam.variant == "fp16"


def test_fp16_that_fails_is_left_out(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    found = export(checkpoint, tmp_path / "b", pictures, variants=["fp16"], gate=NOTHING)
    assert found.verdicts["fp16"].failures
    assert list(open_bundle(tmp_path / "b").variants) == ["fp32"]
    assert not list((tmp_path / "b").glob("*.fp16.*"))


class TestCommand:
    def line(self, checkpoint: Path, out: Path, *more: str) -> list[str]:
        return ["export", str(checkpoint), "-o", str(out), "--profile", "sam", *more]

    def test_exit_code_3(
        self,
        checkpoint: Path,
        pictures: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        defaults = {**export_calibrated.__kwdefaults__, "gate": NOTHING}
        monkeypatch.setattr(export_calibrated, "__kwdefaults__", defaults)
        out = tmp_path / "b"
        more = ("--variant", "int8", "--calibration", str(pictures))
        assert main(self.line(checkpoint, out, *more)) == GATE
        said = capsys.readouterr()
        assert "| nodes in int8 |" in said.out
        (line,) = [x for x in said.err.splitlines() if x.startswith("edgesam: int8")]
        assert "fails the gate and is left out: no set of layers" in line
        assert list(open_bundle(out).variants) == ["fp32"]

    def test_json(
        self,
        checkpoint: Path,
        pictures: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        defaults = {**export_calibrated.__kwdefaults__, "gate": ANYTHING}
        monkeypatch.setattr(export_calibrated, "__kwdefaults__", defaults)
        more = ("--variant", "int8", "--calibration", str(pictures), "--json")
        assert main(self.line(checkpoint, tmp_path / "b", *more)) == OK
        told = json.loads(capsys.readouterr().out)
        assert told["variants"] == ["fp32", "int8"]
        assert told["measured"]["int8"]["failures"] == []
        assert told["measured"]["int8"]["report"]["mask_iou"]["n"] > 0
        assert told["tried"]
        assert len(told["unreadable"]) == 1

    @pytest.mark.parametrize("option", ["--calibration", "--recipe"])
    def test_without_a_variant(self, checkpoint: Path, tmp_path: Path, option: str) -> None:
        assert main(self.line(checkpoint, tmp_path / "b", option, "x")) == USAGE
        assert not (tmp_path / "b").exists()
