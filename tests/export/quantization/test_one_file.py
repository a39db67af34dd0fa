"""One int8 file is read as products of bytes by ONNX Runtime, OpenVINO and TensorRT."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgesam.engines.ort.in_bytes import start_in_bytes
from edgesam_bench.random_weights import uniform
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Quantized, Recipe

WIDTH, SIDE = 32, 8
PRODUCTS = 3

# Native parsers can crash: in a process of its own. Prints a line of JSON.
PARSE = """
import json, sys
import tensorrt_rtx as trt

log = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(log)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, log)
ok = parser.parse_from_file(sys.argv[1])
layers = [network.get_layer(i) for i in range(network.num_layers)]
plan = builder.build_serialized_network(network, builder.create_builder_config()) if ok else None
print(json.dumps({
    "errors": [str(parser.get_error(i)) for i in range(parser.num_errors)],
    "layers": [[layer.type.name, layer.get_output(0).dtype.name] for layer in layers],
    "bytes": 0 if plan is None else plan.nbytes,
}))
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A norm, an MLP and a padded convolution, as the encoders have them."""
    weights = {
        "norm.weight": uniform((WIDTH,), 1) + 2,
        "norm.bias": uniform((WIDTH,), 2),
        "fc1.weight": uniform((4 * WIDTH, WIDTH), 3),
        "fc1.bias": uniform((4 * WIDTH,), 4),
        "fc2.weight": uniform((WIDTH, 4 * WIDTH), 5),
        "fc2.bias": uniform((WIDTH,), 6),
    }
    net = Net("test", Weights(weights))
    x = net.layer_norm(net.input("x", FLOAT, (1, SIDE, SIDE, WIDTH)), "norm", WIDTH)
    x = net.gelu(net.linear(x, "fc1", WIDTH, 4 * WIDTH))
    x = net.transpose(net.linear(x, "fc2", 4 * WIDTH, WIDTH), 0, 3, 1, 2)
    kernel = uniform((WIDTH, WIDTH, 3, 3), 7).astype(np.float32)
    y = net.conv(x, "conv", kernel, None, pad=1)
    net.output("y", y, (1, WIDTH, SIDE, SIDE))
    nodes = {
        "fc1/MatMul": Quantized(0.05, 124),
        "fc2/MatMul": Quantized(0.03, 17),
        "conv/Conv": Quantized(0.1, 111),
    }
    quantize(net, Recipe("0" * 64, (), nodes))
    path = tmp_path_factory.mktemp("one_file") / "g.onnx"
    net.save(path)
    return path


def test_onnxruntime(graph: Path, tmp_path: Path) -> None:
    """Convolutions stay float32 there: they would have to give bytes, too."""
    import onnx

    onnxruntime = pytest.importorskip("onnxruntime")
    kept: list[bytes] = []

    def start(**how: object) -> object:
        session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], **how
        )
        kept.append(Path(options.optimized_model_filepath).read_bytes())
        return session

    options = onnxruntime.SessionOptions()
    start_in_bytes(start, options, graph.name)
    kinds = [node.op_type for node in onnx.load_from_string(kept[0]).graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 2
    assert kinds.count("MatMul") == 0


def test_openvino(graph: Path) -> None:
    openvino = pytest.importorskip("openvino")
    model = (
        openvino.Core()
        .compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        .get_runtime_model()
    )
    kinds = [
        (info["layerType"].astype(str), info["runtimePrecision"].astype(str))
        for info in (node.get_rt_info() for node in model.get_ordered_ops())
    ]
    products = [how for kind, how in kinds if kind in ("FullyConnected", "MatMul", "Convolution")]
    assert len(products) == PRODUCTS
    assert set(products) <= {"i8", "u8"}


def test_tensorrt(graph: Path) -> None:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install tensorrt-rtx-cu13")
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(graph)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == []
    assert [how for kind, how in found["layers"] if kind == "QUANTIZE"] == PRODUCTS * ["INT8"]
    # Of each product's input and of its weights.
    assert [kind for kind, _ in found["layers"]].count("DEQUANTIZE") == 2 * PRODUCTS
    assert found["bytes"] > 0, "it could be parsed, but not built"
