"""A GPU that is none: an engine that paints on "cuda", a clock that ticks, and no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.bundle import Bundle
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.errors import OutOfMemory
from edgesam_bench.gpu.contender import Material, material
from edgesam_bench.gpu.run import Here, run
from edgesam_bench.gpu.settings import Settings
from edgesam_bench.gpu.tools import Tools, wait_for_nothing

NO_TORCH = "needs the package torch (not installed)"


class Clock:
    """Every look at it takes a millisecond; what is done in between takes none."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class FakeCuda(FakeEngine):
    """Paints on the CPU, the reference, and on cuda, whatever it is made to do wrong there.

    Args:
        name: of the engine.
        wrong: paints something else on cuda.
        fails_at: number of the decoder call on cuda from which memory is gone.
        refuses: what opening on cuda raises.
    """

    def __init__(
        self,
        name: str = "fake",
        wrong: bool = False,
        fails_at: int | None = None,
        refuses: Exception | None = None,
    ) -> None:
        self.name = name  # type: ignore[misc]
        self.wrong, self.fails_at, self.refuses = wrong, fails_at, refuses
        self.closed = 0

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "cuda")

    def open(self, graphs: Graphs, **how: Any) -> FakeSession:
        if how["device"] == "cpu":
            return FakeSession()
        if self.refuses is not None:
            raise self.refuses
        return FakeOnCuda(self)


class FakeOnCuda(FakeSession):
    description = "fake:cuda"

    def __init__(self, engine: FakeCuda) -> None:
        super().__init__()
        self.engine, self.calls = engine, 0

    def all_four(
        self, side: Any, prompts: Prompts
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.calls += 1
        if self.engine.fails_at is not None and self.calls >= self.engine.fails_at:
            raise OutOfMemory("the device has no memory left")
        logits, iou = super().all_four(side, prompts)
        return (np.roll(logits, 40, axis=-1), iou) if self.engine.wrong else (logits, iou)

    def close(self) -> None:
        self.engine.closed += 1


def small(whole: Material) -> Material:
    """Its pictures' middle, so that painting is quick."""
    middle = slice(192, 320)
    frames = [frame[middle, middle] for frame in whole.frames]
    return replace(whole, picture=whole.picture[middle, middle], frames=frames)


@pytest.fixture
def make_cuda() -> Callable[..., FakeCuda]:
    return FakeCuda


@pytest.fixture
def run_fake(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs all stages on one small bundle; keywords are those of Settings, but for ``engines``."""

    def start(*engines: Any, out: Path | None = None, **more: Any) -> dict[str, Any]:
        tools = more.pop("tools", Tools(None, NO_TORCH, wait_for_nothing, "a fake", None))
        clock = more.pop("clock", None) or Clock()
        bundle = make_bundle(model="mobile-sam")
        how: dict[str, Any] = {
            "models": ["mobile-sam"],
            "bundles": {"mobile-sam": bundle.path},
            "data": tmp_path / "no-pictures",
            "pictures": 3,
            "rounds": 2,
            "tests": None,
            "material": small(material(frames=2, grid=2, batch=2)),
        }
        settings = Settings(**{**how, **more})
        named = {engine.name: engine for engine in engines}
        worker = Here(settings, engines=named, tools=tools, clock=clock)
        return run(settings, out, worker, clock=clock)

    return start


@pytest.fixture
def reasons() -> Callable[[dict[str, Any]], dict[str, str]]:
    """What was not measured, and why."""
    return lambda report: {one["what"]: one["reason"] for one in report["not_measured"]}
