"""``edgesam doctor``: every problem is found, said in a line, and changes the exit code."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

import edgesam.engines
from edgesam.bundle import open_bundle, write_bundle
from edgesam.commands import doctor, main
from edgesam.digest import sha256_of
from edgesam.engines.ort import cuda
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.home import bundle_path
from edgesam.manifest import ROLES, BundleFile, Manifest, Variant
from edgesam.models import SAM

Capture = pytest.CaptureFixture[str]


class Engine(OnnxRuntime):
    """One that says what a test wants."""

    reason: str | None = None

    def available(self) -> str | None:
        return self.reason

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a problem: a store, one engine, one ONNX Runtime."""
    monkeypatch.setenv("EDGESAM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"onnxruntime": Engine()})
    installed(monkeypatch, "pip", "onnxruntime")


def installed(monkeypatch: pytest.MonkeyPatch, *distributions: str) -> None:
    def version(distribution: str) -> str:
        if distribution not in distributions:
            raise PackageNotFoundError(distribution)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)


def findings(capsys: Capture, *, code: int) -> dict[str, tuple[str, str]]:
    """State and text by check, after seeing that people are told the same, line by line."""
    assert main(["doctor", "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] == (code == 0)
    assert main(["doctor"]) == code
    lines = capsys.readouterr().out.splitlines()
    for finding in said["findings"]:
        assert f"{finding['state']:7}  {finding['check']}: {finding['text']}" in lines
    return {finding["check"]: (finding["state"], finding["text"]) for finding in said["findings"]}


def a_bundle(name: str) -> Path:
    path = bundle_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    graphs = {}
    for graph in ROLES:
        source = path.parent / f"{graph}.tmp"
        source.write_bytes(graph.encode())
        graphs[f"{graph}.onnx"] = source
    files = {
        source.stem: BundleFile(file, sha256_of(source), source.stat().st_size)
        for file, source in graphs.items()
    }
    write_bundle(
        path,
        Manifest(
            model=name,
            architecture="tiny-vit",
            image_size=1024,
            grid=64,
            profile=SAM,
            profile_assumed=False,
            checkpoint_sha256="0" * 64,
            licence="Apache-2.0",
            builder="this test",
            working_memory=0,
            variants={"fp32": Variant(**files, weights=None, passport=None)},
        ),
        graphs,
    )
    return path


class TestMachine:
    def test_a_machine_without_a_problem(self, tmp_path: Path, capsys: Capture) -> None:
        a_bundle("mobile-sam")
        found = findings(capsys, code=0)
        assert found["python"][1].startswith(".".join(map(str, sys.version_info[:3])))
        assert found["numpy"] == ("ok", np.__version__)
        assert found["engine onnxruntime"] == ("ok", "cpu")
        assert found["bundle mobile-sam"] == ("ok", "whole, all hashes hold")
        assert str(tmp_path / "home") in found["EDGESAM_HOME"][1]
        assert "GB free" in found["EDGESAM_HOME"][1]
        assert not any(state == "problem" for state, _ in found.values())

    def test_the_store_is_not_made_by_looking(self, tmp_path: Path, capsys: Capture) -> None:
        findings(capsys, code=0)
        assert not (tmp_path / "home").exists()

    def test_no_engine_at_all(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        monkeypatch.setattr(Engine, "reason", "needs the package onnxruntime")
        found = findings(capsys, code=1)
        assert found["engine onnxruntime"] == ("note", "needs the package onnxruntime")
        assert found["engines"][0] == "problem"
        assert "edgesam[cpu]" in found["engines"][1]

    def test_cuda_that_is_offered_and_cannot_start(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """onnxruntime-gpu offers CUDA wherever it is installed."""
        monkeypatch.setattr(Engine, "devices", lambda self: ("cpu", "cuda"))
        monkeypatch.setattr(cuda, "missing", lambda: "no NVIDIA driver was found")
        found = findings(capsys, code=0)
        assert found["engine onnxruntime"] == ("ok", "cpu, cuda")
        assert found["onnxruntime on cuda"] == ("note", "no NVIDIA driver was found")
        monkeypatch.setattr(cuda, "missing", lambda: None)
        assert "onnxruntime on cuda" not in findings(capsys, code=0)

    def test_two_onnxruntimes(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        installed(monkeypatch, "pip", "onnxruntime", "onnxruntime-gpu")
        state, text = findings(capsys, code=1)["onnxruntime"]
        assert state == "problem"
        assert "pip uninstall -y onnxruntime onnxruntime-gpu" in text

    @pytest.mark.parametrize("distribution", ["onnxruntime", "onnxruntime-gpu"])
    def test_one_onnxruntime_is_fine(
        self, distribution: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        installed(monkeypatch, "pip", distribution)
        assert "onnxruntime" not in findings(capsys, code=0)

    def test_codecs_and_pip_may_be_absent(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr(doctor, "find_spec", lambda name: None)
        found = findings(capsys, code=0)
        assert found["codecs"][0] == found["pip"][0] == "note"
        assert "edgesam[codecs]" in found["codecs"][1]
        assert "ensurepip" in found["pip"][1]

    def test_a_store_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("EDGESAM_HOME", str(tmp_path / "file"))
        state, text = findings(capsys, code=1)["EDGESAM_HOME"]
        assert state == "problem"
        assert f"{tmp_path / 'file'} is not writable" in text

    def test_a_full_disk(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**6)
        )
        assert findings(capsys, code=1)["EDGESAM_HOME"][0] == "problem"

    def test_a_numpy_that_does_not_load(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setitem(sys.modules, "numpy", None)
        found = findings(capsys, code=1)
        assert found["numpy"][0] == "problem"
        assert "engine onnxruntime" not in found

    def test_a_damaged_bundle(self, capsys: Capture) -> None:
        path = a_bundle("mobile-sam")
        (path / "mask_decoder.onnx").write_bytes(b"mask_decodes")
        state, text = findings(capsys, code=1)["bundle mobile-sam"]
        assert state == "problem"
        assert "mask_decoder.onnx" in text
        assert "edgesam pull --force mobile-sam" in text

    def test_a_bundle_of_an_earlier_schema(self, capsys: Capture) -> None:
        manifest = a_bundle("mobile-sam") / "manifest.json"
        values = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps({**values, "schema": 1}), "utf-8")
        state, text = findings(capsys, code=1)["bundle mobile-sam"]
        assert state == "problem"
        assert "has schema 1" in text
        assert "edgesam pull --force mobile-sam" in text

    def test_weights_beside_their_graph_are_checked(self, capsys: Capture) -> None:
        path = a_bundle("mobile-sam")
        sha256 = hashlib.sha256(b"weights").hexdigest()
        file = path / f"image_encoder.fp32.{sha256[:8]}.data"
        file.write_bytes(b"weights")
        weights = BundleFile(file.name, sha256, 7)
        manifest = open_bundle(path).manifest
        variant = replace(manifest.variants["fp32"], weights=weights)
        changed = replace(manifest, variants={"fp32": variant})
        (path / "manifest.json").write_text(changed.to_json(), "utf-8")
        assert findings(capsys, code=0)["bundle mobile-sam"][0] == "ok"
        file.write_bytes(b"wEights")
        state, text = findings(capsys, code=1)["bundle mobile-sam"]
        assert state == "problem"
        assert file.name in text

    def test_a_bundle_that_lacks_a_file(self, capsys: Capture) -> None:
        path = a_bundle("my-own")
        (path / "image_encoder.onnx").unlink()
        state, text = findings(capsys, code=1)["bundle my-own"]
        assert state == "problem"
        assert "image_encoder.onnx" in text
        assert f"edgesam export ... -o {path}" in text

    def test_a_folder_that_is_no_bundle(self, capsys: Capture) -> None:
        bundle_path("mobile-sam").mkdir(parents=True)
        assert findings(capsys, code=1)["bundle mobile-sam"][0] == "problem"


class TestFile:
    def test_a_picture(self, tmp_path: Path, capsys: Capture) -> None:
        Pillow.new("L", (30, 20)).save(tmp_path / "a.png")
        assert main(["doctor", str(tmp_path / "a.png")]) == 0
        shown = capsys.readouterr().out
        assert "picture: 30 x 20 pixels (as stored: 20x30 uint8)" in shown
        assert "shown to a model as: as stored" in shown

    def test_a_patient_stays_unnamed(self, tmp_path: Path, capsys: Capture) -> None:
        file = tmp_path / "DOE_JANE.dcm"
        write_dicom(file)
        assert main(["doctor", str(file), "-v"]) == 0
        assert main(["doctor", str(file), "--json"]) == 0
        shown = capsys.readouterr()
        report = json.loads(shown.out.splitlines()[-1])
        assert [f["check"] for f in report.pop("findings")] == [
            "picture",
            "pixel size",
            "grey levels",
        ]
        assert report == {
            "ok": True,
            "width": 30,
            "height": 20,
            "pixels": "20x30 uint16",
            "mapping": "window 500/1000 of the file",
        }
        assert "DOE" not in (shown.out + shown.err).upper()

    def test_no_picture(self, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "a.png").write_bytes(b"not a picture")
        assert main(["doctor", str(tmp_path / "a.png"), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["type"] == "ImageError"

    def test_a_frame_of_nothing(self, capsys: Capture) -> None:
        assert main(["doctor", "--frame", "3"]) == 1
        assert "--frame and --series need the FILE" in capsys.readouterr().err


def write_dicom(file: Path) -> None:
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = generate_uid()
    data.PatientName, data.PatientID = "Doe^Jane", "DOE1"
    data.Rows, data.Columns, data.SamplesPerPixel = 20, 30, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = "500", "1000"
    data.PixelData = np.arange(600, dtype="<u2").tobytes()
    data.save_as(file, enforce_file_format=True)
