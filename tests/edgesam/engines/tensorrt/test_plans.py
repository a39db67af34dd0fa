"""Plans on disk: their key, and that what is stale, foreign or damaged is never loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam import BundleError
from edgesam.engines.tensorrt import plans
from edgesam.engines.tensorrt.plans import (
    Facts,
    digests_of,
    facts_in,
    folders_for,
    plan_path,
    read_plan,
    size_of,
    stored_plan,
    sweep,
    write_plan,
)

FACTS = Facts(
    graph="a" * 64,
    weights=("b" * 64,),
    precision="fp16",
    flavour="tensorrt",
    version="11.4.0.106",
    options="1",
    gpu="NVIDIA H200",
    capability="9.0",
    driver="13.0",
)
OTHER: dict[str, Any] = {
    "graph": "c" * 64,
    "weights": (),
    "precision": "fp32",
    "flavour": "tensorrt-rtx",
    "version": "11.4.0.107",
    "options": "2",
    "gpu": "NVIDIA H100",
    "capability": "8.9",
    "driver": "13.1",
    "capabilities": ("9.0",),
}
AHEAD = replace(FACTS, gpu="", capability="", driver="", capabilities=("8.6", "9.0"))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    path = folder / "image_encoder.fp16.01234567.onnx"
    path.write_bytes(b"graph")
    return path


def keep(folder: Path, graph: Path, facts: Facts, plan: bytes = b"plan") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = plan_path(folder, graph, facts)
    write_plan(path, plan, facts)
    return path


class TestKey:
    def test_it_depends_on_every_fact(self) -> None:
        assert {field.name for field in fields(Facts)} == set(OTHER)
        keys = {replace(FACTS, **{name: value}).key for name, value in OTHER.items()}
        assert len(keys | {FACTS.key}) == len(OTHER) + 1

    def test_it_is_the_same_everywhere(self) -> None:
        assert FACTS.key == "d5b910730012e354d2ecabe482ccbc97f97e83b4110cfb1134eebc9f1c28c2d6"

    def test_digests_are_of_bytes(self, graph: Path) -> None:
        first = digests_of(graph)
        assert first[1] == ()
        os.utime(graph, (1, 1))
        assert digests_of(graph) == first
        graph.write_bytes(b"other")
        assert digests_of(graph) != first

    def test_weights_beside_their_graph(
        self, write_graph: Callable[..., Path], tmp_path: Path
    ) -> None:
        import onnx

        path = tmp_path / "sum.onnx"
        weights = {"w": np.ones(64, np.float32)}
        write_graph(path, [("Add", ["x", "w"], "y")], {"x": [64]}, ["y"], weights)
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location="sum.data", size_threshold=0)
        graph, (first,) = digests_of(path)
        assert size_of(path) == path.stat().st_size + 256
        (tmp_path / "sum.data").write_bytes(np.zeros(64, np.float32).tobytes())
        again, (second,) = digests_of(path)
        assert again == graph
        assert second != first
        (tmp_path / "sum.data").unlink()
        with pytest.raises(BundleError, match=r"sum\.onnx cannot be read: No such file"):
            digests_of(path)


class TestStored:
    def test_beside_the_bundle_and_else_at_home(self, graph: Path, own_home: Path) -> None:
        beside, at_home = folders_for(graph)
        assert (beside, at_home) == (graph.parent / "tensorrt", own_home / "tensorrt")
        assert stored_plan(graph, FACTS) is None
        path = keep(at_home, graph, FACTS, b"at home")
        assert stored_plan(graph, FACTS) == (path, b"at home")
        path = keep(beside, graph, FACTS, b"beside")
        assert stored_plan(graph, FACTS) == (path, b"beside")

    @pytest.mark.parametrize("name", sorted(OTHER))
    def test_a_stale_or_foreign_one_is_not_loaded(self, graph: Path, name: str) -> None:
        keep(folders_for(graph)[0], graph, replace(FACTS, **{name: OTHER[name]}))
        assert stored_plan(graph, FACTS) is None

    def test_nor_one_under_another_key(self, graph: Path) -> None:
        folder = folders_for(graph)[0]
        path = keep(folder, graph, replace(FACTS, driver="12.9"))
        path.rename(plan_path(folder, graph, FACTS))
        assert stored_plan(graph, FACTS) is None

    @pytest.mark.parametrize("at", [0, 40, -1])
    def test_nor_a_damaged_one(self, graph: Path, at: int) -> None:
        path = keep(folders_for(graph)[0], graph, FACTS, b"plan" * 100)
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
        assert stored_plan(graph, FACTS) is None

    @pytest.mark.parametrize("length", [0, 5, 100, 600])
    def test_nor_a_cut_one(self, graph: Path, length: int) -> None:
        path = keep(folders_for(graph)[0], graph, FACTS, b"plan" * 100)
        path.write_bytes(path.read_bytes()[:length])
        assert read_plan(path, FACTS) is None

    def test_a_damaged_one_is_said(self, graph: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = keep(folders_for(graph)[0], graph, FACTS)
        path.write_bytes(path.read_bytes()[:-1] + b"N")
        caplog.set_level("INFO", "edgesam")
        assert read_plan(path, FACTS) is None
        assert f"the plan {path} is damaged and will be built anew" in caplog.text

    def test_one_that_was_built_ahead(self, graph: Path) -> None:
        path = keep(folders_for(graph)[0], graph, AHEAD)
        assert stored_plan(graph, FACTS) == (path, b"plan")
        assert stored_plan(graph, replace(FACTS, driver="14.0", gpu="another")) is not None
        assert stored_plan(graph, replace(FACTS, capability="8.9")) is None
        assert stored_plan(graph, replace(FACTS, version="11.5")) is None
        assert list(facts_in(path.parent)) == [(path, AHEAD)]

    def test_a_killed_write_leaves_the_old_one(
        self, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = keep(folders_for(graph)[0], graph, FACTS, b"old")

        def fail(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(BundleError, match="no space left on the disk"):
            write_plan(path, b"new", FACTS)
        assert read_plan(path, FACTS) == b"old"
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    def test_at_home_the_oldest_go(self, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plans, "_MOST", 2)
        beside, at_home = folders_for(graph)
        for folder in (beside, at_home):
            for number in range(4):
                path = keep(folder, graph, replace(FACTS, driver=str(number)))
                os.utime(path, (number, number))
            sweep(folder)
        assert {facts.driver for _, facts in facts_in(at_home)} == {"2", "3"}
        assert len(list(facts_in(beside))) == 4
