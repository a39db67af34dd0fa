"""Zero points of recipes become constants beside int8 codes: the same numbers as with uint8 codes.

Inputs lie away from the edges between two codes, so that nothing but rounding of floats differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from edgesam_bench.random_weights import uniform
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Quantized, Recipe
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
INPUTS, OUTPUTS = 12, 6
ZEROS = (0, 17, 127, 128, 129, 255)
STEP = float(np.float32(0.05))

MATRIX = uniform((OUTPUTS, INPUTS), 3).astype(np.float32)
KERNEL = uniform((OUTPUTS, INPUTS, 3, 3), 6).astype(np.float32)
BIAS = uniform((OUTPUTS,), 4).astype(np.float32)
WEIGHTS: Mapping[str, Floats] = {
    "norm.weight": uniform((INPUTS,), 1).astype(np.float32) + 2,
    "norm.bias": uniform((INPUTS,), 2).astype(np.float32),
    "fc.weight": MATRIX,
    "fc.bias": BIAS,
    "other.weight": MATRIX[::-1].copy(),
    "other.bias": BIAS,
}


def picture(*shape: int, zero: int) -> Floats:
    """Values of all codes, and some beyond the first and the last."""
    codes = np.rint(150 * uniform(shape, 5)) + 128 - zero
    return (STEP * (codes + 0.3 * uniform(shape, 7))).astype(np.float32)


def in_codes(x: Floats, zero: int) -> Floats:
    """What uint8 codes with that zero point give back."""
    return (np.clip(np.rint(x / STEP) + zero, 0, 255) - zero) * STEP


def rounded(weight: Floats) -> Floats:
    """(outputs, ...), each output on its own scale."""
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    scale = np.abs(flat).max(axis=1, keepdims=True) / 127
    return (np.clip(np.rint(flat / scale), -127, 127) * scale).reshape(weight.shape)


def built(
    layers: Callable[[Net, ir.Value], ir.Value],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    names: Mapping[str, Quantized],
    folder: Path,
) -> Callable[[Floats], Floats]:
    """Such a network with some products in 8 bits, as floats run it."""
    net = Net("test", Weights(WEIGHTS))
    net.output("y", layers(net, net.input("x", FLOAT, shapes[0])), shapes[1])
    quantize(net, Recipe("0" * 64, (), names))
    net.save(folder / "g.onnx")
    verify_graph(folder / "g.onnx")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        folder / "g.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda x: np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("zero", ZEROS)
class TestSameAsUint8:
    def test_a_linear_layer(self, tmp_path: Path, zero: int) -> None:
        run = built(
            lambda net, x: net.linear(x, "fc", INPUTS, OUTPUTS),
            ((40, INPUTS), (40, OUTPUTS)),
            {"fc/MatMul": Quantized(STEP, zero)},
            tmp_path,
        )
        x = picture(40, INPUTS, zero=zero)
        expected = in_codes(x, zero) @ rounded(MATRIX).T + BIAS
        np.testing.assert_allclose(run(x), expected, atol=2e-5)

    def test_a_product_whose_bias_comes_later(self, tmp_path: Path, zero: int) -> None:
        """SAM's ViTs pad the product with zeros before they add the bias."""

        def layers(net: Net, x: ir.Value) -> ir.Value:
            with net.scope("fc"):
                x = net.matmul(x, net.constant("weight", MATRIX.T))
            return net.op("Pad", x, net.ints((1, 0, 0, 0)))

        run = built(
            layers,
            ((40, INPUTS), (41, OUTPUTS)),
            {"fc/MatMul": Quantized(STEP, zero)},
            tmp_path,
        )
        x = picture(40, INPUTS, zero=zero)
        found, expected = run(x), in_codes(x, zero) @ rounded(MATRIX).T
        np.testing.assert_allclose(found[1:], expected, atol=2e-5)
        np.testing.assert_array_equal(found[0], 0)

    @pytest.mark.parametrize("bias", [None, BIAS])
    @pytest.mark.parametrize("pad", [0, 1])
    def test_a_convolution(self, tmp_path: Path, zero: int, bias: Any, pad: int) -> None:
        """Its padding is 0, whatever is added to its input."""
        side = 5 + 2 * pad
        run = built(
            lambda net, x: net.conv(x, "conv", KERNEL, bias, pad=pad, stride=2),
            ((1, INPUTS, 7, 7), (1, OUTPUTS, (side + 1) // 2, (side + 1) // 2)),
            {"conv/Conv": Quantized(STEP, zero)},
            tmp_path,
        )
        x = picture(1, INPUTS, 7, 7, zero=zero)
        padded = np.pad(in_codes(x, zero)[0], ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
        expected = np.einsum("ihwjk,oijk->ohw", windows, rounded(KERNEL))
        expected += np.zeros((1, 1, 1)) if bias is None else bias[:, None, None]
        np.testing.assert_allclose(run(x)[0], expected, atol=1e-4)


def test_a_norm_that_others_read_stays_as_it_is(tmp_path: Path) -> None:
    def layers(net: Net, x: ir.Value) -> ir.Value:
        x = net.layer_norm(x, "norm", INPUTS)
        return net.op(
            "Concat",
            net.linear(x, "fc", INPUTS, OUTPUTS),
            net.linear(x, "other", INPUTS, OUTPUTS),
            axis=-1,
        )

    x = picture(40, INPUTS, zero=128)
    shapes = (40, INPUTS), (40, 2 * OUTPUTS)
    exact = built(layers, shapes, {}, tmp_path)(x)
    found = built(layers, shapes, {"fc/MatMul": Quantized(STEP, 20)}, tmp_path)(x)
    np.testing.assert_allclose(found[:, OUTPUTS:], exact[:, OUTPUTS:], atol=1e-6)
    assert np.abs(found[:, :OUTPUTS] - exact[:, :OUTPUTS]).max() > 1e-3
