"""Multiply-accumulates of small graphs, against counts made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgesam import BundleError
from edgesam.bundle import open_bundle
from edgesam_bench.speed.probe import write_products
from edgesam_bench.speed.work import macs

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def graph(
    path: Path,
    operator: str,
    shape: Sequence[int | str],
    weights: Sequence[int],
    **attributes: Any,
) -> Path:
    """One operator on an input and constant weights."""
    tensor = ir.Tensor(np.zeros(weights, np.float32), name="weights")
    constant = ir.Value(name="weights", type=FLOAT, shape=tensor.shape, const_value=tensor)
    value = ir.Value(name="x", type=FLOAT, shape=ir.Shape(shape))
    result = ir.Value(name="y", type=FLOAT)
    node = ir.Node(
        "",
        operator,
        [value, constant],
        attributes=ir.convenience.convert_attributes(attributes),
        outputs=[result],
    )
    model = ir.Graph(
        [value],
        [result],
        nodes=[node],
        initializers=[constant],
        opset_imports={"": 20},
        name="one",
    )
    ir.save(ir.Model(model, ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("operator", "shape", "weights", "attributes", "expected"),
    [
        ("MatMul", (5, 7), (7, 3), {}, 5 * 7 * 3),
        ("MatMul", (2, 4, 5, 7), (7, 3), {}, 2 * 4 * 5 * 7 * 3),
        ("Gemm", (5, 7), (7, 3), {}, 5 * 7 * 3),
        ("Gemm", (7, 5), (3, 7), {"transA": 1, "transB": 1}, 5 * 7 * 3),
        # 8 x 10 pixels in, 3 x 3 with a stride of 2 and a border of 1: 4 x 5 out.
        (
            "Conv",
            (1, 6, 8, 10),
            (4, 6, 3, 3),
            {"strides": [2, 2], "pads": [1, 1, 1, 1]},
            4 * (4 * 5) * (6 * 9),
        ),
        # Depthwise: each channel sees itself alone.
        ("Conv", (1, 6, 8, 10), (6, 1, 3, 3), {"group": 6}, 6 * (6 * 8) * 9),
        # Every one of 6 x 8 x 10 values is spread over 4 channels of 2 x 2.
        ("ConvTranspose", (1, 6, 8, 10), (6, 4, 2, 2), {"strides": [2, 2]}, 480 * 4 * 4),
        ("Add", (5, 7), (5, 7), {}, 0),
    ],
)
def test_one_operator(
    tmp_path: Path,
    operator: str,
    shape: Sequence[int],
    weights: Sequence[int],
    attributes: dict[str, Any],
    expected: int,
) -> None:
    assert macs(graph(tmp_path / "g.onnx", operator, shape, weights, **attributes), {}) == expected


def test_free_sizes_are_what_is_said(tmp_path: Path) -> None:
    path = graph(tmp_path / "g.onnx", "MatMul", ("prompts", 5, 7), (7, 3))
    assert macs(path, {"prompts": 1}) == 5 * 7 * 3
    assert macs(path, {"prompts": 16}) == 16 * 5 * 7 * 3
    with pytest.raises(BundleError, match="'prompts' is left open"):
        macs(path, {})


def test_what_is_no_graph_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\xff" * 40)
    with pytest.raises(BundleError, match=r"cannot count the work of broken\.onnx") as raised:
        macs(broken)
    assert "\n" not in str(raised.value)


def test_the_probe_counts_what_it_says(tmp_path: Path) -> None:
    write_products(tmp_path / "products.onnx")
    assert macs(tmp_path / "products.onnx", {}) == 8 * 1024**3


def test_a_bundle(lite_bundle: Path) -> None:
    """More prompts are more work for the decoder, and nothing else has free sizes for them."""
    bundle = open_bundle(lite_bundle)
    variant = bundle.variants["fp32"]
    decoder = lite_bundle / variant.mask_decoder.file
    sizes = {"masks": 1, "prompts": 1, "points": 2, "outputs": 1}
    one, sixteen = macs(decoder, sizes), macs(decoder, {**sizes, "prompts": 16})
    assert 0 < one < sixteen <= 16 * one
    assert macs(lite_bundle / variant.image_encoder.file) > macs(
        lite_bundle / variant.image_side.file
    )
