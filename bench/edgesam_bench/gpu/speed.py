"""Asks all contenders of a model in turn, A B A B, and makes rows of what they needed.

Knows no engine. The first round is whole even where time is short, so that one slow start costs
others no figures, and each contender is measured alone before the next one is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgesam.bundle import Bundle
from edgesam.errors import BundleError
from edgesam_bench.figures import iou, relative_l2
from edgesam_bench.gpu.clock import Clock, Deadline
from edgesam_bench.gpu.contender import Contender
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.measures import MEASURES, Measure
from edgesam_bench.gpu.peaks import shares
from edgesam_bench.gpu.tools import Tools
from edgesam_bench.speed.samples import described, ratio

_WARM = 3


@dataclass
class Race:
    """The contenders of one model.

    Attributes:
        model: its name.
        bundle: of edgesam's contenders; its graphs say how much work there is.
        frames: in a call of a measure of frames.
        never: measures that nobody is asked for, and why.
        contenders: open, at most one of a name.
        samples: measure -> contender -> for each round its wall times in seconds.
        device: measure -> contender -> device times in seconds.
        dropped: measure and contender of what has no figure.
        failed: those of them that were tried.
        alone: of what was measured once so far, before others were there.
        macs: multiply-accumulates of graphs, None where they cannot be counted.
    """

    model: str
    bundle: Bundle
    frames: int
    never: dict[str, str] = field(default_factory=dict)
    contenders: list[Contender] = field(default_factory=list)
    samples: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    device: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    dropped: set[tuple[str, str]] = field(default_factory=set)
    failed: set[tuple[str, str]] = field(default_factory=set)
    alone: set[tuple[str, str]] = field(default_factory=set)
    macs: dict[tuple[str, ...], int | None] = field(default_factory=dict)

    def has(self, measure: str, contender: Contender) -> bool:
        return (measure, contender.name) not in self.dropped

    def fail(self, measure: str, contender: Contender) -> None:
        """It has no such figure at all, not even what was found before."""
        one = measure, contender.name
        self.dropped.add(one)
        self.failed.add(one)
        self.alone.discard(one)
        self.samples.get(measure, {}).pop(contender.name, None)

    def at_once(self, measure: Measure) -> int:
        """How many a call does: the figure is that of one."""
        return self.frames if measure.frames else measure.pictures

    def what(self, measure: str, contender: Contender) -> str:
        """How it is called where it is not measured."""
        return f"{self.model}, {contender.name}: {measure}"


def enter(
    race: Race,
    contender: Contender,
    findings: Findings,
    tools: Tools,
    deadline: Deadline,
    clock: Clock,
) -> None:
    """Warm a contender up and measure it once, alone: whoever comes later and hangs, or takes all
    the time, costs it no figure.
    """
    race.contenders.append(contender)
    for name, why in {**race.never, **contender.without()}.items():
        findings.missing(race.what(name, contender), why)
        race.dropped.add((name, contender.name))
    for name in MEASURES:
        if not race.has(name, contender):
            continue
        if deadline.over():
            findings.missing(race.what(name, contender), "time ran out")
            race.dropped.add((name, contender.name))
            continue
        _warm(race, name, contender, findings, tools)
        if race.has(name, contender):
            race.alone.add((name, contender.name))
            _timed(race, name, contender, 0, findings, tools, clock)
            _publish(race, findings)


def in_turn(
    race: Race, rounds: int, findings: Findings, tools: Tools, deadline: Deadline, clock: Clock
) -> None:
    """All rounds, and then device times; rows go to ``speed`` after every round."""
    for number in range(rounds):
        order = race.contenders if number % 2 == 0 else race.contenders[::-1]
        for name in MEASURES:
            for contender in order:
                if deadline.over() or (number and deadline.passed()):
                    break
                if race.has(name, contender):
                    _timed(race, name, contender, number + 1, findings, tools, clock)
        _publish(race, findings)
    if len(race.contenders) > 1:
        for contender in race.contenders:
            names = [name for name in MEASURES if (name, contender.name) in race.alone]
            if names:
                what = f"{race.what(', '.join(names), contender)}, in turn with the others"
                findings.missing(what, "time ran out: its figures are of one round, alone")
    _device(race, findings, tools, deadline)
    _publish(race, findings)


def _publish(race: Race, findings: Findings) -> None:
    """Rows take the place of those of an earlier attempt; what was not measured again stays."""
    again = {(name, one) for name, samples in race.samples.items() for one in samples}
    again |= race.failed
    findings.content["speed"] = [
        row
        for row in findings.content["speed"]
        if row["model"] != race.model or (row["measure"], row["contender"]) not in again
    ] + _rows(race, findings)
    findings.save()


def agreement(contender: Contender, beside: Contender) -> dict[str, float]:
    """How far two contenders give the same: what is fast may have become another mask."""
    for one in (contender, beside):
        one.embed()
    return {
        "embedding_error": relative_l2(beside.embedding(), contender.embedding()),
        "mask_iou": iou(beside.click(0), contender.click(0)),
    }


def _warm(race: Race, name: str, contender: Contender, findings: Findings, tools: Tools) -> None:
    """A few times: kernels are chosen and compiled, and what comes twice is recorded then. What
    fails is dropped.
    """
    measure = MEASURES[name]
    findings.progress(f"{race.what(name, contender)}: warming up")

    def work() -> None:
        for number in range(_WARM if measure.count > 1 else 1):
            measure.call(contender, number)
        tools.synchronize()

    if not findings.attempt(race.what(name, contender), work):
        race.fail(name, contender)


def _timed(
    race: Race,
    name: str,
    contender: Contender,
    number: int,
    findings: Findings,
    tools: Tools,
    clock: Clock,
) -> None:
    """One round of one measure; a contender that fails in it has no such figure at all."""
    measure = MEASURES[name]
    values: list[float] = []

    def work() -> None:
        for index in range(measure.count):
            tools.synchronize()
            started = clock()
            measure.call(contender, _WARM + number * measure.count + index)
            tools.synchronize()
            values.append((clock() - started) / race.at_once(measure))

    findings.progress(f"{race.what(name, contender)}: {f'round {number}' if number else 'alone'}")
    samples = race.samples.setdefault(name, {})
    if findings.attempt(race.what(name, contender), work):
        if number and (name, contender.name) in race.alone:
            race.alone.discard((name, contender.name))
            samples.pop(contender.name, None)
        samples.setdefault(contender.name, []).append(values)
    else:
        race.fail(name, contender)


def _device(race: Race, findings: Findings, tools: Tools, deadline: Deadline) -> None:
    profile = tools.device_seconds
    if profile is None:
        why = tools.why_no_torch or "there is no device"
        findings.missing("device times", f"PyTorch's profiler is what takes them: {why}")
        return
    for name, measure in MEASURES.items():
        for contender in race.contenders:
            what = f"{race.what(name, contender)}, device time"
            if not measure.profiled or contender.name not in race.samples.get(name, {}):
                continue
            if deadline.over():
                findings.missing(what, "time ran out")
                continue
            findings.progress(what)
            values: list[float] = []

            def work(c: Contender = contender, m: Measure = measure, into: Any = values) -> None:
                for number in range(m.profiled):
                    seconds = profile(lambda: m.call(c, number))  # noqa: B023
                    into.append(seconds / race.at_once(m))

            if findings.attempt(what, work):
                race.device.setdefault(name, {})[contender.name] = values
        _publish(race, findings)


def _rows(race: Race, findings: Findings) -> list[dict[str, Any]]:
    rows = []
    by_name = {contender.name: contender for contender in race.contenders}  # in that order
    peers = [contender.name for contender in race.contenders if not contender.ours]
    for name, samples in race.samples.items():
        for contender, rounds in ((one, samples[one]) for one in by_name if one in samples):
            wall = described(rounds)
            device = race.device.get(name, {}).get(contender)
            row: dict[str, Any] = {
                "model": race.model,
                "contender": contender,
                "measure": name,
                "wall": wall,
                "device": None if device is None else described([device]),
                "peers": {
                    peer: _ratio(wall, described(samples[peer]))
                    for peer in peers
                    if by_name[contender].ours and peer in samples
                },
            }
            if device is not None and MEASURES[name].parts:
                row["shares"] = _shares(race, name, by_name[contender], row["device"], findings)
            rows.append(row)
    _gains(rows, race)
    return rows


def _gains(rows: Sequence[dict[str, Any]], race: Race) -> None:
    """Of an overlapped pipeline: how many times the frames per second of the serial one."""
    for row in rows:
        serial = race.samples.get("serial", {}).get(row["contender"])
        if row["measure"] == "overlapped" and serial is not None:
            row["gain"] = _ratio(described(serial), row["wall"])


def _ratio(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """Of the rounds that both had: the last may have been one contender's alone."""
    both = min(len(one["rounds"]), len(other["rounds"]))
    return ratio(one["rounds"][:both], other["rounds"][:both])


