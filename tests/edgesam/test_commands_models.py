"""``edgesam models``: what it says of files on disk and of engines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import edgesam.engines
from edgesam.checkpoint_store import checkpoint_path
from edgesam.commands import main
from edgesam.home import bundle_path
from edgesam.models import MODELS

Capture = pytest.CaptureFixture[str]


@dataclass
class FakeEngine:
    name: str
    reason: str | None = None

    def available(self) -> str | None:
        return self.reason

    def devices(self) -> tuple[str, ...]:
        assert self.reason is None, "an engine that does not work has no devices to ask for"
        return ("cpu", "cuda")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESAM_HOME", str(tmp_path))
    engines = [FakeEngine("fast"), FakeEngine("far", "needs the package far. Try: pip install far")]
    monkeypatch.setattr(edgesam.engines, "ENGINES", {engine.name: engine for engine in engines})


def test_the_table(capsys: Capture) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "256 x 256" in rows["lite-medsam"]
    assert "box" in rows["lite-medsam"]
    assert "1024 x 1024" in rows["mobile-sam"]
    assert "point, box, mask" in rows["mobile-sam"]
    assert "9.8 M" in rows["mobile-sam"]
    assert "Apache-2.0" in rows["mobile-sam"]
    assert rows["mobile-sam"].endswith("  -")
    assert rows["fast"].endswith("yes: cpu, cuda")
    assert rows["far"].endswith("no: needs the package far. Try: pip install far")
    assert "edgesam pull lite-medsam" in shown


def test_what_is_on_disk(capsys: Capture) -> None:
    checkpoint = checkpoint_path(MODELS["mobile-sam"])
    checkpoint.parent.mkdir()
    checkpoint.touch()
    bundle = bundle_path("mobile-sam")
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").touch()
    bundle_path("lite-medsam").mkdir()
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    assert rows["mobile-sam"].endswith("checkpoint, bundle")
    assert rows["lite-medsam"].endswith("  -"), "a folder without a manifest is no bundle"
    assert "edgesam pull" not in shown


def test_json(tmp_path: Path, capsys: Capture) -> None:
    assert main(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["home"] == str(tmp_path)
    assert {model["name"] for model in said["models"]} == set(MODELS)
    assert said["models"][0]["prompts"] == ["box"]
    assert said["models"][0]["bundle"] is False
    assert said["engines"] == [
        {"name": "fast", "devices": ["cpu", "cuda"], "reason": None},
        {"name": "far", "devices": [], "reason": "needs the package far. Try: pip install far"},
    ]
