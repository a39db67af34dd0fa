"""The program that builds a plan: what it answers to each way of failing."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgesam import BundleError, EngineUnavailable, PrecisionMismatch
from edgesam.engines.tensorrt import build
from edgesam.engines.tensorrt import network as networks
from edgesam.engines.tensorrt.building import MARK, Request
from edgesam.engines.tensorrt.flavour import CLASSIC
from edgesam.engines.tensorrt.network import Parsed
from edgesam.errors import OutOfMemory

REQUEST = Request("g.onnx", "fp16", "tensorrt", (), "plan", None)


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line[len(MARK) :]) for line in output.splitlines() if line.startswith(MARK)]


def test_a_request_comes_through_unchanged() -> None:
    asked = Request("g.onnx", "int8", "tensorrt-rtx", ("8.6", "12.0"), "p", "t")
    assert Request.from_json(asked.to_json()) == asked


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (PrecisionMismatch("g.onnx has HALF"), "PrecisionMismatch", "g.onnx has HALF"),
        (MemoryError(), "OutOfMemory", "memory ran out while a TensorRT plan was being built"),
        (
            ImportError("no module"),
            "EngineUnavailable",
            "the plan's builder cannot be imported: no module",
        ),
        (
            OSError(28, "No space left on device"),
            "BundleError",
            "the plan cannot be written: No space left on device",
        ),
    ],
)
def test_what_fails_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    kind: str,
    message: str,
) -> None:
    def fail(request: Request) -> None:
        assert request == REQUEST
        raise error

    monkeypatch.setattr(build, "answer", fail)
    monkeypatch.setattr(sys, "stdin", io.StringIO(REQUEST.to_json()))
    assert build.main() == 1
    assert events(capsys.readouterr().out) == [{"error": kind, "message": message}]


def test_plan_and_timings_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def built(network: Any, capabilities: Any, tell: Any, timing: bytes | None) -> Any:
        asked.append((network, capabilities, timing))
        tell("Timing tactics")
        return b"plan", b"timings"

    monkeypatch.setattr(networks, "parsed", lambda flavour, graph, precision: flavour.name)
    monkeypatch.setattr(networks, "built", built)
    plan, timing = tmp_path / "plan", tmp_path / "timing"
    request = Request("g.onnx", "fp16", "tensorrt", ("8.6",), str(plan), str(timing))
    build.answer(request)
    assert (plan.read_bytes(), timing.read_bytes()) == (b"plan", b"timings")
    build.answer(request)
    assert asked == [("tensorrt", ("8.6",), b""), ("tensorrt", ("8.6",), b"timings")]


class TestTheBuilderItself:
    """What TensorRT says when it gives no plan, as an error of ours."""

    @pytest.mark.parametrize(
        ("said", "kind", "message"),
        [
            (
                "Requested amount of GPU memory (12 bytes) could not be allocated",
                OutOfMemory,
                "TensorRT ran out of memory while building g.onnx: close other programs, or take a "
                "smaller model (Requested amount of GPU memory (12 bytes) could not be allocated)",
            ),
            (
                "Cuda Runtime (invalid device ordinal)",
                EngineUnavailable,
                "TensorRT cannot build g.onnx on this GPU: Cuda Runtime (invalid device ordinal)",
            ),
            (
                "Could not find any implementation for node {x}",
                BundleError,
                "TensorRT cannot build g.onnx: Could not find any implementation for node {x}",
            ),
            ("", BundleError, "TensorRT cannot build g.onnx: it does not say why"),
        ],
    )
    def test_no_plan(self, said: str, kind: type[Exception], message: str) -> None:
        network, config, cache = _classic(said)
        with pytest.raises(kind) as error:
            networks.built(network, [], lambda _: None, b"earlier")
        assert str(error.value) == message
        assert config.cleared == ["TF32"], "fp32 is fp32"
        assert config.profiling_verbosity == "DETAILED"
        assert cache == [b"earlier"]


def _classic(said: str) -> tuple[Parsed, Any, list[bytes]]:
    """A classic TensorRT that builds nothing and says that."""

    class Monitor:
        pass

    class Log:
        def take(self) -> str:
            return said or "it does not say why"

    class Config:
        profiling_verbosity = ""

        def __init__(self) -> None:
            self.cleared: list[str] = []

        def clear_flag(self, flag: str) -> None:
            self.cleared.append(flag)

        def add_optimization_profile(self, profile: Any) -> int:
            return 0

        def create_timing_cache(self, content: bytes) -> bytes:
            given.append(content)
            return content

        def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
            assert not ignore_mismatch
            return True

    given: list[bytes] = []
    config = Config()
    trt = SimpleNamespace(
        BuilderFlag=SimpleNamespace(TF32="TF32"),
        ProfilingVerbosity=SimpleNamespace(DETAILED="DETAILED"),
        IProgressMonitor=Monitor,
    )
    builder = SimpleNamespace(
        create_builder_config=lambda: config,
        create_optimization_profile=lambda: None,
        build_serialized_network=lambda network, config: None,
    )
    network = SimpleNamespace(num_inputs=0)
    return Parsed(CLASSIC, trt, Log(), builder, None, network, Path("g.onnx")), config, given
