"""How much is measured, and of what. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgesam_bench.gpu import suite
from edgesam_bench.gpu.contender import Material, material
from edgesam_bench.gpu.subjects import MODELS
from edgesam_bench.pictures import DEFAULT_FOLDER


@dataclass(frozen=True)
class Settings:
    """What a person may choose, and what tests make smaller.

    Attributes:
        models: of :data:`edgesam_bench.gpu.subjects.MODELS`.
        bundles: model -> a bundle to take instead of the home's.
        data: folder of medical pictures; where there are none, phantoms are compared.
        pictures: to compare masks on.
        seconds: for all of it.
        rounds: of speed.
        tests: folder of the tests; None runs none.
        device: ``cuda``; ``cpu`` shows that the stages work, where there is no card.
        material: what contenders are asked about.
    """

    models: Sequence[str] = MODELS
    bundles: Mapping[str, Path] = field(default_factory=dict)
    data: Path = DEFAULT_FOLDER
    pictures: int = 44  # a few of which may show nothing to ask about
    seconds: float = 440.0
    rounds: int = 5
    tests: Path | None = suite.TESTS
    device: str = "cuda"
    material: Material = field(default_factory=material)
