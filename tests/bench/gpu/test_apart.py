"""Stages in processes that end well, crash or hang: small programs in the place of real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgesam.engines import ENGINES
from edgesam_bench.gpu.apart import Apart, own_command, told
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings, read_findings

Play = Callable[..., tuple[Findings, list[list[str]]]]

_HEAD = """
import json, os, pathlib, sys, time
out = pathlib.Path({out!r})
without = {without!r}
def found(row):
    content = json.loads(out.read_text())
    content["speed"].append(row)
    out.write_text(json.dumps(content))
def say(line):
    print(line, file=sys.stderr, flush=True)
"""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Has a program do the stage ``m``; gives what was found, and whom each process left out."""

    def start(program: str, most: float = 60.0) -> tuple[Findings, list[list[str]]]:
        out, calls = tmp_path / "gpu.json", []
        findings = Findings(out, {}, lambda _: None)
        findings.save()

        def command(name: str, left: float, most: float, without: Sequence[str]) -> list[str]:
            assert name == "m"
            calls.append(list(without))
            return [
                sys.executable,
                "-S",
                "-c",
                _HEAD.format(out=str(out), without=without) + program,
            ]

        now = time.perf_counter()
        Apart(command)("m", findings, Deadline(now + most, time.perf_counter, now + most))
        assert read_findings(out) == findings.content
        return findings, calls

    return start


def test_a_stage_that_goes_well(play: Play) -> None:
    findings, calls = play("found({'a': 1})")
    assert findings.content["speed"] == [{"a": 1}]
    assert findings.content["not_measured"] == []
    assert calls == [[]]


def test_a_contender_that_crashes_costs_no_other(play: Play) -> None:
    """What was found before stays, and the stage begins anew without it."""
    program = """
if not without:
    found("before")
    say("> m, bad fp16: click: warming up")
    say("not measured: something")
    say("terminate called")
    os.abort()
found("after")
"""
    findings, calls = play(program)
    assert findings.content["speed"] == ["before", "after"]
    assert calls == [[], ["bad fp16"]]
    (line,) = findings.content["not_measured"]
    assert line["what"] == "m, bad fp16"
    if os.name == "posix":
        assert "crashed (SIGABRT), at: m, bad fp16: click: warming up" in line["reason"]
    assert line["reason"].endswith("(terminate called)")


def test_one_that_is_not_known_is_not_tried_again(play: Play) -> None:
    findings, calls = play("say('> m: preparing its bundle'); raise SystemExit(1)")
    assert calls == [[]]
    (line,) = findings.content["not_measured"]
    assert line == {
        "what": "m",
        "reason": "its process ended with exit code 1, at: m: preparing its bundle",
    }


def test_one_that_hangs_is_ended(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it started; and nothing is begun for which there is no time."""
    monkeypatch.setattr("edgesam_bench.gpu.apart._GRACE", 1.0)
    program = """
import subprocess
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
found(child.pid)
say("> m, slow fp16: encode: warming up")
time.sleep(600)
"""
    findings, calls = play(program, most=1.5)
    assert calls == [[]]
    (line,) = findings.content["not_measured"]
    assert line["what"] == "m, slow fp16"
    assert "was ended when it had said nothing for" in line["reason"]
    if os.name == "posix":
        (started,) = findings.content["speed"]
        for _ in range(100):
            if not _runs(started):
                break
            time.sleep(0.05)
        assert not _runs(started)


def test_one_that_says_nothing_leaves_the_others_time(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesam_bench.gpu.apart._SILENT", 1.0)
    program = """
if not without:
    say("> m, slow fp16: encode: warming up")
    time.sleep(600)
found("others")
"""
    findings, calls = play(program)
    assert calls == [[], ["slow fp16"]]
    assert findings.content["speed"] == ["others"]


def _runs(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    if not stat.is_file():
        return False
    return stat.read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")


def test_a_process_that_is_done_ends_while_it_is_listened_to() -> None:
    program = "from edgesam_bench.gpu.apart import end_with_parent as e; e()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 0


def test_what_was_found_is_not_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    Findings(None, {}, told).missing("m, x: click", "it is not there")
    told("m, x: batch")
    assert capsys.readouterr().err.splitlines() == [
        "not measured: m, x: click: it is not there",
        "> m, x: batch",
    ]


def test_the_program_itself(tmp_path: Path) -> None:
    """A stage in a process of its own, on whatever machine this is."""
    findings = Findings(tmp_path / "gpu.json", {}, lambda _: None)
    findings.save()
    now = time.perf_counter()
    deadline = Deadline(now + 1e-9, time.perf_counter, now + 60)  # it has passed: little is done
    arguments = ["--data", str(tmp_path), "--rounds", "1"]
    Apart(own_command(arguments, tmp_path / "gpu.json"))("peaks", findings, deadline)
    reasons = [one["reason"] for one in findings.content["not_measured"]]
    assert set(findings.content["engines"]) == set(ENGINES)
    assert not [reason for reason in reasons if "its process" in reason]


def test_a_process_ends_with_who_asks_it() -> None:
    program = "from edgesam_bench.gpu.apart import end_with_parent as e; e(); print(1, flush=True);"
    program += "import time; time.sleep(600)"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"1"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == 1


def test_this_program_is_told_what_a_person_chose(tmp_path: Path) -> None:
    command = own_command(["--rounds", "3"], tmp_path / "gpu.json")
    words: Any = command("sam-vit-b", 60.0, 70.0, ["onnxruntime fp16"])
    assert words[1:5] == ["-m", "edgesam_bench.gpu", "--rounds", "3"]
    assert words[7:9] == ["--only", "sam-vit-b"]
    assert words[9:] == ["--seconds", "60.000", "--most", "70.000", "--without", "onnxruntime fp16"]


def test_one_stage_goes_on_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgesam_bench.gpu.__main__ import main

    out = tmp_path / "gpu.json"
    findings = Findings(out, {"card": None}, lambda _: None)
    findings.content["speed"] = [{"model": "lite-medsam", "contender": "x", "kept": True}]
    findings.save()
    asked: list[Any] = []

    class Worker:
        def __init__(self, settings: Any, without: Sequence[str]) -> None:
            asked.append((settings.rounds, without))

        def __call__(self, name: str, findings: Findings, deadline: Deadline) -> None:
            asked.append(name)
            assert 0 < deadline.left() <= 5 < deadline.most() <= 9
            findings.content["parity"].append("new")

    monkeypatch.setattr("edgesam_bench.gpu.__main__.Here", Worker)
    program = "edgesam_bench.gpu.__main__"
    monkeypatch.setattr(f"{program}.end_with_parent", lambda: asked.append("ends"))
    monkeypatch.setattr(f"{program}.leave", lambda: asked.append("leaves"))
    call = ["--json", str(out), "--only", "lite-medsam", "--seconds", "5", "--most", "9"]
    assert main([*call, "--rounds", "2", "--without", "x", "--without", "y"]) == 0
    assert asked == ["ends", (2, ["x", "y"]), "lite-medsam", "leaves"]
    content = json.loads(out.read_text("utf-8"))
    assert content["speed"] == findings.content["speed"]
    assert content["parity"] == ["new"]
    assert not content["finished"], "that is for who leads it"
