"""Puts Q/DQ into a graph as a recipe says. Knows products, norms and attention; no calibration.

QuantizeLinear and DequantizeLinear pairs around float products are what ONNX Runtime, OpenVINO and
TensorRT all read as INT8: one file for the three. TensorRT wants int8 with zero point 0, a recipe
has uint8 with a zero point of its own: a constant is added to the product's input, which moves its
codes by whole steps, and what that adds to the product is taken off its bias. Only elementwise
operations on float64, rounding and sums of whole numbers decide the bytes, so that exports are the
same on every machine.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam.errors import ExportError
from edgesam_export.graphs.net import Net
from edgesam_export.quantization.places import (
    bias_of,
    smoothing_place,
    source_of,
    values_of_attention,
)
from edgesam_export.quantization.recipe import Quantized, Recipe

_LARGEST = 127  # of weights, symmetric: -128 is not used
_MIDDLE = 128  # the uint8 code that int8 calls 0


def quantize(net: Net, recipe: Recipe) -> None:
    """Change a network that was just built and not yet saved.

    Raises:
        ExportError: the recipe is of another network.
    """
    nodes: dict[str, ir.Node] = {}
    for name, how in recipe.nodes.items():
        node = net.node(name)
        if node is None or node.op_type not in ("MatMul", "Conv"):
            raise ExportError(f"the recipe names {name}, which this network does not have")
        weight = _Weight(net, node)
        if how.smoothing is not None and len(how.smoothing) != weight.channels:
            raise ExportError(f"the recipe of {name} is of another network: its channels differ")
        nodes[name] = node
        if how.bias is not None:
            _add_to_result(net, node, np.array(how.bias))
    for name, how in recipe.nodes.items():
        if how.smoothing is not None:
            weight = _Weight(net, nodes[name])
            factors = how.factors(weight.channels)
            weight.scale_inputs(factors)
            if how.fold:
                _fold(net, nodes[name], factors)
    # Last: what was folded into a product's weights and bias is rounded with them.
    for name, how in recipe.nodes.items():
        _quantize_node(net, nodes[name], how)


class _Weight:
    """A product's weight as a matrix (inputs, outputs), whatever its layout."""

    def __init__(self, net: Net, node: ir.Node) -> None:
        value = node.inputs[1]
        assert value is not None
        self._net, self._value, self._convolves = net, value, node.op_type == "Conv"
        self.array = net.read(value).astype(np.float64)

    @property
    def channels(self) -> int:
        """Of the input; a grouped convolution, which would have fewer, is never quantised."""
        return int(self.array.shape[1 if self._convolves else 0])

    @property
    def output_axis(self) -> int:
        return 0 if self._convolves else 1

    def scale_inputs(self, factors: NDArray[np.float64]) -> None:
        """Each input channel's weights multiplied by its factor."""
        shape = (1, -1, 1, 1) if self._convolves else (-1, 1)
        self._net.write(self._value, (self.array * factors.reshape(shape)).astype(np.float32))

    def rounded(self) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The weight in int8 and the scale of each output."""
        axes = tuple(i for i in range(self.array.ndim) if i != self.output_axis)
        scale = (np.abs(self.array).max(axis=axes) / _LARGEST).astype(np.float32)
        scale = np.where(scale > 0, scale, np.float32(1.0))  # an output that is always 0
        shape = [1] * self.array.ndim
        shape[self.output_axis] = -1
        whole = np.rint(self.array / scale.reshape(shape))
        return np.clip(whole, -_LARGEST, _LARGEST).astype(np.int8), scale


def _fold(net: Net, node: ir.Node, factors: NDArray[np.float64]) -> None:
    """Divide the product's input channels where they are made, exactly."""
    source = source_of(node)
    if source.op_type == "LayerNormalization":
        for value in source.inputs[1:3]:
            assert value is not None
            net.write(value, (net.read(value) / factors).astype(np.float32))
        return
    # The projection of an attention: its inputs are sums of values, the last third of qkv.
    qkv = values_of_attention(source)
    if qkv is None or len(factors) * 3 != _Weight(net, qkv).array.shape[1]:
        raise ExportError(f"{node.name} has nothing before it that its smoothing can go into")
    division = np.concatenate([np.ones(2 * len(factors)), factors])
    for value in (qkv.inputs[1], bias_of(qkv)):
        assert value is not None
        net.write(value, (net.read(value) / division).astype(np.float32))


