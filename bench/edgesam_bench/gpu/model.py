"""One model: its contenders are opened, compared and raced. Knows no figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgesam
from edgesam import Sam
from edgesam.engines import Engine
from edgesam_bench.gpu import parity, speed
from edgesam_bench.gpu.clock import Clock, Deadline
from edgesam_bench.gpu.contender import Contender, EdgeSam
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.gallery import gallery
from edgesam_bench.gpu.settings import Settings
from edgesam_bench.gpu.subjects import Subject, prepared
from edgesam_bench.gpu.tools import Tools
from edgesam_bench.gpu.torch_peer import WAYS, TorchPeer

_PARITY = 0.5  # of a model's time


@dataclass(frozen=True)
class Model:
    """The stages of one model.

    Attributes:
        model: its name.
        settings, findings, tools, clock: see there.
        deadline: of all its stages.
        without: contenders that are left out.
    """

    model: str
    settings: Settings
    findings: Findings
    tools: Tools
    deadline: Deadline
    clock: Clock
    without: Sequence[str] = ()

    def measure(self, engines: Mapping[str, Engine], usable: Sequence[str], scratch: Path) -> None:
        """Parity before speed, and ours before peers: what they compile costs it no time."""
        model, findings = self.model, self.findings

        def stages() -> None:
            findings.progress(f"{model}: preparing its bundle")
            with prepared(model, self.settings.bundles, scratch) as subject, ExitStack() as opened:
                if subject.doubt is not None:
                    findings.missing(f"{model} with its own weights", subject.doubt)
                ours = [*_opened_ours(self, subject, engines, usable, opened)]
                findings.save()
                _parity(self, subject, ours, engines, self.deadline.part(_PARITY))
                findings.save()
                self._race(subject, ours, opened)

        if not usable and self.tools.torch is None:
            findings.missing(model, "no engine and no PyTorch can use the device here")
        elif self.deadline.passed():
            findings.missing(model, "time ran out")
        else:
            findings.attempt(model, stages)
        findings.save()

    def _race(self, subject: Subject, ours: Sequence[EdgeSam], opened: ExitStack) -> None:
        race = speed.Race(self.model, subject.bundle, len(self.settings.material.frames))
        if subject.weights == "random":
            race.never["everything"] = "how many masks random weights find is chance"
        limits = self.findings, self.tools, self.deadline, self.clock
        for contender in ours:
            speed.enter(race, contender, *limits)
        for peer in _opened_peers(self, subject, opened):
            speed.enter(race, peer, *limits)
        speed.in_turn(race, self.settings.rounds, *limits)
        self._agreements(race.contenders)

    def _agreements(self, contenders: Sequence[Contender]) -> None:
        """Of each with the first one."""
        told = self.findings.content["contenders"]
        for contender in () if self.deadline.over() else contenders[1:]:

            def work(contender: Contender = contender) -> None:
                found = speed.agreement(contender, contenders[0])
                for one in told:
                    if (one["model"], one["contender"]) == (self.model, contender.name):
                        one["agreement"] = {"with": contenders[0].name, **found}

            what = f"{self.model}, {contender.name}: agreement"
            self.findings.progress(what)
            self.findings.attempt(what, work)


def _opened_ours(
    stage: Model,
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
            if f"{name} {variant}" in stage.without:
                continue
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


def _opened_peers(stage: Model, subject: Subject, opened: ExitStack) -> Iterator[TorchPeer]:
    torch, findings = stage.tools.torch, stage.findings
    for way in WAYS:
        what = f"{stage.model}, {way.name}"
        if way.name in stage.without:
            continue
        if stage.deadline.over():
            findings.missing(what, "time ran out")
            continue
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


def _introduce(stage: Model, subject: Subject, contender: Contender, seconds: float) -> None:
    told, who = stage.findings.content["contenders"], (stage.model, contender.name)
    told[:] = [one for one in told if (one["model"], one["contender"]) != who]
    told.append(
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
    stage: Model,
    subject: Subject,
    ours: Sequence[EdgeSam],
    engines: Mapping[str, Engine],
    deadline: Deadline,
) -> None:
    model, findings = stage.model, stage.findings
    told = [(row["model"], row["contender"]) for row in findings.content["parity"]]
    ours = [one for one in ours if (model, one.name) not in told]  # by an earlier attempt
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
