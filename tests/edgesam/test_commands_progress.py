"""Progress on standard error: an updating line on a terminal, few lines elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time

import pytest

from edgesam.commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    return now


def count(progress: Progress, clock: list[float], *, every: float) -> None:
    for done in range(0, 101, 10):
        progress(f"downloading: {done} of 100 MB")
        clock[0] += every
    progress("writing graphs")


def test_elsewhere_updates_are_rare_but_the_last_is_shown(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        count(progress, clock, every=3.0)
    assert stream.getvalue().splitlines() == [
        "downloading: 0 of 100 MB",
        "downloading: 40 of 100 MB",
        "downloading: 80 of 100 MB",
        "downloading: 100 of 100 MB",
        "writing graphs",
    ]


def test_on_a_terminal_updates_overwrite_their_line(clock: list[float]) -> None:
    stream = Terminal()
    with Progress(stream=stream) as progress:
        count(progress, clock, every=0.05)
    first, second, *rest = stream.getvalue().split("\n")
    updates = first.split("\r")
    assert updates[0] == "downloading: 0 of 100 MB"
    assert updates[-1].rstrip() == "downloading: 100 of 100 MB"
    assert 3 < len(updates) < 11
    assert second == "writing graphs"
    assert rest == [""]


def test_an_update_blanks_what_a_longer_one_left(clock: list[float]) -> None:
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress("left: 1000 MB")
        clock[0] += 1
        progress("left: 9 MB")
    assert stream.getvalue() == "left: 1000 MB\rleft: 9 MB   \n"


def test_on_a_terminal_only_updates_are_cut_to_its_width(clock: list[float]) -> None:
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress("1" + "x" * 60)
        clock[0] += 1
        progress("2" + "x" * 60)
    assert stream.getvalue() == "1" + "x" * 60 + "\r2" + "x" * 38 + "\n"


def test_silent_is_silent() -> None:
    stream = io.StringIO()
    with Progress(silent=True, stream=stream) as progress:
        progress("downloading")
    assert stream.getvalue() == ""


def test_without_standard_error_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        with Progress() as progress:
            progress("downloading")
