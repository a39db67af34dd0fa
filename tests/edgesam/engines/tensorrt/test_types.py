"""Types of layers against variants: what is right passes, each wrong one is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgesam import PrecisionMismatch
from edgesam.engines.tensorrt.types import Layer, check_built, check_layers, precision_of

FLOATS, HALVES = ("FLOAT", "FLOAT"), ("HALF", "HALF")


def layer(kind: str, takes: tuple[str, ...], gives: str | None = None, name: str = "n") -> Layer:
    return Layer(name, kind, takes, (gives or takes[0],))


NORM = layer("NORMALIZATION", FLOATS, name="norm")
SOFTMAX = layer("SOFTMAX", ("FLOAT",), name="softmax")
PRODUCT = layer("MATRIX_MULTIPLY", FLOATS, name="qkv")
HALF = layer("MATRIX_MULTIPLY", HALVES, name="qkv")
QUANTIZE = layer("QUANTIZE", ("FLOAT", "FLOAT"), "INT8", "q")
DEQUANTIZE = layer("DEQUANTIZE", ("INT8", "FLOAT"), "FLOAT", "dq")
INDEX = layer("GATHER", ("FLOAT", "INT64"), "FLOAT")


class TestParsed:
    @pytest.mark.parametrize(
        ("precision", "layers"),
        [
            ("fp32", [PRODUCT, NORM, SOFTMAX, INDEX]),
            ("fp16", [HALF, NORM, SOFTMAX, INDEX]),
            ("fp16", [HALF, layer("CONVOLUTION", ("FLOAT",), name="prompt_encoder.mask/Conv")]),
            ("int8", [QUANTIZE, DEQUANTIZE, PRODUCT, NORM]),
        ],
    )
    def test_right(self, precision: str, layers: list[Layer]) -> None:
        check_layers(layers, precision, "g.onnx")

    @pytest.mark.parametrize(
        ("precision", "layers", "said"),
        [
            ("fp32", [PRODUCT, HALF], r"its layer qkv \(MATRIX_MULTIPLY\) has HALF"),
            ("fp32", [layer("CAST", ("FLOAT",), "BF16")], "has BF16"),
            ("fp32", [QUANTIZE], r"its layer q \(QUANTIZE\) has INT8"),
            ("fp16", [HALF, PRODUCT], r"its layer qkv \(MATRIX_MULTIPLY\) multiplies in FLOAT"),
            ("fp16", [HALF, layer("CONVOLUTION", ("HALF", "FLOAT"))], "multiplies in FLOAT"),
            ("fp16", [HALF, layer("NORMALIZATION", HALVES, name="ln")], "its layer ln .* in HALF"),
            ("fp16", [HALF, layer("SOFTMAX", ("HALF",))], "which float16 breaks, is in HALF"),
            ("fp16", [NORM, SOFTMAX], "none of its products is in HALF"),
            ("fp16", [HALF, QUANTIZE], "has INT8"),
            ("int8", [PRODUCT, NORM], "nothing in it is quantised to INT8"),
            ("int8", [layer("QUANTIZE", FLOATS, "UINT8")], "has UINT8"),
            ("int8", [layer("QUANTIZE", FLOATS, "FP8")], "has FP8"),
            ("int8", [QUANTIZE, HALF], "has HALF"),
        ],
    )
    def test_wrong(self, precision: str, layers: list[Layer], said: str) -> None:
        with pytest.raises(PrecisionMismatch, match=f"^g.onnx should run in {precision} .*{said}"):
            check_layers(layers, precision, "g.onnx")

    def test_of_int8_only_the_encoder_has_bytes(self) -> None:
        assert precision_of("image_encoder", "int8") == "int8"
        assert precision_of("mask_decoder", "int8") == precision_of("image_side", "int8") == "fp32"
        assert {precision_of(role, "fp16") for role in ("image_encoder", "image_side")} == {"fp16"}


def said(*formats: str, name: str = "gemm", key: str = "Format/Datatype") -> str:
    tensors: list[dict[str, Any]] = [{"Name": "t", "Dimensions": [1], key: f} for f in formats]
    return json.dumps({"Layers": [{"Name": name, "Inputs": tensors, "Outputs": tensors[:1]}]})


class TestBuilt:
    @pytest.mark.parametrize(
        ("precision", "information", "told"),
        [
            ("fp32", said("Row major linear FP32 format", "Int32"), True),
            ("fp16", said("Float", "Half"), True),
            ("fp16", said("Row major linear FP16 format", key="Format"), True),
            ("int8", said("Row major Int8 format", "FP32"), True),
            ("int8", said("FP32", name="{ForeignNode[a...b]}"), False),
            ("fp16", said("FP32", name="{ForeignNode[a...b]}"), False),
            ("fp16", json.dumps({"Layers": ["gemm", "kgen"]}), False),
            ("fp32", "no JSON", False),
            ("fp32", "[]", False),
        ],
    )
    def test_right_or_not_told(self, precision: str, information: str, told: bool) -> None:
        assert check_built(information, precision, "g.onnx") is told

    @pytest.mark.parametrize(
        ("precision", "information", "found"),
        [
            ("fp32", said("FP32", "Half"), "FLOAT, HALF"),
            ("fp32", said("FP32", "BFloat16"), "BF16, FLOAT"),
            ("fp16", said("FP32", "Float"), "FLOAT"),
            ("int8", said("FP32"), "FLOAT"),
            ("int8", said("Int8", "FP16"), "HALF, INT8"),
            ("fp16", said("FP16", "FP8"), "FP8, HALF"),
        ],
    )
    def test_wrong(self, precision: str, information: str, found: str) -> None:
        with pytest.raises(
            PrecisionMismatch, match=f"^g.onnx should run in {precision} and was built in {found}$"
        ):
            check_built(information, precision, "g.onnx")
