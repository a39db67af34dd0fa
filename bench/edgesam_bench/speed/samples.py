"""Percentiles, spread and ratios of what was measured in rounds. Knows no measure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

Rounds = Sequence[Sequence[float]]
"""What one contender needed: for each round its samples, at least one."""

LEAST_ROUNDS = 3  # of which a spread can be told


def described(rounds: Rounds) -> dict[str, Any]:
    """Count, percentiles (linear between neighbours), extremes, each round's median, spread."""
    values = np.concatenate([np.asarray(one, np.float64) for one in rounds])
    medians = [statistics.median(one) for one in rounds]
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return {
        "n": int(values.size),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "min": float(values.min()),
        "max": float(values.max()),
        "rounds": medians,
        "spread": spread(medians),
    }


def spread(medians: Sequence[float]) -> float | None:
    """How far the rounds lie apart: their interquartile range over their median.

    None if there are too few rounds to tell.
    """
    if len(medians) < LEAST_ROUNDS:
        return None
    low, middle, high = np.percentile(np.asarray(medians, np.float64), (25, 50, 75))
    return float((high - low) / middle)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Ours over theirs, round by round: below 1 is faster, or less.

    Args:
        ours: each round's median.
        theirs: of the same rounds.
    """
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
