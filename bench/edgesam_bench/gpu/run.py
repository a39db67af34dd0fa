"""The stages, one after the other, each in its share of the time. Knows no figure."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edgesam
from edgesam import Sam, machine
from edgesam.engines import ENGINES, Engine
from edgesam_bench.gpu import parity, peaks, speed, suite
from edgesam_bench.gpu.card import card, versions
from edgesam_bench.gpu.clock import Budget, Clock, Deadline
from edgesam_bench.gpu.contender import Contender, EdgeSam, Material, material
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.gallery import gallery
from edgesam_bench.gpu.subjects import MODELS, Subject, prepared
from edgesam_bench.gpu.tools import Tools, find_tools
from edgesam_bench.gpu.torch_peer import WAYS, TorchPeer
from edgesam_bench.pictures import DEFAULT_FOLDER

_PEAKS, _TESTS = 20.0, 60.0  # shares of the time, as are those of each model:
_PARITY, _SPEED = 70.0, 70.0


@dataclass(frozen=True)
class Settings:
    """How much is measured, and of what.

    Attributes:
        models: of :data:`edgesam_bench.gpu.subjects.MODELS`.
        bundles: model -> a bundle to take instead of the home's.
        data: folder of medical pictures; where there are none, phantoms are compared.
        pictures: to compare masks on.
        seconds: for all of it.
        rounds: of speed.
        tests: folder of the tests; None runs none.
        device: ``cuda``; ``cpu`` shows that the stages work, where there is no card.
        material: what contenders are asked about.
    """

    models: Sequence[str] = MODELS
    bundles: Mapping[str, Path] = field(default_factory=dict)
    data: Path = DEFAULT_FOLDER
    pictures: int = 44  # a few of which may show nothing to ask about
    seconds: float = 440.0
    rounds: int = 5
    tests: Path | None = suite.TESTS
    device: str = "cuda"
    material: Material = field(default_factory=material)


def run(
    settings: Settings,
    out: Path | None = None,
    *,
    engines: Mapping[str, Engine] = ENGINES,
    tools: Tools | None = None,
    clock: Clock = time.perf_counter,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All stages.

    Args:
        settings: see there.
        out: the file, written after every stage.
        engines: those to look at, by name.
        tools: of this machine; None finds them.
        clock: what is timed with.
        progress: told what is done.

    Returns:
        the report: JSON-ready.

    Raises:
        ParityError: the file cannot be written.
    """
    tools = find_tools(settings.device) if tools is None else tools
    findings = Findings(out, _head(settings, tools), progress)
    budget = Budget(settings.seconds, _shares(settings), clock)
    _note_tools(tools, findings, settings.device)
    findings.missing("encode of several pictures in one call", "edgesam has no such call")
    usable = _usable(engines, settings.device, findings)
    findings.save()
    peaks.measure(tools, findings, budget.stage("peaks"), clock)
    findings.save()
    deadline = budget.stage("tests")
    if settings.tests is not None:
        suite.measure(findings, deadline, settings.tests)
        findings.save()
    for model in settings.models:
        with tempfile.TemporaryDirectory(prefix="edgesam-gpu-") as scratch:
            stages = _Model(model, settings, findings, tools, budget, clock)
            stages.measure(engines, usable, Path(scratch))
    findings.content["finished"], findings.content["seconds"] = True, budget.spent()
    findings.save()
    return findings.content


@dataclass(frozen=True)
class _Model:
    """The stages of one model."""

    model: str
    settings: Settings
    findings: Findings
    tools: Tools
    budget: Budget
    clock: Clock

    def measure(self, engines: Mapping[str, Engine], usable: Sequence[str], scratch: Path) -> None:
        """Parity before speed: what peers compile must not cost it its time."""
        model, findings = self.model, self.findings
        close = self.budget.stage(f"parity {model}")

        def stages() -> None:
            with prepared(model, self.settings.bundles, scratch) as subject, ExitStack() as opened:
                ours = [*_opened_ours(self, subject, engines, usable, opened)]
                _parity(self, subject, ours, engines, close)
                findings.save()
                self._race(subject, ours, opened)

        if not usable and self.tools.torch is None:
            findings.missing(model, "no engine and no PyTorch can use the device here")
        elif close.passed():
            findings.missing(model, "time ran out")
        else:
            findings.attempt(model, stages)
            findings.save()
        self.budget.drop(f"speed {model}")

    def _race(self, subject: Subject, ours: Sequence[EdgeSam], opened: ExitStack) -> None:
        deadline = self.budget.stage(f"speed {self.model}")
        if deadline.passed():
            self.findings.missing(f"{self.model}: speed", "time ran out")
            return
        both: list[Contender] = [*ours, *_opened_peers(self, subject, opened)]
        race = speed.Race(self.model, subject.bundle, both, len(self.settings.material.frames))
        limits = self.tools, deadline, self.clock
        speed.measure(race, self.settings.rounds, self.findings, *limits)
        self._agreements(both)

    def _agreements(self, contenders: Sequence[Contender]) -> None:
        """Of each with the first one."""
        told = self.findings.content["contenders"]
        for contender in contenders[1:]:

            def work(contender: Contender = contender) -> None:
                found = speed.agreement(contender, contenders[0])
                for one in told:
                    if (one["model"], one["contender"]) == (self.model, contender.name):
                        one["agreement"] = {"with": contenders[0].name, **found}

            self.findings.attempt(f"{self.model}, {contender.name}: agreement", work)


