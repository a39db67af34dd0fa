"""The measurement of opening a series: what it makes is a series, and its limits are judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgesam
from edgesam.commands import GATE
from edgesam_bench import opening


def test_the_series_is_one(tmp_path: Path) -> None:
    opening.write_series(tmp_path, 4)
    volume = edgesam.read(tmp_path)
    assert isinstance(volume, edgesam.Volume)
    assert volume.shape == (4, opening.SIDE, opening.SIDE)
    assert volume.spacing == pytest.approx((1, 0.7, 0.7))


@pytest.mark.parametrize(("seconds", "code"), [(60.0, 0), (0.0, GATE)])
def test_it_measures_and_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, code: int
) -> None:
    monkeypatch.setattr(opening, "SECONDS", seconds)
    out = tmp_path / "opening.json"
    assert opening.main(["--slices", "3", "--rounds", "1", "--out", str(out)]) == code
    report = json.loads(out.read_text("utf-8"))
    assert report["slices"] == 3
    assert report["open_seconds"] > 0


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    large = np.ones(300 << 20, np.uint8)  # of the one that starts it
    out = tmp_path / "opening.json"
    opening.main(["--slices", "2", "--rounds", "1", "--out", str(out)])
    assert large.all()
    assert json.loads(out.read_text("utf-8"))["peak_mib"] < 250
