"""The tests that need a GPU, run by pytest in processes of their own. Knows no test."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as Xml  # of a file that pytest has just written
from collections import Counter
from pathlib import Path
from typing import Any

from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings

PATTERN = "test_*on_gpu*.py"
TESTS = Path("tests")  # of the repository, where this is run from


def measure(findings: Findings, deadline: Deadline, folder: Path = TESTS) -> None:
    """Fill ``tests``: counts, what failed, and why tests were skipped. Each file has a process of
    its own and its part of the time: one that hangs or crashes costs the others nothing.
    """
    files = sorted(folder.rglob(PATTERN))
    what = f"tests that need a GPU ({folder}/**/{PATTERN})"
    if not files:
        findings.missing(what, "there are none: run this from the root of the repository")
        return
    if importlib.util.find_spec("pytest") is None:
        findings.missing(what, "needs the package pytest (not installed)")
        return
    whole: dict[str, Any] = {"files": [], "passed": 0, "failed": 0, "failures": [], "skipped": {}}
    for number, file in enumerate(files):
        findings.progress(f"tests: {file}")
        name = f"tests that need a GPU ({file.relative_to(folder).as_posix()})"
        told = _asked(name, file, deadline.left() / (len(files) - number), findings)
        if told is None:
            continue
        _add(whole, file, told)
        for reason, count in told["skipped"].items():
            findings.missing(f"{count} {name}", reason)
        for test in told["failures"]:
            findings.failed(f"test {test}")
        if whole["passed"] or whole["failed"]:  # else all were skipped
            findings.content["tests"] = whole
        findings.save()


def _asked(name: str, file: Path, seconds: float, findings: Findings) -> dict[str, Any] | None:
    """What :func:`counted` finds in one file's results; None if there are none."""
    with tempfile.TemporaryDirectory(prefix="edgesam-") as scratch:
        xml = Path(scratch) / "tests.xml"
        last = _run(file, xml, seconds)
        if not xml.is_file():
            findings.missing(name, f"no result: {last}")
            return None
        return counted(Xml.parse(xml).getroot())


def _add(whole: dict[str, Any], file: Path, told: dict[str, Any]) -> None:
    whole["files"].append(file.as_posix())
    for key in ("passed", "failed", "failures"):
        whole[key] += told[key]
    for reason, count in told["skipped"].items():
        whole["skipped"][reason] = whole["skipped"].get(reason, 0) + count


def counted(suite: Xml.Element) -> dict[str, Any]:
    """``passed`` and ``failed``, ``failures`` by name, ``skipped`` by reason."""
    failures: list[str] = []
    skipped: Counter[str] = Counter()
    passed = 0
    for case in suite.iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skip = case.find("skipped")
        if skip is not None:
            skipped[skip.get("message") or "no reason"] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failures.append(name)
        else:
            passed += 1
    return {
        "passed": passed,
        "failed": len(failures),
        "failures": failures,
        "skipped": dict(skipped),
    }


def _run(file: Path, xml: Path, seconds: float) -> str:
    """pytest's last line, or that it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={xml}", str(file)]
    command += ["-W", "default"]  # other versions of packages warn of other things
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=max(1.0, seconds),
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {seconds:.0f} s"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"exit code {done.returncode}: {lines[-1] if lines else 'nothing was said'}"
