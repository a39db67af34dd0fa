"""``edgesam models``: what it says of files on disk and of engines."""

from __future__ import annotations

import json
import re
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


def rows_of(shown: str) -> dict[str, list[str]]:
    """The lines of both tables by their first cell, cut where two blanks are."""
    lines = [re.split(r"\s{2,}", line) for line in shown.splitlines() if line]
    return {cells[0]: cells for cells in lines}


def test_the_table(capsys: Capture) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    rows = rows_of(shown)
    heads = ["MODEL", "PARAMETERS", "INPUT", "PROMPTS", "LICENCE", "ON DISK", "ENGINES"]
    assert rows["MODEL"] == heads
    size = "1024 x 1024"
    for row in [
        ["lite-medsam", "9.8 M", "256 x 256", "box", "Apache-2.0", "-", "fast"],
        ["mobile-sam", "9.8 M", size, "point, box, mask", "Apache-2.0", "-", "fast"],
        ["sam-vit-h", "641.1 M", size, "point, box, mask", "Apache-2.0", "-", "fast"],
        ["medsam", "93.7 M", size, "box", "Apache-2.0", "-", "fast"],
    ]:
        assert rows[row[0]] == row
    assert set(MODELS) <= set(rows)
    assert rows["fast"] == ["fast", "yes: cpu, cuda"]
    assert rows["far"] == ["far", "no: needs the package far. Try: pip install far"]
    assert "edgesam pull lite-medsam" in shown


def test_no_engine(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"far": FakeEngine("far", "needs a leg")})
    assert main(["models"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["mobile-sam"][-2:] == ["-", "-"]
    assert rows["far"] == ["far", "no: needs a leg"]
    assert main(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert all(model["engines"] == [] for model in said["models"])


def test_several_engines(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {name: FakeEngine(name) for name in ("fast", "faster")}
    monkeypatch.setattr(edgesam.engines, "ENGINES", engines)
    assert main(["models"]) == 0
    assert rows_of(capsys.readouterr().out)["mobile-sam"][-1] == "fast, faster"


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
    rows = rows_of(shown)
    assert rows["mobile-sam"][-2:] == ["checkpoint, bundle", "fast"]
    assert rows["lite-medsam"][-2] == "-", "a folder without a manifest is no bundle"
    assert "edgesam pull" not in shown


def test_json(tmp_path: Path, capsys: Capture) -> None:
    assert main(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["home"] == str(tmp_path)
    assert [model["name"] for model in said["models"]] == list(MODELS)
    assert said["models"][0] == {
        "name": "lite-medsam",
        "parameters": MODELS["lite-medsam"].parameters,
        "image_size": 256,
        "prompts": ["box"],
        "licence": "Apache-2.0",
        "checkpoint": False,
        "bundle": False,
        "engines": ["fast"],
    }
    assert said["engines"] == [
        {"name": "fast", "devices": ["cpu", "cuda"], "reason": None},
        {"name": "far", "devices": [], "reason": "needs the package far. Try: pip install far"},
    ]
