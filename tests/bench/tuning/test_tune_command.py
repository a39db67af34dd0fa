"""``edgesam tune`` from the command line to what load() then does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgesam
from edgesam.bundle import open_bundle
from edgesam.commands import main
from edgesam.tuned import remembered

pytest.importorskip("onnxruntime")

Capture = pytest.CaptureFixture[str]


def test_it_measures_and_remembers(lite_bundle: Path, capsys: Capture) -> None:
    """With real processes on random weights: any of the candidates may win."""
    assert main(["tune", str(lite_bundle), "--rounds", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    choice = remembered(open_bundle(lite_bundle).manifest)
    assert choice is not None
    assert said["choice"] == vars(choice)
    assert Path(said["remembered"]).is_file()
    ratios = [row["ratio"] for row in said["results"]]
    assert ratios[0] == 1.0
    assert ratios == sorted(ratios)
    with edgesam.load(lite_bundle) as sam:
        assert sam.engine == f"{choice.engine}:cpu"
        assert sam.variant == choice.variant


def test_an_unknown_model(capsys: Capture) -> None:
    assert main(["tune", "nothing"]) == 1
    assert "neither a known model" in capsys.readouterr().err


@pytest.mark.parametrize("rounds", ["0", "-1", "x", "101"])
def test_bad_rounds(rounds: str, capsys: Capture) -> None:
    assert main(["tune", "lite-medsam", "--rounds", rounds]) == 2
    assert "whole number" in capsys.readouterr().err
