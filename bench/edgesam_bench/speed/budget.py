"""Limits that measurements must keep, as ``--budget`` has them; knows names and units, no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgesam_bench.speed.measures import MEASURES, STATISTICS, Measure

FORM = "[MEASURE.]STATISTIC=LIMIT, as click.p95=50ms"

_DEFAULT = "click"
# Of a measure -> as it is told; x is a ratio.
_UNITS = {"s": ("ms", 1e-3), "MiB": ("MiB", 1.0), "x": ("x", 1.0)}
_SCALES = {"ms": ("s", 1e-3), "s": ("s", 1.0), "MiB": ("MiB", 1.0), "x": ("x", 1.0)}
_PATTERN = re.compile(r"(?:([a-z0-9_]+)\.)?([a-z0-9]+)=([0-9]+(?:\.[0-9]+)?)(ms|s|MiB|x)")


@dataclass(frozen=True)
class Budget:
    """One limit.

    Attributes:
        measure: name of it.
        statistic: of its samples, as ``p95``.
        limit: in the measure's unit.
        unit: of the measure.
    """

    measure: str
    statistic: str
    limit: float
    unit: str = "s"

    @classmethod
    def parse(cls, text: str, measures: Mapping[str, Measure] = MEASURES) -> Budget:
        """Of ``click.p95=50ms``; without a measure the click is meant.

        Args:
            text: one limit.
            measures: that there are, by name.

        Raises:
            ValueError: it is not of that form, in one line that says why.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not {FORM}; units: {', '.join(_SCALES)}")
        name, statistic, number, unit = match.groups()
        name = name or _DEFAULT
        if name not in measures:
            raise ValueError(f"{text!r}: no measure is called {name!r}: {', '.join(measures)}")
        if statistic not in STATISTICS:
            raise ValueError(f"{text!r}: {statistic!r} is none of {', '.join(STATISTICS)}")
        kind, scale = _SCALES[unit]
        wanted = measures[name].unit
        if kind != wanted:
            units = " or ".join(u for u, (k, _) in _SCALES.items() if k == wanted)
            raise ValueError(f"{text!r}: {name} is told in {units}, not in {unit}")
        limit = float(number) * scale
        if not 0 < limit < math.inf:
            raise ValueError(f"{text!r}: the limit must be more than nothing")
        return cls(name, statistic, limit, wanted)

    def miss(self, figures: Mapping[str, Mapping[str, Any]]) -> str | None:
        """What is above the limit, in one line, or None.

        What was not measured cannot be shown to be within it: that is a miss, too.

        Args:
            figures: of each measure its statistics, and ``n``.
        """
        name = f"{self.measure}.{self.statistic}"
        unit, scale = _UNITS[self.unit]
        if self.measure not in figures:
            return f"{name} was not measured, its budget is {self.limit / scale:g} {unit}"
        found = figures[self.measure]
        value = found[self.statistic]
        if value <= self.limit:
            return None
        return (
            f"{name} is {value / scale:.4g} {unit} (n={found['n']}), its budget is "
            f"{self.limit / scale:g} {unit}"
        )
