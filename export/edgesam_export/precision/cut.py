"""How much of an image encoder stays float32 in bf16: all up to one of its modules, or nothing.

Small data: for known checkpoints it ships with the package. Knows the order of a graph's nodes, no
layer and no engine. Modules, not nodes, are named: a block that is laid out anew keeps its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources

import onnx_ir as ir

from edgesam.errors import ExportError
from edgesam_export.graphs.net import Net
from edgesam_export.precision.half import PRODUCTS

# What an encoder is cut behind: its blocks and what stands between them.
_MODULE = re.compile(r"((?:layers\.\d+\.)?(?:blocks\.\d+|[a-z_]\w*))[./]")


def cut_behind(net: Net, module: str) -> str:
    """The value that a module ends in, and that is all of what is before that the rest needs.

    Raises:
        ExportError: there is no such module, or more than one value leaves it.
    """
    for name, value in cuts_of(net):
        if name == module:
            return value
    raise ExportError(f"{net.name} cannot be cut behind {module!r}: it ends in no single value")


def cuts_of(net: Net) -> Sequence[tuple[str, str]]:
    """Modules and the values behind which a graph can be cut, in its order.

    Not the last module: behind it there is no product left.
    """
    last_use: dict[ir.Value, int] = {}
    for index, node in enumerate(net.nodes):
        last_use.update(dict.fromkeys((v for v in node.inputs if v is not None), index))
    for value in net.outputs:
        last_use[value] = len(net.nodes)
    last_product = max((i for i, n in enumerate(net.nodes) if n.op_type in PRODUCTS), default=0)
    found: dict[str, tuple[int, str]] = {}
    # The graph's own input may be needed late, too.
    alive = {value for value in last_use if value.producer() is None and not net.holds(value)}
    for index, node in enumerate(net.nodes):
        made = {value for value in node.outputs if value in last_use}
        alive = {value for value in alive | made if last_use[value] > index}
        module = _module(node)
        if module and alive == made and len(made) == 1:
            (value,) = made
            assert value.name is not None
            found.pop(module, None)  # the last place in it is its end
            found[module] = index, value.name
    return [(module, name) for module, (index, name) in found.items() if index < last_product]


def _module(node: ir.Node) -> str | None:
    match = _MODULE.match(node.name or "")
    return match and match[1]


def shipped_cut(checkpoint: str) -> tuple[str | None] | None:
    """The module that ships for the checkpoint of that sha256, in a tuple, or None if none does.

    ``(None,)``: all of its encoder may be computed in bf16.
    """
    text = (resources.files("edgesam_export.precision") / "cuts.json").read_text("utf-8")
    cuts = json.loads(text)
    return (cuts[checkpoint],) if checkpoint in cuts else None
