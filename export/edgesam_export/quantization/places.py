"""What stands around a product in a graph: what makes its input, its bias. Changes nothing."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from edgesam.errors import ExportError
from edgesam_export.graphs.net import Net

_MOVES = ("Transpose", "Reshape", "Gather")  # values, and changes none of them

Place = Literal["norm", "values"]


def source_of(node: ir.Node) -> ir.Node:
    """What makes a product's input, past everything that only moves values.

    Raises:
        ExportError: nothing does: it is the graph's own input.
    """
    value = node.inputs[0]
    while value is not None and (maker := value.producer()) is not None:
        if maker.op_type not in _MOVES:
            return maker
        value = maker.inputs[0]
    raise ExportError(f"{node.name} takes the graph's own input: its smoothing has no place")


def values_of_attention(node: ir.Node) -> ir.Node | None:
    """The product that makes queries, keys and values, of the one that sums the values."""
    value = node.inputs[1] if node.op_type == "MatMul" else None
    while value is not None and (maker := value.producer()) is not None:
        if maker.op_type == "MatMul":
            return maker
        value = maker.inputs[0]
    return None


def bias_of(node: ir.Node) -> ir.Value | None:
    """The constant that is added to a product."""
    if node.op_type == "Conv":
        return node.inputs[2] if len(node.inputs) > 2 else None
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return None
    return uses[0].node.inputs[1]


def smoothing_place(net: Net, node: ir.Node, channels: int) -> Place | None:
    """Where the division of a product's input channels can go without an operation of its own.

    Returns:
        ``norm``: the LayerNorm that makes them, for this product alone; ``values``: those of the
        attention before a projection; None: only a Mul can do it.
    """
    if node.inputs[0] is None or node.inputs[0].producer() is None:
        return None
    try:
        source = source_of(node)
    except ExportError:
        return None
    if _reaches(source.outputs[0]) != [node]:
        return None
    if source.op_type == "LayerNormalization":
        return "norm"
    packed = values_of_attention(source)
    if packed is None or not net.holds(packed.inputs[1]) or not net.holds(bias_of(packed)):
        return None
    weight = packed.inputs[1]
    assert weight is not None
    assert weight.shape is not None
    thirds = _takers(_one_use(packed)) in (["Split"], ["Gather"] * 3)
    return "values" if thirds and weight.shape[1] == 3 * channels else None


def _takers(node: ir.Node) -> list[str]:
    """Kinds of the nodes that take a result, in whatever shape."""
    takers = [use.node for use in node.outputs[0].uses()]
    if [taker.op_type for taker in takers] == ["Reshape"]:
        return _takers(takers[0])
    return [taker.op_type for taker in takers]


def _one_use(node: ir.Node) -> ir.Node:
    """The only node that takes its result."""
    (use,) = node.outputs[0].uses()
    return use.node


def _reaches(value: ir.Value) -> list[ir.Node]:
    """All nodes that take a value, past those that only move it."""
    found: list[ir.Node] = []
    for use in value.uses():
        if use.node.op_type in _MOVES:
            found += _reaches(use.node.outputs[0])
        else:
            found.append(use.node)
    return found
