from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam_bench.gpu.page import main, markdown


@pytest.fixture
def report(run_fake: Callable[..., dict[str, Any]], make_cuda: Callable[..., Any]) -> Any:
    return run_fake(make_cuda(), rounds=1)


def test_a_row_for_each_measure_and_a_line_for_each_gap(report: dict[str, Any]) -> None:
    text = markdown([report])
    assert "| click: box to mask | fake fp32 | 1 ms | 1 ms | – | – | – |" in text
    assert "| encode of 4 pictures in one call, a picture | fake fp32 | 0.25 ms | 0.25 ms |" in text
    assert "2 boxes on one embedding" in text
    assert "(2e+03 frames/s)" in text
    for one in report["not_measured"]:
        assert f"- {one['what']}: {one['reason']}" in text
    assert "| `mobile-sam`, fake fp32 | 3 | 0.0e+00 |" in text


def test_peers_peaks_and_failures(report: dict[str, Any]) -> None:
    made = copy.deepcopy(report)
    made["card"] = {"name": "NVIDIA Test", "driver": "580.1"}
    made["peaks"] = {
        "by": "torch",
        "matmul": {"fp16": {"tflops": 700.4, "side": 8192}},
        "copy": {"gb_per_s": 4000.0},
    }
    agreement = {"with": "fake fp32", "embedding_error": 0.01, "mask_iou": 0.97}
    peer = {"model": "mobile-sam", "contender": "Peer", "ours": False, "agreement": agreement}
    made["contenders"].append({**peer, "runs": {"suppression": "stand-in in Python"}})
    row = next(one for one in made["speed"] if one["measure"] == "encode")
    row["peers"] = {"Peer": {"median": 0.5, "min": 0.4, "max": 0.8}}
    row["shares"] = {"matmul": 0.25, "copy": 0.5}
    made["failures"] = ["a gate"]
    text = markdown([made])
    assert "### NVIDIA Test" in text
    assert "fp16 700 TFLOP/s, copies 4000 GB/s" in text
    assert "25% of products, 50% of copies | 2.00 (1.25–2.50) |" in text
    assert "Peer beside fake fp32: embedding 1.0e-02, IoU of one box 0.9700." in text
    assert "Peer, overlapping masks suppressed by: stand-in in Python." in text
    assert "**failed**: a gate" in text


def test_a_file_that_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}", "utf-8")
    assert main([str(other), "--out", str(tmp_path / "page.md")]) == 1
    assert "was not written by edgesam_bench.gpu" in capsys.readouterr().err
