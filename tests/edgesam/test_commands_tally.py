"""What became of many, and how long the rest will take."""

from __future__ import annotations

import io
import time

import pytest

from edgesam import ImageError
from edgesam.commands.progress import Progress
from edgesam.commands.tally import Tally, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3599, "0:59:59"), (90061, "25:01:01")],
)
def test_a_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_the_time_that_is_left_is_that_of_what_is_made(clock: list[float]) -> None:
    tally = Tally(100, Progress(silent=True))
    assert tally.left is None
    for _ in range(50):
        clock[0] += 1
        tally.found()
    assert tally.left is None, "what was there says nothing"
    clock[0] += 4
    tally.wrote()
    assert tally.left == 4 * 49
    clock[0] += 2
    tally.wrote()
    assert tally.left == 3 * 48
    assert tally.seconds == 56
    for _ in range(48):
        tally.wrote()
    assert tally.left == 0


def test_a_failure_is_a_line_of_its_own(clock: list[float]) -> None:
    stream = Terminal()
    with Progress(stream=stream) as progress:
        tally = Tally(3, progress)
        clock[0] += 1
        tally.wrote()
        tally.failed({"line": 4}, "a.csv, line 4", ImageError("b.png: no\nsuch file"))
        clock[0] += 1
        tally.wrote()
    lines = stream.getvalue().split("\n")
    assert lines[0] == "1 of 3 masks, 0:00:02 left"
    assert lines[1] == "a.csv, line 4: b.png: no such file"
    assert lines[2].split("\r")[-1] == "3 of 3 masks, 0:00:00 left"
    assert str(tally) == "2 of 3 masks written, 1 failed"
    assert tally.code == 1


def test_in_a_log_failures_do_not_bring_progress_with_them(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        tally = Tally(9, progress)
        tally.found()
        for line in range(8):
            tally.failed({"line": line}, f"line {line}", MemoryError())
    shown = stream.getvalue().splitlines()
    counts = [line for line in shown if "of 9" in line]
    assert counts == ["1 of 9 masks, ? left", "9 of 9 masks, ? left"]
    assert "line 7: out of memory" in shown


def test_the_report() -> None:
    tally = Tally(5, Progress(silent=True))
    tally.failed({"line": 9}, "", ImageError("b"))
    tally.failed({"line": 4}, "", OSError("a"))
    tally.found()
    report = tally.report()
    assert report.pop("seconds") >= 0
    assert report == {
        "total": 5,
        "written": 0,
        "skipped": 1,
        "failed": 2,
        "failures": [
            {"line": 4, "type": "OSError", "message": "a"},
            {"line": 9, "type": "ImageError", "message": "b"},
        ],
    }
    assert str(tally) == "0 of 5 masks written, 1 there already, 2 failed"
    assert Tally(0, Progress(silent=True)).code == 0
