"""bf16: the least that must stay float32 is found, measured, and bound to its passport."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import ExportError, machine
from edgesam.bundle import Bundle, open_bundle
from edgesam.commands import FAILED, main
from edgesam.engines import Graphs
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.image import Image
from edgesam.manifest import Computed
from edgesam_bench.gate import Gate
from edgesam_bench.variants.gallery import Sample
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.precision import measuring

Noise = Callable[..., NDArray[np.uint8]]
LOW = Gate(embedding_error=9.0, mean=0.9, p5=0.8, worst=0.0, tiny_pixels=1 << 20)


class Brain(FakeEngine):
    """Computes in bf16, with masks like fp32's only behind one of the cuts."""

    name = "brain"

    def __init__(self, *good: str) -> None:
        self.good = good
        self.asked: list[str | None] = []

    def precisions(self, device: str) -> tuple[str, ...]:
        return ("bf16", "fp32")

    def open(
        self, graphs: Graphs, *, precision: str, device: str, threads: int | None
    ) -> FakeSession:
        if precision == "fp32":
            return FakeSession()
        self.asked.append(graphs.fp32_until)
        return FakeSession() if graphs.fp32_until in self.good else Blind()


class Blind(FakeSession):
    """Sees a thing in no picture."""

    def all_four(self, side: Any, prompts: Any) -> Any:
        logits, iou = super().all_four(side, prompts)
        return np.full_like(logits, -10.0), iou


@pytest.fixture
def encoder() -> Net:
    net = Net("test", Weights({}))
    x = net.input("image", FLOAT, (1, 4))
    for block in range(3):
        with net.scope(f"blocks.{block}"):
            x = net.matmul(x, net.constant("w", np.eye(4, dtype=np.float32)))
    net.output("image_embeddings", net.gelu(x), (1, 4))
    return net


@pytest.fixture
def samples(noise: Noise) -> list[Sample]:
    def sample(number: int) -> Sample:
        key = hashlib.sha256(bytes([number])).hexdigest()
        pixels = noise(90, 100, seed=number)
        return Sample(key, key, "ct", lambda: Image.from_array(pixels))

    return [sample(number) for number in range(8)]


def measure(bundle: Bundle, encoder: Net, samples: list[Sample], engine: Brain) -> Any:
    return measuring.measured_bf16(bundle, encoder, samples, LOW, lambda _: None, engine)


def test_the_first_cut_that_holds(
    make_bundle: Callable[..., Bundle], encoder: Net, samples: list[Sample]
) -> None:
    bundle = make_bundle()
    engine = Brain("blocks.1/MatMul")
    found, verdict = measure(bundle, encoder, samples, engine)
    assert not verdict.failures
    # Nothing, the first block, the second, and that once more on pictures that did not select.
    assert engine.asked == [None, "blocks.0/MatMul", "blocks.1/MatMul", "blocks.1/MatMul"]
    assert open_bundle(bundle.path) == found
    bf16, fp32 = found.variants["bf16"], found.variants["fp32"]
    assert bf16.computed == Computed("bf16", "blocks.1/MatMul")
    assert bf16.image_encoder == fp32.image_encoder
    report = found.passport(bf16)
    assert report is not None
    assert report["graphs"] == bf16.graphs
    assert [one["fp32_until"] for one in report["tried"]] == [
        None,
        "blocks.0/MatMul",
        "blocks.1/MatMul",
    ]
    # The same files cut elsewhere are not what was measured.
    for until in (None, "blocks.0/MatMul"):
        assert found.passport(replace(bf16, computed=Computed("bf16", until))) is None
    assert found.passport(replace(bf16, computed=None)) is None


def test_no_cut_holds(
    make_bundle: Callable[..., Bundle], encoder: Net, samples: list[Sample]
) -> None:
    bundle = make_bundle()
    engine = Brain()
    found, verdict = measure(bundle, encoder, samples, engine)
    assert verdict.failures == ["nothing in bf16 holds it on the pictures that select"]
    assert found == bundle
    assert engine.asked == [None, "blocks.0/MatMul", "blocks.1/MatMul"]


def test_what_ships_is_not_looked_for(
    make_bundle: Callable[..., Bundle],
    encoder: Net,
    samples: list[Sample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "shipped_cut", lambda sha256: ("blocks.0",))
    engine = Brain("blocks.0/MatMul")
    found, verdict = measure(make_bundle(), encoder, samples, engine)
    assert engine.asked == ["blocks.0/MatMul"]
    assert verdict.report["pictures"]["n"] == len(samples), "none of them selected"
    assert found.variants["bf16"].computed == Computed("bf16", "blocks.0/MatMul")


def test_a_processor_without_it(
    lite_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, exit code 1, and nothing is written: an emulated figure is no passport."""
    monkeypatch.setattr(machine, "instruction_sets", lambda: ("avx2",))
    with pytest.raises(ExportError, match="bf16 cannot be measured here"):
        measuring.check_bf16()
    measuring.check_bf16(Brain())
    out = tmp_path / "b"
    line = ["export", str(lite_checkpoint), "-o", str(out), "--profile", "lite-medsam"]
    (tmp_path / "pictures").mkdir()
    more = ["--variant", "bf16", "--calibration", str(tmp_path / "pictures")]
    assert main([*line, *more]) == FAILED
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "bf16 cannot be measured here" in said[0]
    assert not out.exists()
