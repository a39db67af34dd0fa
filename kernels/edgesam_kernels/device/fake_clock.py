"""The virtual time of a device that is none. Knows engines and seconds, no memory."""

from __future__ import annotations

from dataclasses import dataclass, field


class Misuse(AssertionError):
    """A call that a real device would answer with wrong results, an error, or a crash."""


@dataclass(frozen=True)
class Costs:
    """What work takes, in seconds of virtual time.

    Attributes:
        latency: of every copy, fill and kernel.
        bytes_per_second: of copies, each way by an engine of its own.
        kernel: of a kernel for which nothing else was said.
        poll: of asking whether an event is done, on the host.
    """

    latency: float = 5e-6
    bytes_per_second: float = 25e9
    kernel: float = 1e-4
    poll: float = 1e-6


@dataclass(frozen=True)
class Span:
    """A piece of work and when it ran."""

    name: str
    engine: str
    stream: int
    start: float
    end: float


@dataclass
class Clock:
    """One copy engine each way and one for kernels, each in the order in which it was given work;
    and the host, whose time passes only where it waits or says so.
    """

    host: float = 0.0
    engines: dict[str, float] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    def run(self, name: str, engine: str, stream: int, ready: float, seconds: float) -> float:
        """When work that may begin at ``ready`` is done."""
        start = max(self.host, ready, self.engines.get(engine, 0.0))
        end = start + seconds
        self.engines[engine] = end
        self.spans.append(Span(name, engine, stream, start, end))
        return end

    def wait(self, until: float) -> None:
        """The host waits."""
        self.host = max(self.host, until)

    def busy(self, engine: str) -> float:
        """Seconds in which an engine worked."""
        return sum(span.end - span.start for span in self.spans if span.engine == engine)

    def overlap(self, one: str, other: str) -> float:
        """Seconds in which two engines worked at once."""
        return sum(
            max(0.0, min(a.end, b.end) - max(a.start, b.start))
            for a in self.spans
            if a.engine == one
            for b in self.spans
            if b.engine == other
        )
