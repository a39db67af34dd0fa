"""An earlier report: which files are taken, what differs, and who is slower beyond noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam_bench.speed.baseline import compared, failures, read_report

Make = Callable[..., dict[str, Any]]


def with_spread(report: dict[str, Any], spread: float | None) -> dict[str, Any]:
    for measure in report["measures"].values():
        measure["of"]["edgesam"]["spread"] = spread
    return report


@pytest.mark.parametrize(
    ("scale", "spreads", "verdict"),
    [
        (1.0, (0.01, 0.01), "same"),
        (1.09, (0.0, 0.0), "same"),
        (1.12, (0.0, 0.0), "slower"),
        (1.12, (0.03, 0.04), "same"),  # noise 0.05: up to 1.15
        (1.16, (0.03, 0.04), "slower"),
        (0.8, (0.01, 0.01), "faster"),
        (3.0, (None, 0.0), "too few rounds"),
        (3.0, (0.0, None), "too few rounds"),
    ],
)
def test_verdicts(
    make_report: Make, scale: float, spreads: tuple[float, float], verdict: str
) -> None:
    now = with_spread(make_report(scale), spreads[0])
    base = with_spread(make_report(), spreads[1])
    found = compared(now, base)
    assert {one["verdict"] for one in found["measures"].values()} == {verdict}
    assert found["measures"]["click"]["ratio"] == pytest.approx(scale)
    assert bool(failures(found)) is (verdict == "slower")


def test_a_failure_is_a_line_that_names_the_measure(make_report: Make) -> None:
    found = compared(with_spread(make_report(1.5), 0.03), with_spread(make_report(), 0.04))
    assert failures(found)[0] == (
        "start.p50 is 1.50 of the earlier one, the limit is 1.1 and noise 0.05"
    )


def test_other_machines_and_versions_are_said(make_report: Make) -> None:
    now = make_report(versions={"edgesam": "0.2.0", "onnxruntime": "1.32.0", "openvino": "2026"})
    base = make_report(processor="another, 8 cores", graphs={"image_encoder": "b" * 64})
    assert compared(now, base)["differences"] == [
        "processor: another, 8 cores -> a processor, 2 cores",
        "versions: edgesam 0.1.0 -> 0.2.0, openvino none -> 2026",
        "graphs: image_encoder bbbbbbbb -> aaaaaaaa",
    ]
    assert compared(now, now)["differences"] == []


def test_only_what_both_measured_is_compared(make_report: Make) -> None:
    base = make_report()
    del base["measures"]["everything"]
    assert "everything" not in compared(make_report(), base)["measures"]


def test_a_report_is_read_back(make_report: Make, tmp_path: Path) -> None:
    report, file = make_report(peers=("torch",)), tmp_path / "base.json"
    file.write_text(json.dumps(report), "utf-8")
    assert read_report(file) == report


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "was not written by edgesam bench"),
        ('{"models": {}}', "was not written by edgesam bench"),
        ('{"command": "edgesam bench", "schema": 99}', "schema 99"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "base.json"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=said) as raised:
        read_report(file)
    assert "\n" not in str(raised.value)
