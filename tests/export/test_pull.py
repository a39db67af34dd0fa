"""``edgesam pull`` and ``edgesam export``: what is fetched, what is written, what is left alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgesam_export
from edgesam.bundle import Bundle, open_bundle, write_bundle
from edgesam.checkpoint_store import checkpoint_path
from edgesam.commands import main
from edgesam.digest import sha256_of
from edgesam.errors import ExportError
from edgesam.home import bundle_path
from edgesam.manifest import BundleFile, Manifest, Variant
from edgesam.models import MODELS, SAM, ModelSpec
from edgesam_export import BUILDER
from edgesam_export.commands import pull

Capture = pytest.CaptureFixture[str]
BODY = b"weights"

TINY = ModelSpec(
    name="tiny",
    architecture="tiny-vit",
    image_size=1024,
    profile=SAM,
    filename="tiny.pth",
    sha256=hashlib.sha256(BODY).hexdigest(),
    size=len(BODY),
    parameters=1,
    sources=(),
    licence="CC-BY-4.0",
    origin="the authors of Tiny",
)


class Exporter:
    """In the exporter's place: writes a small real bundle and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: ExportError | None = None
        self.builder = BUILDER

    def __call__(
        self,
        checkpoint: Path,
        out: Path,
        *,
        model: str | None = None,
        arch: str | None = None,
        profile: str | None = None,
        variants: list[str] | None = None,
        recipe: Any = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Bundle:
        self.asked.append({"model": model, "arch": arch, "profile": profile, "variants": variants})
        progress("writing graphs")
        if self.error is not None:
            raise self.error
        graph = out.with_name("graph.tmp")
        graph.write_bytes(checkpoint.read_bytes() * len(self.asked))
        entry = BundleFile("graph.onnx", sha256_of(graph), graph.stat().st_size)
        manifest = Manifest(
            model=model or checkpoint.name,
            architecture="tiny-vit",
            image_size=1024,
            grid=64,
            profile=SAM,
            profile_assumed=False,
            checkpoint_sha256=sha256_of(checkpoint),
            licence="CC-BY-4.0",
            builder=self.builder,
            working_memory=0,
            variants={"fp32": Variant(entry, entry, entry, None, None)},
        )
        return write_bundle(out, manifest, {"graph.onnx": graph})


@pytest.fixture(autouse=True)
def exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exporter:
    fake = Exporter()
    monkeypatch.setenv("EDGESAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGESAM_OFFLINE", "1")
    monkeypatch.setattr(edgesam_export, "export_bundle", fake)
    monkeypatch.setitem(MODELS, "tiny", TINY)
    return fake


@pytest.fixture
def checkpoint(exporter: Exporter) -> Path:
    """In the store."""
    path = checkpoint_path(TINY)
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    return path


class TestPull:
    def test_makes_the_model_ready(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        assert main(["pull", "tiny"]) == 0
        shown = capsys.readouterr()
        assert "CC-BY-4.0" in shown.out
        assert "the authors of Tiny" in shown.out
        assert f"ready: {bundle_path('tiny')}" in shown.out
        assert "writing graphs" in shown.err
        assert open_bundle(bundle_path("tiny")).manifest.model == "tiny"
        assert exporter.asked == [
            {"model": "tiny", "arch": None, "profile": None, "variants": None}
        ]

    def test_what_is_there_and_whole_is_not_done_again(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        checkpoint.unlink()
        assert main(["pull", "tiny"]) == 0
        assert "already there" in capsys.readouterr().out
        assert len(exporter.asked) == 1

    def test_force_writes_it_anew(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        assert main(["pull", "tiny", "--force"]) == 0
        assert len(exporter.asked) == 2
        assert "already there" not in capsys.readouterr().out

    @pytest.mark.parametrize("file", ["manifest.json", "graph.onnx"])
    def test_a_damaged_bundle_is_written_anew_and_that_is_said(
        self, file: str, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        (bundle_path("tiny") / file).write_bytes(b"damaged")
        assert main(["pull", "tiny"]) == 0
        assert len(exporter.asked) == 2
        assert "written anew" in capsys.readouterr().err
        assert main(["pull", "tiny"]) == 0
        assert len(exporter.asked) == 2

    def test_a_bundle_of_another_version_is_written_anew(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        exporter.builder = "edgesam 0.0.1"
        main(["pull", "tiny"])
        exporter.builder = BUILDER
        assert main(["pull", "tiny"]) == 0
        assert "the work of edgesam 0.0.1" in capsys.readouterr().err
        assert open_bundle(bundle_path("tiny")).manifest.builder == BUILDER

    def test_a_bundle_of_an_earlier_schema_is_written_anew(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        manifest = bundle_path("tiny") / "manifest.json"
        values = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps({**values, "schema": 1}), "utf-8")
        assert main(["pull", "tiny"]) == 0
        assert "written anew" in (said := capsys.readouterr().err)
        assert "has schema 1" in said
        assert open_bundle(bundle_path("tiny")).manifest.model == "tiny"

    def test_a_variant_that_is_lacking(
        self,
        checkpoint: Path,
        exporter: Exporter,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        main(["pull", "tiny"])
        measured = ["fp32", "int8"]
        monkeypatch.setattr(
            pull, "unasked", lambda sha256: measured if sha256 == TINY.sha256 else []
        )
        assert main(["pull", "tiny"]) == 0
        assert len(exporter.asked) == 1, "its fp32 is none that was measured, nor would int8 be"
        monkeypatch.setattr(pull, "shipped_passport", lambda graphs: b"{}")
        capsys.readouterr()
        assert main(["pull", "tiny"]) == 0
        assert len(exporter.asked) == 2
        assert "it lacks int8, whose passport ships" in capsys.readouterr().err

    def test_changed_weights_are_written_anew(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        bundle = open_bundle(bundle_path("tiny"))
        sha256 = hashlib.sha256(BODY).hexdigest()
        file = bundle.path / f"image_encoder.fp32.{sha256[:8]}.data"
        weights = BundleFile(file.name, sha256, len(BODY))
        variant = replace(bundle.variants["fp32"], weights=weights)
        manifest = replace(bundle.manifest, variants={"fp32": variant})
        file.write_bytes(BODY)
        (bundle.path / "manifest.json").write_text(manifest.to_json(), "utf-8")
        assert main(["pull", "tiny"]) == 0
        assert len(exporter.asked) == 1, "they are whole"
        file.write_bytes(b"changed")
        assert main(["pull", "tiny"]) == 0
        assert f"{file.name} has sha256" in capsys.readouterr().err
        assert len(exporter.asked) == 2

    def test_json(self, checkpoint: Path, capsys: Capture) -> None:
        for written in (True, False):
            assert main(["pull", "tiny", "--json"]) == 0
            shown = capsys.readouterr()
            told = json.loads(shown.out)
            assert set(told.pop("seconds")) == ({"fetch", "export"} if written else set())
            assert told == {
                "model": "tiny",
                "licence": "CC-BY-4.0",
                "origin": "the authors of Tiny",
                "bundle": str(bundle_path("tiny")),
                "written": written,
            }
            assert shown.err == ""

    def test_an_unknown_model(self, capsys: Capture) -> None:
        assert main(["pull", "huge"]) == 1
        assert "no model is called 'huge'" in capsys.readouterr().err

    def test_a_wrong_checkpoint_is_not_exported(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        checkpoint.write_bytes(b"WEIGHTS")
        assert main(["pull", "tiny"]) == 1
        assert str(checkpoint) in capsys.readouterr().err
        assert exporter.asked == []

    def test_a_failed_export_leaves_the_bundle_that_was(
        self, checkpoint: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        main(["pull", "tiny"])
        exporter.error = ExportError("the checkpoint lacks a key")
        assert main(["pull", "tiny", "--force"]) == 1
        assert capsys.readouterr().err.endswith("edgesam: the checkpoint lacks a key\n")
        open_bundle(bundle_path("tiny"))


class TestExport:
    def test_a_file_with_what_it_cannot_tell(
        self, tmp_path: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        file, out = tmp_path / "mine.pth", tmp_path / "mine"
        file.write_bytes(BODY)
        wishes = ["--arch", "tiny-vit", "--profile", "sam", "--variant", "int8"]
        assert main(["export", str(file), "-o", str(out), *wishes]) == 0
        assert exporter.asked == [
            {"model": None, "arch": "tiny-vit", "profile": "sam", "variants": ["int8"]}
        ]
        assert capsys.readouterr().out == f"ready: {out} (fp32)\n"
        assert open_bundle(out).manifest.model == "mine.pth"

    def test_a_known_model(
        self, checkpoint: Path, tmp_path: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        assert main(["export", "tiny", "-o", str(tmp_path / "mine")]) == 0
        assert exporter.asked == [
            {"model": "tiny", "arch": None, "profile": None, "variants": None}
        ]
        assert "CC-BY-4.0" in capsys.readouterr().out

    def test_json(self, checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
        assert main(["export", "tiny", "-o", str(tmp_path / "mine"), "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out) == {"bundle": str(tmp_path / "mine"), "variants": ["fp32"]}
        assert shown.err == ""

    def test_neither_a_file_nor_a_model(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["export", "huge", "-o", str(tmp_path / "mine")]) == 1
        assert "'huge' is neither a file nor a known model" in capsys.readouterr().err

    def test_a_missing_parent_folder_is_named(
        self, checkpoint: Path, tmp_path: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        assert main(["export", "tiny", "-o", str(tmp_path / "no" / "mine")]) == 1
        assert f"the folder {tmp_path / 'no'} does not exist" in capsys.readouterr().err
        assert exporter.asked == []

    def test_an_earlier_bundle_is_replaced(
        self, checkpoint: Path, tmp_path: Path, exporter: Exporter
    ) -> None:
        for _ in range(2):
            assert main(["export", "tiny", "-o", str(tmp_path / "mine")]) == 0
        assert len(exporter.asked) == 2

    def test_an_empty_folder_is_filled(self, checkpoint: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        assert main(["export", "tiny", "-o", str(tmp_path / "mine")]) == 0

    def test_other_peoples_files_are_left_alone(
        self, checkpoint: Path, tmp_path: Path, exporter: Exporter, capsys: Capture
    ) -> None:
        folder = tmp_path / "thesis"
        folder.mkdir()
        (folder / "results.json").write_text("{}")
        for place in (folder, folder / "results.json"):
            assert main(["export", "tiny", "-o", str(place)]) == 1
            assert "is not a whole bundle" in capsys.readouterr().err
        assert (folder / "results.json").read_text() == "{}"
        assert exporter.asked == []

    def test_an_unknown_profile_is_wrong_usage(self, tmp_path: Path) -> None:
        assert main(["export", "tiny", "-o", str(tmp_path / "mine"), "--profile", "x"]) == 2


def test_export_goes_on_where_a_killed_one_stopped(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    (out / ".export-abc").mkdir(parents=True)
    (out / "image_encoder.fp32.0123abcd.onnx").touch()
    (out / ".edgesam-lock").touch()
    os.utime(out / ".edgesam-lock", (0, 0))
    assert main(["export", "tiny", "-o", str(out)]) == 0
    assert open_bundle(out).manifest.model == "tiny"