def _quantize_node(net: Net, node: ir.Node, how: Quantized) -> None:
    weight = _Weight(net, node)
    whole, scale = weight.rounded()
    source, old_weight = node.inputs[0], node.inputs[1]
    assert source is not None
    assert old_weight is not None
    step = np.array(how.scale, np.float32)
    shift = np.float64((how.zero - _MIDDLE) * float(step))
    with net.scope(_module(node)), net.before(node):
        if how.smoothing is not None and not how.fold:
            shape = (1, -1, 1, 1) if node.op_type == "Conv" else (-1,)
            inverse = (1.0 / how.factors(weight.channels)).astype(np.float32).reshape(shape)
            source = net.mul(source, net.constant("smoothing", inverse))
        if shift:
            source = _shifted(net, node, source, weight.channels, shift)
        of_input = (
            net.constant("input_scale", step),
            net.constant("input_zero", np.array(0, np.int8)),
        )
        source = net.op("DequantizeLinear", net.op("QuantizeLinear", source, *of_input), *of_input)
        quantized = net.op(
            "DequantizeLinear",
            net.constant("weight_int8", whole),
            net.constant("weight_scale", scale),
            axis=weight.output_axis,
        )
    node.replace_input_with(0, source)
    node.replace_input_with(1, quantized)
    net.forget(old_weight)
    if shift:
        others = tuple(i for i in range(whole.ndim) if i != weight.output_axis)
        # Whole numbers: their sum does not depend on its order.
        _add_to_result(net, node, -shift * (scale * whole.sum(axis=others, dtype=np.int64)))


def _shifted(
    net: Net, node: ir.Node, source: ir.Value, channels: int, shift: np.float64
) -> ir.Value:
    """The product's input with a constant added, its padding with it."""
    constant = np.array(shift, np.float32)
    if source is node.inputs[0] and smoothing_place(net, node, channels) == "norm":
        bias = source_of(node).inputs[2]
        assert bias is not None
        net.write(bias, (net.read(bias) + shift).astype(np.float32))
    else:
        source = net.add(source, net.constant("input_shift", constant))
    pads = node.attributes["pads"].as_ints() if node.op_type == "Conv" else ()
    if any(pads):
        # The convolution's own would be 0 after the constant was added.
        top, left, bottom, right = pads
        edges = net.ints((0, 0, top, left, 0, 0, bottom, right))
        source = net.op("Pad", source, edges, net.constant("input_shift", constant))
        node.attributes["pads"] = ir.AttrInt64s("pads", [0, 0, 0, 0])
    return source


def _add_to_result(net: Net, node: ir.Node, vector: NDArray[np.float64]) -> None:
    """Add to each output: to the product's bias, which it is given if it has none."""
    found = bias_of(node)
    if found is not None and net.holds(found):
        net.write(found, (net.read(found) + vector).astype(np.float32))
        return
    with net.scope(_module(node)):
        value = net.constant("bias_correction", vector.astype(np.float32))
        if node.op_type == "Conv":
            node.resize_inputs(3)
            node.replace_input_with(2, value)
            return
        uses = list(node.outputs[0].uses())
        with net.before(net.nodes[net.nodes.index(node) + 1]):
            total = net.add(node.outputs[0], value)
    for use in uses:
        use.node.replace_input_with(use.idx, total)


def _module(node: ir.Node) -> str:
    """The checkpoint's module that a product belongs to."""
    return (node.name or "").rpartition("/")[0]