def _opened_ours(
    stage: _Model,
    subject: Subject,
    engines: Mapping[str, Engine],
    usable: Sequence[str],
    opened: ExitStack,
) -> Iterator[EdgeSam]:
    """Each engine with each variant that it runs natively on the device; fp32 comes first."""
    device, findings = stage.settings.device, stage.findings
    for name in usable:
        native = engines[name].precisions(device)
        for variant in subject.bundle.variants:
            what = f"{stage.model}, {name} {variant}"
            if variant not in native:
                findings.missing(what, f"{name} has no {variant} of its own on {device}")
                continue
            found: list[EdgeSam] = []

            def work(name: str = name, variant: str = variant, into: Any = found) -> None:
                sam = edgesam.load(
                    subject.bundle.path, engine=engines[name], variant=variant, device=device
                )
                opened.callback(sam.close)
                into.append(EdgeSam(sam, name, stage.settings.material))

            findings.progress(f"{what}: opening")
            started = stage.clock()
            if findings.attempt(what, work):
                _introduce(stage, subject, found[0], stage.clock() - started)
                yield found[0]


def _opened_peers(stage: _Model, subject: Subject, opened: ExitStack) -> Iterator[TorchPeer]:
    torch, findings = stage.tools.torch, stage.findings
    for way in WAYS:
        what = f"{stage.model}, {way.name}"
        if torch is None:
            findings.missing(what, stage.tools.why_no_torch or "there is no PyTorch")
            continue
        found: list[TorchPeer] = []

        def work(way: Any = way, into: Any = found) -> None:
            settings = stage.settings
            into.append(TorchPeer(torch, settings.device, way, subject, settings.material))
            opened.callback(into[0].close)

        findings.progress(f"{what}: opening")
        started = stage.clock()
        if findings.attempt(what, work):
            _introduce(stage, subject, found[0], stage.clock() - started)
            yield found[0]


def _introduce(stage: _Model, subject: Subject, contender: Contender, seconds: float) -> None:
    stage.findings.content["contenders"].append(
        {
            "model": stage.model,
            "contender": contender.name,
            "ours": contender.ours,
            "weights": subject.weights,
            "graphs": subject.bundle.variants["fp32"].graphs,
            "open_seconds": seconds,
            "runs": contender.about,  # it may say more later
        }
    )


def _parity(
    stage: _Model,
    subject: Subject,
    ours: Sequence[EdgeSam],
    engines: Mapping[str, Engine],
    deadline: Deadline,
) -> None:
    model, findings = stage.model, stage.findings
    if not ours:
        return
    reference = next((e for e in engines.values() if "cpu" in e.devices()), None)
    what = f"{model}: parity with fp32 on the CPU"
    if reference is None:
        findings.missing(what, "no engine runs on the CPU here")
        return
    if deadline.passed():
        findings.missing(what, "time ran out")
        return
    samples, source = gallery(stage.settings.data, stage.settings.pictures)
    with _fp32(subject, reference) as fp32:
        if subject.weights == "random":
            parity.measure_embeddings(model, fp32, ours, samples, source, findings)
        else:
            parity.measure(model, fp32, ours, samples, source, findings, deadline)


@contextmanager
def _fp32(subject: Subject, engine: Engine) -> Iterator[Sam]:
    with edgesam.load(subject.bundle.path, engine=engine, variant="fp32", device="cpu") as sam:
        yield sam


def _head(settings: Settings, tools: Tools) -> dict[str, Any]:
    found, reason = card()
    return {
        "card": found,
        "no_card": reason,
        "device": settings.device,
        "processor": machine.processor(),
        "system": platform.platform(),
        "versions": versions(),
        "waits_by": tools.waits_by,
        "budget_seconds": settings.seconds,
        "seconds": None,
        "rounds": settings.rounds,
        "frames": len(settings.material.frames),
        "batch": settings.material.batch,
        "grid": settings.material.grid,
        "picture": list(settings.material.picture.shape[:2]),
    }


def _note_tools(tools: Tools, findings: Findings, device: str) -> None:
    if findings.content["no_card"] is not None and device == "cuda":
        findings.missing("the card", findings.content["no_card"])
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
    shares = {"peaks": _PEAKS, "tests": _TESTS if settings.tests is not None else 1.0}
    for model in settings.models:
        shares |= {f"parity {model}": _PARITY, f"speed {model}": _SPEED}
    return shares
