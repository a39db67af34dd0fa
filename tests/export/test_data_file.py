"""Weights beside a graph: where they lie, what they cost to write, and that they are the same."""

from __future__ import annotations

import hashlib
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgesam import ExportError
from edgesam_bench.random_weights import uniform
from edgesam_export.graphs import net as net_module
from edgesam_export.graphs.data_file import write_data_file
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Promise, Weights
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
PAGE = 4096


def promise(array: Floats) -> Promise:
    return Promise(array.shape, lambda: array)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return uniform(shape, seed, *shape).astype(np.float32)


class TestFile:
    def test_each_tensor_begins_a_page_and_is_all_there(self, tmp_path: Path) -> None:
        arrays = [normal(n) for n in (3, 1024, 1025, 1, 5000)] + [normal(7, 11, 13)]
        file, places = write_data_file(tmp_path / "g.onnx", map(promise, arrays))
        data = file.read_bytes()
        end = 0
        for array, place in zip(arrays, places, strict=True):
            assert place.offset % PAGE == 0
            assert end <= place.offset < end + PAGE
            assert not any(data[end : place.offset]), "gaps are zeros"
            assert place.length == array.nbytes
            end = place.offset + place.length
            assert data[place.offset : end] == array.astype("<f4").tobytes()
        assert len(data) == end

    def test_a_transposed_tensor_is_written_row_by_row(self, tmp_path: Path) -> None:
        array = normal(4, 6)
        file, [place] = write_data_file(tmp_path / "g.onnx", [promise(array).T])
        found = np.frombuffer(file.read_bytes(), "<f4", 24, place.offset)
        np.testing.assert_array_equal(found.reshape(6, 4), array.T)

    def test_its_name_carries_its_hash(self, tmp_path: Path) -> None:
        graph = tmp_path / "image_encoder.fp32.onnx"
        file, _ = write_data_file(graph, [promise(normal(9)), promise(normal(2000))])
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert file == tmp_path / f"image_encoder.fp32.{digest[:8]}.data"
        assert [*tmp_path.iterdir()] == [file], "no unnamed file is left"

    def test_the_same_tensors_are_the_same_bytes(self, tmp_path: Path) -> None:
        arrays = [normal(1500), normal(30, 40)]
        one, other = (tmp_path / name for name in ("one", "other"))
        for folder in (one, other):
            folder.mkdir()
        first = write_data_file(one / "g.onnx", map(promise, arrays))
        second = write_data_file(other / "g.onnx", map(promise, arrays))
        assert first[0].name == second[0].name
        assert first[0].read_bytes() == second[0].read_bytes()
        assert first[1] == second[1]
        changed = [arrays[0], arrays[1] + 1]
        third = write_data_file(one / "g.onnx", map(promise, changed))
        assert third[0].name != first[0].name

    def test_one_tensor_is_in_memory_at_a_time(self, tmp_path: Path) -> None:
        size = 4 << 20

        def read() -> NDArray[np.float32]:
            return np.ones(size // 4, np.float32)

        def tensors() -> Iterator[Promise]:
            for _ in range(6):
                yield Promise((size // 4,), read)

        tracemalloc.start()
        try:
            file, _ = write_data_file(tmp_path / "g.onnx", tensors())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert file.stat().st_size == 6 * size
        assert size <= peak < 2.25 * size, "the tensor and its bytes, none of the one before"

    def test_a_tensor_that_cannot_be_read_gives_no_named_file(self, tmp_path: Path) -> None:
        weights = Weights({"a": normal(5), "b": np.array([np.nan])})
        promises = [weights.take("a", (5,)), weights.take("b", (1,))]
        with pytest.raises(ExportError, match="the tensor b has values that are not finite"):
            write_data_file(tmp_path / "g.onnx", promises)
        assert not list(tmp_path.glob("*.*.data"))


WIDTH = 96  # 36 kB for a layer: large; 384 bytes for its bias: small


def layers(count: int, seed: int = 1) -> dict[str, Floats]:
    """Weights of some linear layers, one after the other."""
    weights: dict[str, Floats] = {}
    for i in range(count):
        weights[f"{i}.weight"] = normal(WIDTH, WIDTH, seed=seed + i) / WIDTH**0.5
        weights[f"{i}.bias"] = normal(WIDTH, seed=seed + 100 + i)
    return weights


def chain(weights: dict[str, Floats]) -> Net:
    net = Net("chain", Weights(weights))
    x = net.input("x", FLOAT, (5, WIDTH))
    for i in range(len(weights) // 2):
        x = net.gelu(net.linear(x, str(i), WIDTH, WIDTH))
    net.output("y", x, (5, WIDTH))
    return net


def run(path: Path) -> Floats:
    x = normal(5, WIDTH, seed=77)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: Floats = session.run(["y"], {"x": x})[0]
    return result


class TestGraph:
    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights of 64 kB are too many for a graph's own file."""
        monkeypatch.setattr(net_module, "_INLINE", 64 << 10)

    def test_as_shipped_few_weights_lie_inside(self, tmp_path: Path) -> None:
        assert net_module._INLINE == 64 << 20
        assert chain(layers(4)).save(tmp_path / "g.onnx") is None
        assert [*tmp_path.iterdir()] == [tmp_path / "g.onnx"]

    @pytest.mark.usefixtures("small")
    def test_the_limit(self, tmp_path: Path) -> None:
        assert chain(layers(1)).save(tmp_path / "one.onnx") is None
        assert chain(layers(2)).save(tmp_path / "two.onnx") is not None

    @pytest.mark.usefixtures("small")
    def test_onnx_runtime_gives_the_same_with_weights_inside_and_beside(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        weights = layers(4)
        beside = chain(weights).save(tmp_path / "beside.onnx")
        assert beside is not None
        verify_graph(tmp_path / "beside.onnx")
        monkeypatch.setattr(net_module, "_INLINE", 1 << 20)
        assert chain(weights).save(tmp_path / "inside.onnx") is None
        found, expected = run(tmp_path / "beside.onnx"), run(tmp_path / "inside.onnx")
        assert np.abs(expected).max() > 0.1
        np.testing.assert_array_equal(found, expected)

        (tmp_path / "beside.onnx").unlink()
        chain(layers(4, seed=9)).save(tmp_path / "inside.onnx")
        assert not np.allclose(run(tmp_path / "inside.onnx"), expected)

    @pytest.mark.usefixtures("small")
    def test_large_tensors_lie_beside_and_small_ones_inside(self, tmp_path: Path) -> None:
        weights = layers(3)
        beside = chain(weights).save(tmp_path / "g.onnx")
        assert beside is not None
        model = onnx.load(tmp_path / "g.onnx", load_external_data=False)
        found = {tensor.name: tensor for tensor in model.graph.initializer}
        assert set(found) == set(weights)
        places = []
        for name, tensor in found.items():
            external = tensor.data_location == onnx.TensorProto.EXTERNAL
            assert external == name.endswith("weight"), name
            if external:
                entry = {e.key: e.value for e in tensor.external_data}
                assert entry["location"] == beside.name, "a plain name: the bundle can be moved"
                assert int(entry["length"]) == weights[name].nbytes
                places.append(int(entry["offset"]))
        assert places == sorted(set(places))
        assert all(place % PAGE == 0 for place in places)
        assert (tmp_path / "g.onnx").stat().st_size < 8 << 10

    @pytest.mark.usefixtures("small")
    def test_the_bytes_depend_on_nothing_but_the_weights(self, tmp_path: Path) -> None:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            chain(layers(3)).save(tmp_path / name / "g.onnx")
        one, other = (
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
            for name in ("one", "other")
        )
        assert one == other
        assert len(one) == 2

    @pytest.mark.usefixtures("small")
    def test_both_files_can_be_moved_together(self, tmp_path: Path) -> None:
        (tmp_path / "here").mkdir()
        chain(layers(3)).save(tmp_path / "here" / "g.onnx")
        expected = run(tmp_path / "here" / "g.onnx")
        shutil.move(tmp_path / "here", tmp_path / "there")
        np.testing.assert_array_equal(run(tmp_path / "there" / "g.onnx"), expected)

    @pytest.mark.usefixtures("small")
    def test_a_graph_without_its_file_does_not_pass(self, tmp_path: Path) -> None:
        beside = chain(layers(3)).save(tmp_path / "g.onnx")
        assert beside is not None
        beside.unlink()
        with pytest.raises(ExportError, match=r"g\.onnx does not fit together"):
            verify_graph(tmp_path / "g.onnx")

    @pytest.mark.usefixtures("small")
    def test_nothing_of_a_large_graph_is_kept_in_memory(self, tmp_path: Path) -> None:
        """The peak is that of two layers, however many there are."""
        width, count = 512, 12
        size = 4 * width * width
        tensors: dict[str, tuple[int, ...]]
        tensors = {f"{i}.weight": (width, width) for i in range(count)}
        tensors |= {f"{i}.bias": (width,) for i in range(count)}

        class Drawn(dict[str, Any]):
            def __missing__(self, key: str) -> Floats:
                return np.ones(tensors[key], np.float32)

        net = Net("chain", Weights(Drawn(), tensors))
        x = net.input("x", FLOAT, (1, width))
        for i in range(count):
            x = net.linear(x, str(i), width, width)
        net.output("y", x, (1, width))
        tracemalloc.start()
        try:
            beside = net.save(tmp_path / "g.onnx")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert beside is not None
        assert beside.stat().st_size == count * size
        assert peak < 3.5 * size
