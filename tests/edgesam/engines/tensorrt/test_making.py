"""Plans are taken from disk or built; what is built is kept, and never half of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesam import EngineUnavailable
from edgesam.engines.tensorrt import making
from edgesam.engines.tensorrt.building import Request
from edgesam.engines.tensorrt.flavour import CLASSIC, RTX
from edgesam.engines.tensorrt.making import Target, forget_plan, plan_for, write_ahead
from edgesam.engines.tensorrt.plans import facts_in, folders_for

HERE = Target(CLASSIC, "11.4.0.106", "NVIDIA H200", "9.0", "13.0")


class Builder:
    """In the place of the process: writes what it is told to and remembers requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.expected: list[float | None] = []
        self.earlier: list[bytes | None] = []
        self.fails: Exception | None = None

    def __call__(
        self, request: Request, *, expected: float | None, tell: Any, alive: Callable[[], None]
    ) -> float:
        self.requests.append(request)
        self.expected.append(expected)
        timing = None if request.timing is None else Path(request.timing)
        self.earlier.append(timing.read_bytes() if timing is not None and timing.exists() else None)
        alive()
        if self.fails is not None:
            Path(request.plan).write_bytes(b"half")
            raise self.fails
        Path(request.plan).write_bytes(f"plan {len(self.requests)}".encode())
        if timing is not None:
            timing.write_bytes(f"timings {len(self.requests)}".encode())
        return 2.0


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    found = Builder()
    monkeypatch.setattr(making, "build_in_process", found)
    return found


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    path = folder / "image_side.fp16.01234567.onnx"
    path.write_bytes(b"graph")
    return path


def test_it_is_built_once(graph: Path, builder: Builder) -> None:
    assert plan_for(graph, "fp16", HERE) == b"plan 1"
    assert plan_for(graph, "fp16", HERE) == b"plan 1"
    assert len(builder.requests) == 1
    ((path, facts),) = facts_in(graph.parent / "tensorrt")
    assert path.name == f"image_side.fp16.01234567.{facts.key[:16]}.plan"
    assert (facts.gpu, facts.capability, facts.driver) == ("NVIDIA H200", "9.0", "13.0")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing else is left"


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, version="11.5"),
        replace(HERE, gpu="NVIDIA H100"),
        replace(HERE, capability="8.9"),
        replace(HERE, driver="13.1"),
        replace(HERE, flavour=RTX),
    ],
)
def test_for_another_machine_it_is_built_anew(graph: Path, builder: Builder, other: Target) -> None:
    assert plan_for(graph, "fp16", HERE) == b"plan 1"
    assert plan_for(graph, "fp16", other) == b"plan 2"
    assert plan_for(graph, "fp16", HERE) == b"plan 1"


