"""How many multiply-accumulates a graph takes, read off its ONNX file. Runs nothing.

Matrix products and convolutions are counted, which are all but a few per cent of what a SAM
computes; a floating-point operation is half a multiply-accumulate, as usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgesam.errors import BundleError

ONE_BOX = {"images": 1, "masks": 1, "prompts": 1, "points": 2, "outputs": 1}
"""The free sizes of a bundle's graphs when a box in a picture is answered with one mask."""

_COUNTED = ("MatMul", "Gemm", "Conv", "ConvTranspose")


def macs(graph: Path, sizes: Mapping[str, int] = ONE_BOX) -> int:
    """Of one run with those sizes.

    Raises:
        BundleError: the graph cannot be read, or leaves a size open.
    """
    try:
        model = ir.load(graph)
        for value in model.graph.inputs:
            value.shape = ir.Shape(_sizes(value.shape, sizes))
        inferred = ShapeInferencePass(data_prop=True)(_forgetful(model)).model
        return sum(_of(node) for node in inferred.graph if node.op_type in _COUNTED)
    except Exception as error:  # protobuf, onnx_ir and onnx each have their own
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"cannot count the work of {graph.name}: {line}") from error


def _forgetful(model: ir.Model) -> ir.Model:
    """Without the shapes that were written for free sizes."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    return model


def _of(node: ir.Node) -> int:
    """Each value of the result takes as many as were summed for it."""
    first, second = (_shape(value) for value in node.inputs[:2])
    result = _shape(node.outputs[0])
    if node.op_type == "MatMul":
        return math.prod(result) * first[-1]
    if node.op_type == "Gemm":
        turned = node.attributes.get_int("transA", 0)
        return math.prod(result) * first[0 if turned else 1]
    if node.op_type == "Conv":
        return math.prod(result) * math.prod(second[1:])
    return math.prod(first) * math.prod(second[1:])  # each input value is spread by the kernel


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is None:
        raise ValueError("an input is missing")
    shape = value.shape
    if shape is None and value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    if shape is None:
        raise ValueError(f"the shape of {value.name} is not known")
    return _sizes(shape, {})


def _sizes(
    shape: Iterable[int | ir.SymbolicDim] | None, sizes: Mapping[str, int]
) -> tuple[int, ...]:
    found = []
    for size in shape or ():
        if isinstance(size, int):
            found.append(size)
        elif size.value is not None and size.value in sizes:
            found.append(sizes[size.value])
        else:
            raise ValueError(f"the size {size.value!r} is left open")
    return tuple(found)
