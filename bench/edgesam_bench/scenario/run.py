"""One run of ``edgesam bench --scenario``: opens, plays, reports. Prints nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgesam
from edgesam import machine
from edgesam.bundle import find_bundle
from edgesam.loading import as_tuned
from edgesam_bench.cost.peak import peak_mib
from edgesam_bench.scenario import batch, cine, report, viewer
from edgesam_bench.scenario.memory import Curve
from edgesam_bench.scenario.recorder import Recorder, recorded, watching
from edgesam_bench.scenario.scene import Played, Scene
from edgesam_bench.scenario.source import opened
from edgesam_bench.scenario.timeline import Timeline
from edgesam_bench.speed import busyness

_PLAYERS: dict[str, Callable[[Scene], Played]] = {
    "viewer": viewer.play,
    "cine": cine.play,
    "batch": batch.play,
}
_ROUNDS = 3


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line.

    Attributes:
        scenario: ``viewer``, ``cine`` or ``batch``.
        model: a known model's name, or a bundle's folder.
        engine: as for :func:`edgesam.load`, like the three that follow.
        device: see there.
        variant: see there.
        threads: see there.
        rounds: None for as many as usual.
        quick: one round.
        image: a study, a volume, a cine or a folder of pictures; None for drawn ones.
    """

    scenario: str
    model: str
    engine: str
    device: str
    variant: str
    threads: int | None
    rounds: int | None
    quick: bool
    image: Path | None


def run(
    request: Request,
    progress: Callable[[str], None],
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """The report of everything.

    Raises:
        EdgeSamError: the model, the engine or the pictures cannot be used.
    """
    watch = busyness.Watch()
    rounds = request.rounds or (1 if request.quick else _ROUNDS)
    bundle = find_bundle(request.model)
    progress("opening the pictures")
    source = opened(request.image)
    best = as_tuned(bundle, request.engine, request.variant, request.device)
    threads = request.threads or (None if best is None else best.threads)
    options: dict[str, Any] = {
        name: getattr(request, name) for name in ("engine", "device", "variant")
    }
    with edgesam.load(bundle.path, **options, threads=threads) as sam:
        timeline = Timeline()
        recorder = Recorder(timeline)
        frames = recorded(source, recorder)
        scene = Scene(sam, source, frames, recorder, rounds, progress, sleep)
        with watching(sam, recorder), Curve(timeline.now) as curve:
            played = _PLAYERS[request.scenario](scene)
        load = watch.told()
        head = {
            "command": f"edgesam bench --scenario {request.scenario}",
            "schema": report.SCHEMA,
            "scenario": request.scenario,
            "model": bundle.manifest.model,
            "variant": sam.variant,
            "engine": sam.engine,
            "graphs": bundle.variants[sam.variant].graphs,
            "threads": threads,
            "source": {
                "name": source.name,
                "pictures": len(source.readers),
                "width": source.width,
                "height": source.height,
            },
            "processor": machine.processor(),
            "system": platform.platform(),
            "versions": machine.versions(),
            "quick": request.quick,
            "rounds": rounds,
            "load": load,
            "busy": busyness.complaint(load, os.cpu_count() or 1),
        }
    return report.assembled(head, played, timeline, curve.told(), peak_mib())
