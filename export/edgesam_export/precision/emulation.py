"""bfloat16 emulated in float32, to tell what masks would be where no processor has it.

Whatever is computed behind the cut is rounded to bfloat16 and back, as are the weights of products;
sums inside a product stay float32, as they do in hardware. Written into no bundle.
"""

from __future__ import annotations

import onnx_ir as ir

from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.precision.cut import cut_behind
from edgesam_export.precision.half import PRODUCTS, type_of

_BFLOAT16 = ir.DataType.BFLOAT16
# What computes; all else hands on what was rounded before.
_COMPUTE = PRODUCTS | {"Add", "Gelu", "LayerNormalization", "Mul", "Relu", "Softmax", "Sub"}


def emulate_bf16(net: Net, module: str | None) -> None:
    """Change an image encoder that was just built: behind a module, or all of it.

    Raises:
        ExportError: it cannot be cut there.
    """
    until = None if module is None else cut_behind(net, module)
    behind = until is None
    nodes = net.nodes
    types: dict[ir.Value, ir.DataType] = {}
    for node, following in zip(nodes, (*nodes[1:], None), strict=True):
        made = type_of(node, types)
        types.update(dict.fromkeys(node.outputs, made))
        if made != FLOAT:
            continue
        if behind and node.op_type in PRODUCTS:
            for index, value in enumerate(node.inputs[:2]):
                assert value is not None
                if net.holds(value) or value.producer() is None:
                    with net.before(node):
                        rounded = _rounded(net, value)
                    types[rounded] = made
                    node.replace_input_with(index, rounded)
        ends = any(value.name == until for value in node.outputs)
        behind = behind or ends
        if not behind or following is None or not (ends or node.op_type in _COMPUTE):
            continue
        for value in node.outputs:
            uses = list(value.uses())
            with net.before(following):
                rounded = _rounded(net, value)
            types[rounded] = made
            for use in uses:
                use.node.replace_input_with(use.idx, rounded)


def _rounded(net: Net, value: ir.Value) -> ir.Value:
    with net.scope("rounded"):
        return net.op("Cast", net.op("Cast", value, to=int(_BFLOAT16)), to=int(FLOAT))
