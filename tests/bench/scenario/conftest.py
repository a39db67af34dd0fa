"""A scene over an engine without weights, and reports of made-up figures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam.bundle import Bundle
from edgesam.cancel import Cancel
from edgesam.engines import Graphs
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.image import Image
from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.scenario.recorder import Recorder, recorded, watching
from edgesam_bench.scenario.report import assembled
from edgesam_bench.scenario.scene import Played, Scene
from edgesam_bench.scenario.source import Source
from edgesam_bench.scenario.timeline import Span, Timeline

PATIENCE = 20.0


class Held(FakeEngine):
    """Holds what is encoded ahead, where it is told to, until that is told to end."""

    def __init__(self) -> None:
        self.holds = False
        self.begun = threading.Event()

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        engine = self

        class Engine(FakeSession):
            def encode(
                self, image: NDArray[np.float32], cancel: Cancel | None = None
            ) -> NDArray[np.float32]:
                until = time.monotonic() + PATIENCE
                if threading.current_thread().name == "edgesam prefetch":
                    engine.begun.set()
                    while engine.holds and not (cancel and cancel.told):
                        assert time.monotonic() < until
                        time.sleep(0.001)
                return super().encode(image, cancel)

        return Engine()


@pytest.fixture
def engine() -> Held:
    return Held()


@pytest.fixture
def source(noise: Callable[..., NDArray[np.uint8]]) -> Source:
    """Sixteen small pictures, each of its own."""
    images = [Image.from_array(noise(24, 32, seed=n)) for n in range(16)]
    return Source("made up", [partial(lambda image: image, i) for i in images], 24, 32)


@pytest.fixture
def scene(make_bundle: Callable[..., Bundle], engine: Held, source: Source) -> Iterator[Scene]:
    """Two rounds in which nobody ever waits."""
    recorder = Recorder(Timeline())
    with edgesam.load(make_bundle(model="lite-medsam").path, engine=engine) as sam:
        frames = recorded(source, recorder)
        scene = Scene(sam, source, frames, recorder, 2, lambda _: None, lambda _: None)
        with watching(sam, recorder):
            yield scene


FACTS: dict[str, dict[str, Any]] = {
    "viewer": {"kept": 6, "clicks": 4, "from_prefetch": 0.5, "beside": 1, "cancelled": 3},
    "cine": {
        "rate": 25.0,
        "arrived": 200,
        "dropped": 190,
        "segmented": 10,
        "frames_per_second": [1.0, 1.5],
    },
    "batch": {
        "pictures": 8,
        "cores": 2,
        "busy": {"loop": 1.9, "stream": 1.8},
        "held": [300.0, 301.0],
        "stages": dict.fromkeys(("read", "prepare", "encode", "side", "click", "other"), 0.1),
        "bound": 1.5,
        "speedup": {"median": 1.25, "min": 1.2, "max": 1.3},
    },
}
PARTS = {"viewer": [""], "cine": [""], "batch": ["loop", "stream"]}


@pytest.fixture
def make_report() -> Callable[..., dict[str, Any]]:
    """Ten seconds of each part; an encoding that is told to end is in it if wanted."""

    def make(scenario: str, cancelled: bool = True, **more: Any) -> dict[str, Any]:
        timeline = Timeline()
        timeline.spans += [
            Span("read", 2, 0.0, 0.1, True, False),
            Span("prepare", 2, 0.1, 0.2, True, False),
            Span("encode", 2, 0.2, 1.0, True, False),
            Span("side", 2, 1.0, 1.1, True, False),
            Span("encode", 3, 1.2, 2.0, True, cancelled),
            Span("click", 2, 2.0, 2.1, False, False),
            Span("encode", 9, 3.0, 4.0, False, False),
        ]
        parts = [(title, 10.0 * n, 10.0 * n + 10) for n, title in enumerate(PARTS[scenario])]
        played = Played(facts=FACTS[scenario], parts=parts)
        for number, measure in enumerate(SCENARIOS[scenario]):
            if measure.name not in ("memory", "missing"):
                played.samples[measure.name] = [[0.02 * (number + 1), 0.022 * (number + 1)]] * 3
        if scenario == "viewer":
            click = {"at": 2.0, "index": 2, "kind": "prefetched", "seconds": 0.1}
            played.events = [{"at": 0.0, "index": 2, "action": "look"}, click]
        head = {
            "command": f"edgesam bench --scenario {scenario}",
            "schema": 1,
            "scenario": scenario,
            "model": "lite-medsam",
            "variant": "fp32",
            "engine": "onnxruntime:cpu",
            "graphs": {"image_encoder": "a" * 64},
            "threads": None,
            "source": {"name": "made up", "pictures": 20, "width": 512, "height": 512},
            "processor": "a processor, 2 cores",
            "system": "a system",
            "versions": {"edgesam": "0.1.0", "onnxruntime": "1.32.0"},
            "quick": False,
            "rounds": 3,
            "load": {"load_before": 0.1, "load_after": 1.9, "others": 0.01},
            "busy": None,
            **more,
        }
        curve = {"seconds": [0.0, 5.0, 10.0], "mib": [200.0, 300.0, 310.0]}
        return assembled(head, played, timeline, curve, 320.0)

    return make
