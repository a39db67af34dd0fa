"""The page of the scenarios: a section each, figures as in the reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam_bench.scenario import page

Make = Callable[..., dict[str, Any]]


def test_sections(make_report: Make) -> None:
    reports = [make_report(name) for name in ("viewer", "cine", "batch")]
    text = page.markdown(reports)
    assert text.count("\n## ") == 3
    for name in ("viewer", "cine", "batch"):
        assert f"](scenario-{name}.png)" in text
        assert f"](../bench/results/scenario-{name}.json)" in text
    assert "| serial loop, a picture | 6 | 21.0 ms | 22.0 ms | 22.0 ms |" in text
    assert "- 200 frames arrived at 25 a second: 10 segmented, 190 dropped." in text


def test_the_command(make_report: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, out = tmp_path / "scenario.json", tmp_path / "scenarios.md"
    report.write_text(json.dumps(make_report("cine")), "utf-8")
    assert page.main([str(report), "--out", str(out)]) == 0
    assert out.read_text("utf-8") == page.markdown([make_report("cine")])
    report.write_text("[]", "utf-8")
    assert page.main([str(report), "--out", str(out)]) == 1
    assert "was not written by edgesam bench --scenario" in capsys.readouterr().err
    assert out.read_text("utf-8").startswith("# What a person feels")
