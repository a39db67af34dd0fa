"""Writes float16 into a graph: weights and products, not norms, softmax and sums of two branches.

Knows ONNX operators, no layer. Inputs and outputs stay float32, so that nothing else changes.
Rounding is numpy's, to nearest and even: the same bytes on every machine.
"""

from __future__ import annotations

from contextlib import nullcontext

import onnx_ir as ir

from edgesam_export.graphs.net import FLOAT, Net

FLOAT16 = ir.DataType.FLOAT16
PRODUCTS = frozenset({"MatMul", "Conv"})
# What stays in the type that its values come in.
_MOVES = {"Concat", "Expand", "Gather", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose"}
_FOLLOW = _MOVES | {"Add", "Gelu", "Mul", "Relu", "Sub", "Unsqueeze"}
# Angles of hundreds of radians and pixels of a mask prompt; hardly any work.
_KEPT = "prompt_encoder."
# What the result's type does not follow from the first input's.
_TYPES = {"Shape": ir.DataType.INT64, "Greater": ir.DataType.BOOL}
_WHOLE = (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL)


def halve(net: Net) -> None:
    """Change a network that was just built and not yet saved."""
    types: dict[ir.Value, ir.DataType] = {}
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
    for node in net.nodes:
        made = type_of(node, types)
        if made in (FLOAT, FLOAT16):
            made = FLOAT16 if _belongs_in_half(net, node, types) else FLOAT
            for index, value in enumerate(node.inputs):
                if value is not None and _of(value, types) not in (made, *_WHOLE):
                    node.replace_input_with(index, _as(net, node, value, made, casts))
                    if net.holds(value) and not value.uses():
                        net.forget(value)
        types.update(dict.fromkeys(node.outputs, made))


def _of(value: ir.Value, types: dict[ir.Value, ir.DataType]) -> ir.DataType:
    """The type of a value, one of the graph's own or one that a node before has made."""
    found = types.get(value) or value.dtype
    assert found is not None
    return found


def type_of(node: ir.Node, types: dict[ir.Value, ir.DataType]) -> ir.DataType:
    """What a node made before anything was changed, and of floats what its first input is now."""
    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to"))
    first = node.inputs[0]
    assert first is not None
    return _TYPES.get(node.op_type) or _of(first, types)


def _belongs_in_half(net: Net, node: ir.Node, types: dict[ir.Value, ir.DataType]) -> bool:
    if (node.name or "").startswith(_KEPT) or set(node.outputs) & set(net.outputs):
        return False
    if node.op_type in PRODUCTS:
        return True
    if node.op_type not in _FOLLOW:
        return False
    if node.op_type == "Gather" and net.holds(node.inputs[0]):
        return True  # weights chosen at run time
    # The sum of two branches keeps what the smaller one adds to the larger.
    branches = [
        value
        for value in node.inputs
        if value is not None and not net.holds(value) and _of(value, types) not in _WHOLE
    ]
    if len(branches) > 1 and node.op_type != "Concat":
        return False
    return bool(branches) and all(_of(value, types) == FLOAT16 for value in branches)


def _as(
    net: Net,
    node: ir.Node,
    value: ir.Value,
    type_: ir.DataType,
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value],
) -> ir.Value:
    """A value in another type; of a constant its twin, of another a cast before the node."""
    if net.holds(value):
        assert type_ == FLOAT16
        name = value.name or ""
        return net.shared(f"{name}:float16", net.promised(value).halved(f"the tensor {name}"))
    if (value, type_) not in casts:
        module = (node.name or "").rpartition("/")[0]
        with net.scope(module) if module else nullcontext(), net.before(node):
            casts[value, type_] = net.op("Cast", value, to=int(type_))
    return casts[value, type_]
