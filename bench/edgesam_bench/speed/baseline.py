"""A report beside an earlier one: ratios, noise, verdicts. Knows reports, measures nothing.

A measure is slower when its p50 is more than 1.10 times the earlier one and the excess is more than
noise: the root of the sum of both runs' squared spreads (interquartile range of the rounds' medians
over their median). Of fewer than three rounds no spread can be told, and nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesam_bench.results import read_results
from edgesam_bench.speed.contender import EDGESAM
from edgesam_bench.speed.report import SCHEMA

LIMIT = 1.10

_SAME = ("processor", "versions", "engine", "variant", "graphs", "threads", "picture", "grid")


def read_report(path: Path) -> dict[str, Any]:
    """A file that this command wrote.

    Raises:
        ValueError: it is none, or of another schema; in one line.
    """
    return read_results(path, ["edgesam bench"], "edgesam bench", SCHEMA)


def compared(now: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """``differences`` of what was measured, in words; ``peak``, the ratio of the machines' peaks;
    and ``measures``, each with ``ratio``, ``noise`` and ``verdict``.
    """
    return {
        "differences": [_difference(name, now, base) for name in _SAME if now[name] != base[name]],
        "peak": now["peak"]["gflops"] / base["peak"]["gflops"],
        "measures": {
            name: _verdict(measure["of"][EDGESAM], base["measures"][name]["of"][EDGESAM])
            for name, measure in now["measures"].items()
            if name in base["measures"]
        },
    }


def failures(comparison: Mapping[str, Any]) -> list[str]:
    """One line for each measure that has become slower, or larger."""
    return [
        f"{name}.p50 is {found['ratio']:.2f} of the earlier one, the limit is {LIMIT} and noise "
        f"{found['noise']:.2f}"
        for name, found in comparison["measures"].items()
        if found["verdict"] == "slower"
    ]


def _verdict(now: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    ratio = now["p50"] / base["p50"]
    if now["spread"] is None or base["spread"] is None:
        return {"ratio": ratio, "noise": None, "verdict": "too few rounds"}
    noise = math.hypot(now["spread"], base["spread"])
    if ratio > LIMIT + noise:
        verdict = "slower"
    elif 1 / ratio > LIMIT + noise:
        verdict = "faster"
    else:
        verdict = "same"
    return {"ratio": ratio, "noise": noise, "verdict": verdict}


def _difference(name: str, now: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    if isinstance(now[name], Mapping) and isinstance(base[name], Mapping):
        keys = [k for k in {**base[name], **now[name]} if now[name].get(k) != base[name].get(k)]
        told = (
            f"{key} {_short(base[name].get(key))} -> {_short(now[name].get(key))}" for key in keys
        )
        return f"{name}: {', '.join(told)}"
    return f"{name}: {_short(base[name])} -> {_short(now[name])}"


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text[:8] if len(text) == 64 else text  # a hash
