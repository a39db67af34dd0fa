"""Q/DQ graphs, run in floats, against their definition; and the recipes that ship."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import ExportError
from edgesam.models import MODELS
from edgesam_bench.random_weights import random_state_dict, uniform
from edgesam_export.architecture import build, recognise
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Quantized, Recipe, shipped_recipe
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
GOLDEN = Path(__file__).parents[2] / "golden"
SHIPPED = ("lite-medsam", "mobile-sam")
INPUTS, OUTPUTS, TOKENS = 12, 6, 40


def session(path: Path) -> Any:
    """As floats: integer kernels of processors without VNNI saturate."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def rounded_input(x: Floats, how: Quantized) -> Floats:
    byte = np.clip(np.rint(x / np.float32(how.scale)) + how.zero, 0, 255)
    return (byte - how.zero) * np.float32(how.scale)


def rounded_weight(w: Floats) -> Floats:
    """(inputs, outputs), each output on its own scale."""
    scale = np.abs(w).max(axis=0) / 127
    return np.clip(np.rint(w / scale), -127, 127) * scale


def normed(x: Floats, weight: Floats, bias: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * weight + bias


def int8_with_zero_point_0(path: Path) -> int:
    """How many QuantizeLinear a graph has, all of them so."""
    import onnx

    graph = onnx.load(path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [arrays[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert all((zero.dtype, zero) == (np.int8, 0) for zero in zeros)
    return len(zeros)


WEIGHTS: Mapping[str, Floats] = {
    "norm.weight": uniform((INPUTS,), 1) + 2,
    "norm.bias": uniform((INPUTS,), 2),
    "fc.weight": uniform((OUTPUTS, INPUTS), 3),
    "fc.bias": uniform((OUTPUTS,), 4),
}
PLAIN = Quantized(scale=0.05, zero=120)
SMOOTHING = tuple(int(e) for e in np.arange(INPUTS) - 5)
BIAS = tuple(0.1 * np.arange(OUTPUTS))


def recipe(**nodes: Quantized) -> Recipe:
    return Recipe("0" * 64, (), {name.replace("__", "/"): one for name, one in nodes.items()})


def run(how: Quantized, folder: Path) -> tuple[Floats, Floats]:
    """A norm and a linear layer: what the graph gives, and the normed input."""
    net = Net("test", Weights(WEIGHTS))
    x = net.input("x", FLOAT, (1, TOKENS, INPUTS))
    y = net.linear(net.layer_norm(x, "norm", INPUTS), "fc", INPUTS, OUTPUTS)
    net.output("y", y, (1, TOKENS, OUTPUTS))
    quantize(net, recipe(fc__MatMul=how))
    assert net.save(folder / "g.onnx") is None
    verify_graph(folder / "g.onnx")
    picture = 3 * uniform((1, TOKENS, INPUTS), 5).astype(np.float32)
    found: Floats = session(folder / "g.onnx").run(["y"], {"x": picture})[0]
    return found, normed(picture, WEIGHTS["norm.weight"], WEIGHTS["norm.bias"])


class TestQdq:
    @pytest.mark.parametrize("fold", [True, False])
    @pytest.mark.parametrize("smoothing", [None, SMOOTHING])
    @pytest.mark.parametrize("bias", [None, BIAS])
    def test_against_the_definition(
        self, tmp_path: Path, fold: bool, smoothing: Any, bias: Any
    ) -> None:
        how = replace(PLAIN, smoothing=smoothing, fold=fold, bias=bias)
        found, x = run(how, tmp_path)
        factors = how.factors(INPUTS)
        weight = rounded_weight(WEIGHTS["fc.weight"].T * factors[:, None])
        expected = rounded_input(x / factors, how) @ weight + WEIGHTS["fc.bias"] + (bias or 0)
        # A value on the edge of two bytes may fall to either side.
        steps = how.scale * np.abs(weight).max()
        assert np.quantile(np.abs(found - expected), 0.98) < 1e-4
        assert np.abs(found - expected).max() < 2 * steps

    def test_it_is_not_fp32(self, tmp_path: Path) -> None:
        found, x = run(PLAIN, tmp_path)
        exact = x @ WEIGHTS["fc.weight"].T + WEIGHTS["fc.bias"]
        assert 1e-3 < np.abs(found - exact).max() < 0.5

    def test_the_weights_are_in_eight_bits(self, tmp_path: Path) -> None:
        import onnx

        run(PLAIN, tmp_path)
        graph = onnx.load(tmp_path / "g.onnx").graph
        kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
        assert kinds["fc.weight_int8"] == onnx.TensorProto.INT8
        assert "fc.weight" not in kinds, "the one that nothing uses is left out"
        assert [node.op_type for node in graph.node if "Linear" in node.op_type] == [
            "QuantizeLinear",
            "DequantizeLinear",
            "DequantizeLinear",
        ]
        assert int8_with_zero_point_0(tmp_path / "g.onnx") == 1

    def test_a_norm_that_makes_the_input_needs_no_addition(self, tmp_path: Path) -> None:
        import onnx

        run(PLAIN, tmp_path)
        graph = onnx.load(tmp_path / "g.onnx").graph
        assert [node.op_type for node in graph.node].count("Add") == 1, "the bias's"

    @pytest.mark.parametrize("nodes", [{"fc__Add": PLAIN}, {"other__MatMul": PLAIN}])
    def test_a_recipe_of_another_network(self, nodes: dict[str, Quantized]) -> None:
        net = Net("test", Weights(WEIGHTS))
        net.linear(net.input("x", FLOAT, (1, TOKENS, INPUTS)), "fc", INPUTS, OUTPUTS)
        with pytest.raises(ExportError, match="which this network does not have"):
            quantize(net, recipe(**nodes))

    def test_smoothing_of_another_width(self) -> None:
        net = Net("test", Weights(WEIGHTS))
        net.linear(net.input("x", FLOAT, (1, TOKENS, INPUTS)), "fc", INPUTS, OUTPUTS)
        with pytest.raises(ExportError, match="its channels differ"):
            quantize(net, recipe(fc__MatMul=replace(PLAIN, smoothing=(1, 2))))

    def test_smoothing_that_has_no_place(self) -> None:
        net = Net("test", Weights(WEIGHTS))
        net.linear(net.input("x", FLOAT, (1, TOKENS, INPUTS)), "fc", INPUTS, OUTPUTS)
        with pytest.raises(ExportError, match="smoothing has no place"):
            quantize(net, recipe(fc__MatMul=replace(PLAIN, smoothing=SMOOTHING)))


class TestRecipe:
    def test_text_and_back(self) -> None:
        one = recipe(a__MatMul=PLAIN, b__Conv=Quantized(0.1, 3, (1, -4), False, (0.5,)))
        assert Recipe.from_json(one.to_json(), "here") == one

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "checkpoint": "", "nodes": 1}']
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(ExportError, match="here is not a recipe"):
            Recipe.from_json(text, "here")

    @pytest.mark.parametrize("zero", [-1, 256])
    def test_a_zero_point_that_is_no_byte(self, zero: int) -> None:
        one = recipe(a__MatMul=Quantized(0.1, zero))
        with pytest.raises(ExportError, match="here is not a recipe"):
            Recipe.from_json(one.to_json(), "here")

    def test_another_schema(self) -> None:
        with pytest.raises(ExportError, match="here has schema 9, not 1"):
            Recipe.from_json('{"schema": 9}', "here")

    def test_factors(self) -> None:
        how = replace(PLAIN, smoothing=(0, 4, -4, 1, -1, 2))
        np.testing.assert_allclose(how.factors(6), 2.0 ** (np.array([0, 4, -4, 1, -1, 2]) / 4))
        np.testing.assert_array_equal(how.factors(6)[:3], [1, 2, 0.5])


@pytest.mark.parametrize("model", SHIPPED)
class TestShipped:
    def test_it_fits_the_network(self, model: str, tmp_path: Path) -> None:
        """On random weights of the official layout: every node is there, the bytes are stable."""
        recipe = shipped_recipe(MODELS[model].sha256)
        assert recipe is not None
        assert len(recipe.nodes) >= 26
        assert len(set(recipe.images)) == len(recipe.images) >= 25
        shapes = {
            k: tuple(s) for k, s in json.loads((GOLDEN / "shapes.json").read_text())[model].items()
        }
        weights = random_state_dict(shapes, seed=1)
        texts = []
        for name in ("one", "two"):
            kind, found = recognise(shapes, None, model)
            net = build(kind, found, weights, shapes, model)["image_encoder"]
            quantize(net, recipe)
            path = tmp_path / f"{name}.onnx"
            assert net.save(path) is None
            texts.append(path.read_bytes())
        verify_graph(path)
        assert texts[0] == texts[1]
        assert int8_with_zero_point_0(path) == len(recipe.nodes)

    def test_of_another_checkpoint_there_is_none(self, model: str) -> None:
        assert shipped_recipe(MODELS[model].sha256[::-1]) is None
