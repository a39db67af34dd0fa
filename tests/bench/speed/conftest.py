"""A report of made-up figures, as all that tells, draws or judges one needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam_bench.speed import report as reports
from edgesam_bench.speed.measures import MEASURES, STAGES
from edgesam_bench.speed.rounds import Found

SECONDS = {
    "start": 1.5,
    "first_start": 1.8,
    "encode": 0.7,
    "first_click": 0.75,
    "click": 0.045,
    "batch_16": 0.5,
    "batch_64": 2.0,
    "everything": 9.0,
    "memory": 450.0,
}


@pytest.fixture
def make_report() -> Callable[..., dict[str, Any]]:
    """Edgesam's times are multiplied by ``scale``; peers take 2, 3, ... times as long."""

    def make(
        scale: float = 1.0, rounds: int = 3, peers: tuple[str, ...] = (), **more: Any
    ) -> dict[str, Any]:
        found = Found()
        for name in MEASURES:
            for number, who in enumerate(("edgesam", *peers)):
                if number and name == "first_start":
                    continue
                base = SECONDS[name] * (scale if number == 0 else 1 + number)
                for one in range(rounds):
                    found.add(name, who, [base * (1 + 0.01 * one), base * (1.02 + 0.01 * one)])
        found.stages = {"read": [0.01], "embed": [0.7], "click": [0.045]}
        for whole, parts in STAGES.items():
            share = found.stages[whole][0] / (len(parts) + 1)
            found.stages.update({part: [share, share] for part in parts})
        content: dict[str, Any] = {
            "command": "edgesam bench",
            "schema": reports.SCHEMA,
            "model": "mobile-sam",
            "variant": "fp32",
            "engine": "onnxruntime:cpu",
            "graphs": {"image_encoder": "a" * 64},
            "passport": None,
            "threads": None,
            "picture": {"name": "a phantom", "width": 512, "height": 512},
            "processor": "a processor, 2 cores",
            "system": "a system",
            "versions": {"edgesam": "0.1.0", "onnxruntime": "1.32.0"},
            "load": {"load_before": 0.1, "load_after": 1.9, "others": 0.01},
            "quick": False,
            "rounds": rounds,
            "clicks": 2,
            "grid": 32,
            "grid_rounds": rounds,
            "busy": None,
            "contenders": ["edgesam", *peers],
            "peers": {
                peer: {"reason": None, "about": {"version": "1"}, "agreement": 0.99}
                for peer in peers
            },
            "idle": {},
            "measures": reports.measures(found),
            "not_measured": {},
            "objects": {"edgesam": 5},
            "stages": reports.stages(found),
            "peak": reports.peak({"numpy": 90.0, "engine": 100.0}),
            "work": reports.work({"encode": 38_000_000_000, "decode": 875_000_000}, found, 100.0),
            "click_samples": {
                who: [value for one in values for value in one]
                for who, values in found.samples["click"].items()
            },
            "compared": None,
            "failures": [],
            **more,
        }
        return {**content, "doubts": reports.doubts(content)}

    return make
