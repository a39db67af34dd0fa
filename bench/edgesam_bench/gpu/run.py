"""The stages, one after the other, each in its share of the time. Knows no figure."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesam import machine
from edgesam.engines import ENGINES, Engine
from edgesam_bench.gpu import peaks, suite
from edgesam_bench.gpu.card import card, versions
from edgesam_bench.gpu.clock import Budget, Clock, Deadline
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.model import Model
from edgesam_bench.gpu.settings import Settings
from edgesam_bench.gpu.tools import Tools, find_tools

PEAKS, TESTS = "peaks", "tests"
_PEAKS, _TESTS, _MODEL = 20.0, 60.0, 140.0  # shares of the time

Worker = Callable[[str, Findings, Deadline], None]
"""Does a stage: ``peaks``, or a model's."""


def run(
    settings: Settings,
    out: Path | None,
    worker: Worker,
    *,
    clock: Clock = time.perf_counter,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All stages.

    Args:
        settings: see there.
        out: the file, written whenever something was found.
        worker: does what needs the device; the tests have a process of their own in any case.
        clock: what is timed with.
        progress: told what is done.

    Returns:
        the report: JSON-ready.

    Raises:
        ParityError: the file cannot be written.
    """
    findings = Findings(out, head(settings), progress)
    budget = Budget(settings.seconds, _shares(settings), clock)
    if findings.content["no_card"] is not None and settings.device == "cuda":
        findings.missing("the card", findings.content["no_card"])
    findings.save()
    for name in (PEAKS, TESTS, *settings.models):
        deadline = budget.stage(name)
        if name != TESTS:
            worker(name, findings, deadline)
        elif settings.tests is not None:
            suite.measure(findings, deadline, settings.tests)
        findings.save()
    findings.content["finished"], findings.content["seconds"] = True, budget.spent()
    findings.save()
    return findings.content


class Here:
    """A worker in this process.

    Args:
        settings: see there.
        engines: those to look at, by name.
        tools: of this machine; None finds them.
        clock: what is timed with.
        without: contenders that are left out.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        engines: Mapping[str, Engine] = ENGINES,
        tools: Tools | None = None,
        clock: Clock = time.perf_counter,
        without: Sequence[str] = (),
    ) -> None:
        self._settings, self._engines, self._clock = settings, engines, clock
        self._tools = find_tools(settings.device) if tools is None else tools
        self._without = without

    def __call__(self, name: str, findings: Findings, deadline: Deadline) -> None:
        tools = self._tools
        findings.content["waits_by"] = tools.waits_by
        _note_tools(tools, findings)
        usable = _usable(self._engines, self._settings.device, findings)
        findings.save()
        if name == PEAKS:
            peaks.measure(tools, findings, deadline, self._clock)
            return
        stages = Model(name, self._settings, findings, tools, deadline, self._clock, self._without)
        with tempfile.TemporaryDirectory(prefix="edgesam-gpu-") as scratch, findings.warned():
            stages.measure(self._engines, usable, Path(scratch))


def head(settings: Settings) -> dict[str, Any]:
    found, reason = card()
    return {
        "card": found,
        "no_card": reason,
        "device": settings.device,
        "processor": machine.processor(),
        "system": platform.platform(),
        "versions": versions(),
        "waits_by": None,  # told by who can wait
        "budget_seconds": settings.seconds,
        "seconds": None,
        "rounds": settings.rounds,
        "frames": len(settings.material.frames),
        "batch": settings.material.batch,
        "grid": settings.material.grid,
        "picture": list(settings.material.picture.shape[:2]),
    }


def _note_tools(tools: Tools, findings: Findings) -> None:
    if tools.why_no_torch is not None:
        findings.missing("PyTorch as a peer, and device times by it", tools.why_no_torch)
    if tools.waits_by is None:
        findings.missing(
            "waiting for the device",
            "neither torch, cupy nor cuda-bindings can: a call counts as done when it returns",
        )


def _usable(engines: Mapping[str, Engine], device: str, findings: Findings) -> list[str]:
    """Names of those that say they have the device; the others are listed with their reason."""
    names = []
    for name, engine in engines.items():
        reason = engine.available()
        devices = engine.devices() if reason is None else ()
        if reason is None and device not in devices:
            reason = f"has no device {device} here; it has: {', '.join(devices) or 'none'}"
        findings.content["engines"][name] = {"reason": reason, "devices": list(devices)}
        if reason is None:
            names.append(name)
        else:
            findings.missing(f"engine {name} on {device}", reason)
    return names


def _shares(settings: Settings) -> dict[str, float]:
    tests = _TESTS if settings.tests is not None else 1.0
    return {PEAKS: _PEAKS, TESTS: tests, **dict.fromkeys(settings.models, _MODEL)}
