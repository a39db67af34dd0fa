"""Plays a long list through a stream and through a loop, in turn. No engine.

In every other round the stream goes first. Where the loop's time goes is seen on the time-line, and
with it what the best overlap could bring: only what is not encoding can be hidden behind it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import edgesam
from edgesam import machine
from edgesam.cine import Cine
from edgesam.embedding import Embedding
from edgesam_bench.scenario.memory import resident_mib
from edgesam_bench.scenario.recorder import recorded
from edgesam_bench.scenario.scene import Played, Scene

STAGES = ("read", "prepare", "encode", "side", "click")

_PICTURES = 8  # in each pass


def play(scene: Scene) -> Played:
    """All rounds."""
    played = Played()
    few = replace(scene.source, readers=scene.source.readers[:_PICTURES])
    frames = recorded(few, scene.recorder)
    scene.sam.segment(scene.sam.embed(frames.frame(0)), few.prompt(0))  # first runs take longer
    passes: dict[str, list[tuple[float, float]]] = {"loop": [], "stream": []}
    busy: dict[str, list[float]] = {"loop": [], "stream": []}
    held: list[float] = []
    ways: dict[str, Callable[[Scene, Cine], Iterator[Embedding]]]
    ways = {"loop": _loop, "stream": _stream}
    for number in range(scene.rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            scene.progress(f"round {number + 1} of {scene.rounds}: {name}")
            begun, worked = scene.timeline.now(), time.process_time()
            for index, embedding in enumerate(ways[name](scene, frames)):
                with scene.recorder.click(index):
                    scene.sam.segment(embedding, scene.source.prompt(index))
                if name == "stream" and (mib := resident_mib()) is not None:
                    held.append(round(mib, 1))
            ended = scene.timeline.now()
            passes[name].append((begun, ended))
            busy[name].append((time.process_time() - worked) / (ended - begun))
            played.add(name, number, (ended - begun) / len(frames))
        (loop,), (stream,) = (played.samples[name][number] for name in ways)
        played.add("ratio", number, stream / loop)
    played.parts = [(name, *passes[name][0]) for name in ways]
    played.facts = {
        "pictures": len(frames),
        "cores": machine.cores(),
        "busy": {name: statistics.median(shares) for name, shares in busy.items()},
        "held": held,
        **where(scene, passes["loop"], played.samples["loop"]),
        "speedup": speedup(played),
    }
    return played


def _loop(scene: Scene, frames: Cine) -> Iterator[Embedding]:
    return (scene.sam.embed(image) for image in frames)


def _stream(scene: Scene, frames: Cine) -> Iterator[Embedding]:
    return edgesam.stream(scene.sam, frames)


def where(
    scene: Scene, passes: list[tuple[float, float]], seconds: list[list[float]]
) -> dict[str, Any]:
    """``stages``: the loop's time of a picture; ``bound``: loop / encoding alone."""
    inside = [s for s in scene.timeline.spans if any(a <= s.start < b for a, b in passes)]
    stages = {
        stage: statistics.median(s.end - s.start for s in inside if s.stage == stage)
        for stage in STAGES
    }
    whole = statistics.median(one for (one,) in seconds)
    stages["other"] = max(0.0, whole - sum(stages.values()))
    return {"stages": stages, "bound": whole / (stages["encode"] + stages["side"])}


def speedup(played: Played) -> dict[str, float]:
    """Loop / stream, of the rounds."""
    ratios = [1 / one for (one,) in played.samples["ratio"]]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
