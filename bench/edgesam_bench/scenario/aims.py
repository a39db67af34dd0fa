"""What was aimed at on two cores, and whether a report reaches it. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgesam_bench.scenario.table import amount


@dataclass(frozen=True)
class Aim:
    """The most that a measure may be.

    Attributes:
        scenario: that measures it.
        measure: its name there.
        figure: which one of its figures.
        most: of it, in the measure's unit.
        title: in words.
    """

    scenario: str
    measure: str
    figure: str
    most: float
    title: str

    def row(self, report: Mapping[str, Any]) -> tuple[str, ...]:
        """Title, aim, what was found, and what that is."""
        measure = report["measures"][self.measure]
        found, unit = measure[self.figure], measure["unit"]
        verdict = "holds" if found <= self.most else "missed"
        return self.title, f"at most {amount(self.most, unit)}", amount(found, unit), verdict


AIMS: tuple[Aim, ...] = (
    Aim("viewer", "next_ratio", "p50", 1.15, "click on a prefetched slice / bare click, p50"),
    Aim("viewer", "jump_ratio", "p50", 1.10, "jump while prefetching / encode and click, p50"),
    Aim("cine", "heartbeat", "max", 0.05, "event loop late while encoding, at most"),
    Aim("cine", "heartbeat_files", "max", 0.05, "the same while files are decoded, too"),
    Aim("batch", "ratio", "p50", 1 / 1.15, "stream / serial loop, p50"),
)


def rows(reports: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Of those aims whose scenario was played."""
    played = {report["scenario"]: report for report in reports}
    return [aim.row(played[aim.scenario]) for aim in AIMS if aim.scenario in played]
