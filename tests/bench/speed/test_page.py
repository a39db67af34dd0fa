"""The page of several reports: one section each, ratios as measured, what is missing is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam_bench.speed import page

Make = Callable[..., dict[str, Any]]


def test_a_section(make_report: Make) -> None:
    report = make_report(peers=("torch", "onnxruntime-plain"))
    for peer in report["peers"].values():
        peer["agreement"] = 0.93
    report["peers"]["samexporter"] = {"reason": "not installed", "about": {}, "agreement": None}
    report["doubts"] = ["the machine was busy"]
    text = page.markdown([report])
    assert "## mobile-sam, fp32, onnxruntime\n" in text
    assert "](speed-mobile-sam.png)" in text
    # Peers take twice and three times as long; nobody else starts with empty caches.
    assert "| click | 45.9 ms | 46.7 ms | 0.50 (0.50–0.50) | 0.33 (0.33–0.33) |" in text
    assert "| the same, caches empty | 1.84 s | 1.87 s | – | – |" in text
    side, click = report["stages"]["image_side"], report["measures"]["click"]["of"]
    ratio = (side["p50"] + click["edgesam"]["p50"]) / click["torch"]["p50"]
    assert f"{ratio:.2f} of torch's" in text
    assert "| mask IoU with edgesam's, of one box |  |  | 0.9300 | 0.9300 |" in text
    assert "samexporter: not installed." in text
    assert "Note: the machine was busy." in text


def test_the_command(make_report: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, out = tmp_path / "speed.json", tmp_path / "speed.md"
    report.write_text(json.dumps(make_report(peers=("torch",))))
    assert page.main([str(report), "--out", str(out)]) == 0
    assert out.read_text("utf-8") == page.markdown([make_report(peers=("torch",))])
    report.write_text("{}")
    assert page.main([str(report), "--out", str(out)]) == 1
    assert "was not written by edgesam bench" in capsys.readouterr().err
    assert out.read_text("utf-8").startswith("# Speed")