def _shares(
    race: Race,
    name: str,
    contender: Contender,
    device: Mapping[str, float],
    findings: Findings,
) -> dict[str, float] | None:
    """Of the peaks. The work is that of the fp32 graphs, whoever does it in whatever way."""
    variant = race.bundle.variants["fp32"]
    parts = MEASURES[name].parts
    if parts not in race.macs:
        race.macs[parts] = _counted(race, name, findings)
    size = sum(variant.graph(role).size for role in parts)
    if variant.weights is not None and "image_encoder" in parts:
        size += variant.weights.size
    halved = size // 2 if contender.precision in ("fp16", "bf16") else size
    peaks = findings.content["peaks"]
    # Of the whole call: it reads its weights once for all pictures.
    pictures, macs = MEASURES[name].pictures, race.macs[parts]
    whole = None if macs is None else pictures * macs
    return shares(peaks, contender.precision, whole, halved, pictures * device["p50"])


def _counted(race: Race, name: str, findings: Findings) -> int | None:
    """Multiply-accumulates of what a measure runs."""
    what = f"{race.model}: share of the peak of products, {name}"
    try:
        from edgesam_bench.speed.work import macs  # by onnx-ir, which only this needs
    except ImportError as error:
        findings.missing(what, f"needs the package {error.name} (not installed)")
        return None
    variant = race.bundle.variants["fp32"]
    try:
        files = [race.bundle.path / variant.graph(role).file for role in MEASURES[name].parts]
        return sum(map(macs, files))
    except BundleError as error:
        findings.missing(what, str(error))
        return None