def test_another_graph_or_precision_or_size(
    graph: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_for(graph, "fp16", HERE)
    assert plan_for(graph, "fp32", HERE) == b"plan 2"
    monkeypatch.setattr(making, "OPTIONS", "other sizes")
    assert plan_for(graph, "fp16", HERE) == b"plan 3"
    monkeypatch.undo()


def test_a_changed_graph(graph: Path, builder: Builder) -> None:
    plan_for(graph, "fp16", HERE)
    graph.write_bytes(b"GRAPH")
    assert plan_for(graph, "fp16", HERE) == b"plan 2"


def test_a_damaged_one_is_built_anew(graph: Path, builder: Builder) -> None:
    plan_for(graph, "fp16", HERE)
    ((path, _),) = facts_in(graph.parent / "tensorrt")
    path.write_bytes(path.read_bytes()[:-1])
    assert plan_for(graph, "fp16", HERE) == b"plan 2"
    assert plan_for(graph, "fp16", HERE) == b"plan 2"


def test_one_that_the_library_refuses(graph: Path, builder: Builder, own_home: Path) -> None:
    plan_for(graph, "fp16", HERE)
    plan_for(graph, "fp32", HERE)
    ((path, _),) = [
        one for one in facts_in(graph.parent / "tensorrt") if one[1].precision == "fp16"
    ]
    (own_home / "tensorrt" / path.name).write_bytes(path.read_bytes())
    forget_plan(graph, "fp16", HERE)
    assert plan_for(graph, "fp32", HERE) == b"plan 2"
    assert plan_for(graph, "fp16", HERE) == b"plan 3"


def test_the_first_build_is_said(
    graph: Path, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    plan_for(graph, "fp16", HERE)
    plan_for(graph, "fp16", HERE)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "image_side.fp16.01234567.onnx has no TensorRT plan for this machine yet: it is built now, "
        "once, which may take minutes"
    ]


def test_what_fails_leaves_nothing(graph: Path, builder: Builder) -> None:
    builder.fails = EngineUnavailable("crashed")
    with pytest.raises(EngineUnavailable, match=r"^crashed$"):
        plan_for(graph, "fp16", HERE)
    assert list((graph.parent / "tensorrt").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_bundle_that_cannot_be_written(graph: Path, builder: Builder, own_home: Path) -> None:
    graph.parent.chmod(0o555)
    try:
        plan_for(graph, "fp16", HERE)
    finally:
        graph.parent.chmod(0o755)
    assert [facts.precision for _, facts in facts_in(own_home / "tensorrt")] == ["fp16"]


def test_where_the_folder_is_a_file_it_is_kept_at_home(
    graph: Path, builder: Builder, own_home: Path
) -> None:
    (graph.parent / "tensorrt").write_bytes(b"")
    assert plan_for(graph, "fp16", HERE) == plan_for(graph, "fp16", HERE) == b"plan 1"
    assert [facts.precision for _, facts in facts_in(own_home / "tensorrt")] == ["fp16"]


def test_where_nothing_can_be_written_it_runs_all_the_same(
    graph: Path, builder: Builder, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (graph.parent / "tensorrt").write_bytes(b"")
    own_home.write_bytes(b"")
    assert plan_for(graph, "fp16", HERE) == b"plan 1"
    assert "no folder can be written: the plan of image_side.fp16.01234567.onnx" in caplog.text


class TestBesideThem:
    def test_timings_are_kept_for_the_next_build(self, graph: Path, builder: Builder) -> None:
        plan_for(graph, "fp16", HERE)
        plan_for(graph, "fp32", HERE)
        plan_for(graph, "fp32", replace(HERE, driver="14.0"))
        assert builder.earlier == [None, b"timings 1", None]

    def test_tensorrt_rtx_has_none(self, graph: Path, builder: Builder) -> None:
        plan_for(graph, "fp16", replace(HERE, flavour=RTX))
        assert builder.requests[0].timing is None

    def test_damaged_timings_are_not_used(
        self, graph: Path, builder: Builder, own_home: Path
    ) -> None:
        plan_for(graph, "fp16", HERE)
        (kept,) = (own_home / "tensorrt").glob("timing-*.blob")
        kept.write_bytes(kept.read_bytes()[:-1])
        plan_for(graph, "fp32", HERE)
        assert builder.earlier == [None, None]

    def test_what_it_took_tells_what_it_will(
        self, graph: Path, builder: Builder, tmp_path: Path
    ) -> None:
        plan_for(graph, "fp16", HERE)
        larger = graph.with_name("image_encoder.fp16.01234567.onnx")
        larger.write_bytes(b"graph" * 10)
        plan_for(larger, "fp16", HERE)
        assert builder.expected == [None, pytest.approx(20.0)]


class TestAhead:
    AHEAD = Target(RTX, "1.7.1.116", capabilities=("8.6", "8.9"))

    def test_it_serves_the_cards_that_it_was_built_for(self, graph: Path, builder: Builder) -> None:
        folder = folders_for(graph)[0]
        folder.mkdir()
        path = write_ahead(graph, "fp16", self.AHEAD, folder)
        assert write_ahead(graph, "fp16", self.AHEAD, folder) == path
        assert builder.requests[0].capabilities == ("8.6", "8.9")
        assert len(builder.requests) == 1
        here = replace(self.AHEAD, gpu="RTX 4090", capability="8.9", driver="13.0")
        assert plan_for(graph, "fp16", here) == b"plan 1"
        assert plan_for(graph, "fp16", replace(here, capability="12.0")) == b"plan 2"
        assert plan_for(graph, "fp16", replace(here, version="1.8")) == b"plan 3"
