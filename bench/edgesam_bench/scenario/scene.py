"""What every scenario needs to be played, and what it leaves. Knows no scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgesam.cine import Cine
from edgesam.sam import Sam
from edgesam_bench.scenario.recorder import Recorder
from edgesam_bench.scenario.source import Source
from edgesam_bench.scenario.timeline import Timeline


@dataclass(frozen=True)
class Scene:
    """Ready to be played.

    Attributes:
        sam: watched.
        source: the pictures.
        frames: the same, recorded as they are read.
        recorder: puts it on the time-line.
        rounds: how often everything is played.
        progress: told what is played.
        sleep: waits so many seconds.
    """

    sam: Sam
    source: Source
    frames: Cine
    recorder: Recorder
    rounds: int
    progress: Callable[[str], None]
    sleep: Callable[[float], object]

    @property
    def timeline(self) -> Timeline:
        """Where it is put."""
        return self.recorder.timeline


@dataclass
class Played:
    """What was found.

    Attributes:
        samples: measure -> for each round its samples, in the measure's unit.
        facts: what is no measure, JSON-ready; see the scenario.
        events: what was done and what it took, JSON-ready, in order.
        parts: pieces of the time-line that are shown: title, start, end.
    """

    samples: dict[str, list[list[float]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    parts: list[tuple[str, float, float]] = field(default_factory=list)

    def add(self, measure: str, number: int, value: float) -> None:
        """One sample of round ``number``, from 0; rounds without samples stay empty."""
        rounds = self.samples.setdefault(measure, [])
        while len(rounds) <= number:
            rounds.append([])
        rounds[number].append(value)
