"""What is told of a scenario in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam_bench.scenario.table import text

Make = Callable[..., dict[str, Any]]

SAID = {
    "viewer": (
        "50% of 4 clicks were answered from prefetch, 1 of them while another slice",
        "3 encodings were told to end; room for 6 embeddings",
        "a click on a prefetched slice takes 0.17 (0.16 to 0.18) of a bare click",
    ),
    "cine": (
        "200 frames arrived at 25 a second: 10 segmented, 190 dropped",
        "1.25 masks a second",
    ),
    "batch": (
        "the loop takes 1.25 times as long as the stream (1.20 to 1.30)",
        "all that is not encoding, hidden whole, would make it 1.50",
        "a picture in the loop: read 100 ms, prepare 100 ms",
        "cores at work, of 2: loop 1.90, stream 1.80",
    ),
}


@pytest.mark.parametrize("scenario", SAID)
def test_the_whole_text(make_report: Make, scenario: str) -> None:
    told = text(make_report(scenario, busy="others took 40%"))
    assert told.startswith("lite-medsam fp32, onnxruntime:cpu 1.32.0, edgesam 0.1.0")
    assert "made up, 20 pictures of 512 x 512 pixels; rounds: 3" in told
    assert all(sentence in told for sentence in SAID[scenario])
    assert "note: the machine was busy: others took 40%" in told
    assert "memory of the process" in told


def test_figures_of_a_measure(make_report: Make) -> None:
    lines = text(make_report("batch")).splitlines()
    (row,) = (line.split() for line in lines if line.startswith("stream, a picture"))
    assert row == ["stream,", "a", "picture", "6", "42.0", "ms", "44.0", "ms", "44.0", "ms"]
    (row,) = (line.split() for line in lines if line.startswith("stream / loop"))
    assert row[-3:] == ["0.06", "0.07", "0.07"]


def test_what_did_not_happen_is_left_out(make_report: Make) -> None:
    report = make_report("viewer")
    del report["measures"]["jump_ratio"], report["measures"]["jump"]
    assert "a jump takes" not in text(report)
