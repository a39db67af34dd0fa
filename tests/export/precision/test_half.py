"""float16 in graphs: what is in it, what is not, and that masks stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgesam import ExportError
from edgesam.bundle import open_bundle
from edgesam.digest import sha256_of
from edgesam.manifest import ROLES
from edgesam_export import export_bundle
from edgesam_export.graphs import net as net_module
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.precision.half import halve
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
FLOAT32, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
WIDTH = 16


def drawn(*shape: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


WEIGHTS = {
    "norm.weight": drawn(WIDTH, seed=1),
    "norm.bias": drawn(WIDTH, seed=2),
    "fc.weight": drawn(WIDTH, WIDTH, seed=3),
    "fc.bias": drawn(WIDTH, seed=4),
}


def layer(weights: dict[str, Floats]) -> Net:
    """A residual branch and a norm behind it."""
    net = Net("test", Weights(weights))
    x = net.input("x", FLOAT, (1, 5, WIDTH))
    y = net.add(x, net.gelu(net.linear(x, "fc", WIDTH, WIDTH)))
    net.output("y", net.layer_norm(y, "norm", WIDTH), (1, 5, WIDTH))
    return net


def run(path: Path, x: Floats) -> Floats:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result: Floats = session.run(["y"], {"x": x})[0]
    return result


def types_of(path: Path) -> dict[str, int]:
    """Of every value, by name."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return {**found, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


def test_what_is_in_float16(tmp_path: Path) -> None:
    net = layer(WEIGHTS)
    halve(net)
    assert net.save(tmp_path / "g.onnx") is None
    verify_graph(tmp_path / "g.onnx")
    types = types_of(tmp_path / "g.onnx")
    assert types["fc.weight:float16"] == types["fc.bias:float16"] == HALF
    assert types["fc/MatMul"] == types["fc/Add"] == types["Gelu"] == HALF
    assert types["norm.weight"] == types["norm.bias"] == types["Add"] == FLOAT32
    assert types["x"] == types["y"] == FLOAT32
    assert "fc.weight" not in types, "the one that nothing uses is left out"


def test_against_the_definition(tmp_path: Path) -> None:
    """Products of rounded inputs and weights, rounded; the sum and the norm in float32."""
    plain, half = layer(WEIGHTS), layer(WEIGHTS)
    halve(half)
    plain.save(tmp_path / "plain.onnx")
    half.save(tmp_path / "half.onnx")
    x = drawn(1, 5, WIDTH, seed=5)
    wanted, found = run(tmp_path / "plain.onnx", x), run(tmp_path / "half.onnx", x)
    assert found.dtype == np.float32
    assert 1e-5 < np.abs(found - wanted).max() < 2e-2


def test_a_weight_beyond_float16(tmp_path: Path) -> None:
    net = layer({**WEIGHTS, "fc.weight": WEIGHTS["fc.weight"] * np.float32(1e5)})
    halve(net)
    with pytest.raises(ExportError, match=r"tensor fc\.weight has values beyond float16's 65504"):
        net.save(tmp_path / "g.onnx")


def test_weights_beside_their_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_module, "_INLINE", 100)
    monkeypatch.setattr(net_module, "_SMALL", 100)
    net = layer(WEIGHTS)
    halve(net)
    beside = net.save(tmp_path / "g.onnx")
    assert beside is not None
    verify_graph(tmp_path / "g.onnx")
    inside = layer(WEIGHTS)
    halve(inside)
    monkeypatch.undo()
    assert inside.save(tmp_path / "inside.onnx") is None
    x = drawn(1, 5, WIDTH, seed=5)
    np.testing.assert_array_equal(run(tmp_path / "g.onnx", x), run(tmp_path / "inside.onnx", x))
    assert WEIGHTS["fc.weight"].T.astype("<f2").tobytes() in beside.read_bytes()


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, lite_checkpoint: Path) -> Path:
    """The bundle of the random LiteMedSAM with fp16; not to be changed."""
    out = tmp_path_factory.mktemp("bundles") / "b"
    return export_bundle(lite_checkpoint, out, profile="lite-medsam", variants=["fp16"]).path


class TestBundle:
    def test_three_graphs_of_half_the_size(self, halves: Path, lite_bundle: Path) -> None:
        bundle = open_bundle(halves)
        assert list(bundle.variants) == ["fp32", "fp16"]
        fp32, fp16 = bundle.variants.values()
        assert fp32 == open_bundle(lite_bundle).variants["fp32"]
        assert fp16.image_encoder.size < 0.6 * fp32.image_encoder.size
        assert fp16.computed is None
        for role in ROLES:
            assert fp16.graph(role).file.startswith(f"{role}.fp16.")
            assert bundle.verified(fp16.graph(role))

    @pytest.mark.parametrize("role", ROLES)
    def test_every_product_is_in_float16(self, halves: Path, role: Any) -> None:
        path = halves / open_bundle(halves).variants["fp16"].graph(role).file
        types, graph = types_of(path), onnx.load(path).graph
        products = [
            node
            for node in graph.node
            if node.op_type in ("MatMul", "Conv") and not node.name.startswith("prompt_encoder")
        ]
        assert len(products) >= 3
        for node in products:
            assert {types[name] for name in (*node.input, *node.output) if name} == {HALF}
        for node in graph.node:
            if node.op_type in ("LayerNormalization", "Softmax"):
                assert types[node.output[0]] == FLOAT32
        ends = {types[v.name] for v in (*graph.input, *graph.output)}
        assert HALF not in ends, "engines and Sam know no float16"

    def test_the_same_bytes_again(
        self, halves: Path, lite_checkpoint: Path, tmp_path: Path
    ) -> None:
        again = export_bundle(
            lite_checkpoint, tmp_path / "b", profile="lite-medsam", variants=["fp16"]
        )
        assert again.manifest == open_bundle(halves).manifest
        for file in again.variants["fp16"].files:
            assert sha256_of(again.path / file.file) == file.sha256

    def test_it_is_close_to_fp32_and_not_it(
        self, halves: Path, noise: Callable[..., NDArray[np.uint8]]
    ) -> None:
        picture = noise(1, 3, 256, 256).astype(np.float32) / 255
        found = []
        for variant in open_bundle(halves).variants.values():
            session = onnxruntime.InferenceSession(
                halves / variant.image_encoder.file, providers=["CPUExecutionProvider"]
            )
            found.append(session.run(None, {"image": picture})[0])
        wanted, half = found
        assert half.dtype == np.float32
        error = np.linalg.norm(half - wanted) / np.linalg.norm(wanted)
        assert 1e-5 < error < 1e-2

    def test_it_does_not_come_unasked(self, lite_bundle: Path) -> None:
        assert "fp16" not in open_bundle(lite_bundle).variants


def test_rounding_is_to_nearest_and_even() -> None:
    """What exports are hashed with: the same on every machine."""
    values = np.array([1 + 2**-11, 1 + 3 * 2**-11, 2.0**-25, 2.0**-24, 65519], np.float32)
    weights = Weights({"w": values})
    half = weights.take("w", (5,)).halved("w").read()
    assert half.tolist() == [1.0, 1 + 2 * 2**-10, 0.0, 2.0**-24, 65504.0]
