"""Which peers can be measured here; one that cannot says why and is never left out."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesam.bundle import Bundle
from edgesam.checkpoint_store import checkpoint_path
from edgesam.models import MODELS
from edgesam_bench.speed import peers
from edgesam_bench.speed.peers import PEERS, Place

EXPORTER = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(folder / "encoder.onnx").write_bytes(b"graph")
with (folder / "log").open("a") as log:
    log.write("exported\\n")
"""


@pytest.fixture
def place(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Place:
    """Its checkpoint is in the store, as far as anybody can see."""
    checkpoint = checkpoint_path(MODELS["mobile-sam"])
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    manifest = replace(
        make_bundle().manifest, checkpoint_sha256=hashlib.sha256(b"weights").hexdigest()
    )
    return Place(manifest, tmp_path / "p.png", sys.executable, tmp_path / "plain", None)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that are there."""
    names = {"onnxruntime", "openvino"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: object() if name in names else None
    )
    return names


def test_torch(place: Place, installed: set[str]) -> None:
    found = place.peer("torch")
    assert found.reason is None
    assert found.command is not None
    assert found.command[0] == sys.executable
    assert found.command[-2:] == ("mobile-sam", "default")
    assert replace(place, threads=3).peer("torch").command == (*found.command[:-1], "3")


def test_without_torch_nobody_answers_for_it(place: Place, installed: set[str]) -> None:
    found = replace(place, python=None).peer("torch")
    assert found.command is None
    assert found.reason is not None
    assert found.reason.startswith("not installed: --reference-python names")
    installed.add("torch")
    command = replace(place, python=None).peer("torch").command
    assert command is not None
    assert command[0] == sys.executable


@pytest.mark.parametrize(
    ("package", "names"),
    [("openvino", ("openvino-plain", "openvino-plain-f32")), ("onnxruntime", PEERS[1:2])],
)
def test_an_engine_that_is_missing(
    place: Place, installed: set[str], package: str, names: tuple[str, ...]
) -> None:
    installed.discard(package)
    for name in names:
        assert place.peer(name).reason == f"not installed: needs the package {package}"


def test_samexporter(place: Place, installed: set[str]) -> None:
    assert place.peer("samexporter").reason == "not installed"
    installed.add("samexporter")
    assert place.peer("samexporter").reason == (
        "not measured: its graphs are those of onnxruntime-plain"
    )


def test_the_checkpoint_must_be_the_bundles(place: Place, installed: set[str]) -> None:
    other = replace(place, manifest=replace(place.manifest, checkpoint_sha256="0" * 64))
    assert "the bundle was not made of" in str(other.peer("torch").reason)
    checkpoint_path(MODELS["mobile-sam"]).unlink()
    assert place.peer("torch").reason == (
        "not measured: no checkpoint. Try: edgesam pull mobile-sam"
    )
    own = replace(place, manifest=replace(place.manifest, model="own"))
    assert own.peer("torch").reason == ("not measured: no official checkpoint is known for own")


def test_an_installed_wheel_has_no_reference(
    place: Place, installed: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "REFERENCE", tmp_path)
    assert "needs the repository" in str(place.peer("torch").reason)


def test_plain_graphs_are_exported_once(
    place: Place, installed: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "REFERENCE", tmp_path)
    (tmp_path / "export_plain.py").write_text(EXPORTER, "utf-8")
    commands = [place.peer(name).command for name in PEERS[1:4]]
    assert all(commands)
    (folder,) = place.graphs.iterdir()
    assert folder.name == f"mobile-sam-{place.manifest.checkpoint_sha256[:8]}"
    assert (folder / "log").read_text("utf-8") == "exported\n"
    assert str(folder) in (commands[0] or ())


def test_an_export_that_fails_is_a_reason(
    place: Place, installed: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "REFERENCE", tmp_path)
    (tmp_path / "export_plain.py").write_text("raise SystemExit('no onnx')", "utf-8")
    assert place.peer("onnxruntime-plain").reason == "no graphs: the export failed: no onnx"
    missing = replace(place, python=str(tmp_path / "python"))
    assert "cannot run" in str(missing.peer("onnxruntime-plain").reason)


def test_the_peers_programs_are_there() -> None:
    for script in ("serve_official.py", "export_plain.py"):
        assert (peers.REFERENCE / script).is_file()


def test_what_runs_beside_pytorch_imports_no_edgesam() -> None:
    """The official environment has numpy and Pillow, and no onnx."""
    import subprocess

    code = (
        "import json, sys; import edgesam_bench.speed.worker, edgesam_bench.speed.plain; "
        "print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules: list[Any] = json.loads(done.stdout)
    assert not {"edgesam", "onnx", "onnx_ir", "onnxruntime", "openvino"} & set(modules)
