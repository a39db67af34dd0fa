"""The products of a network that could run in 8 bits, and how a matrix of each looks.

Knows MatMul and Conv, no recipe and no picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import Net
from edgesam_export.quantization.places import Place, bias_of, smoothing_place


@dataclass(frozen=True, eq=False)
class Product:
    """A MatMul or Conv with weights of its own.

    Attributes:
        name: of its node.
        weight: (channels * taps, outputs) float32, the taps of a channel together.
        taps: values of a channel that an output sums: 1, of a convolution its kernel's.
        place: where its smoothing can go without an operation of its own.
        has_bias: the mean error can be taken back.
    """

    name: str
    weight: NDArray[np.float32]
    taps: int
    place: Place | None
    has_bias: bool

    @property
    def channels(self) -> int:
        """Of the input."""
        return int(self.weight.shape[0]) // self.taps


def products_of(net: Net) -> list[Product]:
    """All of them, in the network's order; not those whose weights another product uses too."""
    found: list[Product] = []
    for node in net.nodes:
        if not _is_product(net, node):
            continue
        value = node.inputs[1]
        assert value is not None
        array = np.asarray(net.read(value), np.float32)
        convolves = node.op_type == "Conv"
        taps = int(np.prod(array.shape[2:])) if convolves else 1
        matrix = array.reshape(len(array), -1).T if convolves else array
        assert node.name is not None
        found.append(
            Product(
                name=node.name,
                weight=np.ascontiguousarray(matrix),
                taps=taps,
                place=smoothing_place(net, node, len(matrix) // taps),
                has_bias=convolves or net.holds(bias_of(node)),
            )
        )
    return found


def _is_product(net: Net, node: ir.Node) -> bool:
    if node.op_type not in ("MatMul", "Conv"):
        return False
    weight = node.inputs[1]
    if weight is None or not net.holds(weight) or len(list(weight.uses())) != 1:
        return False
    assert weight.shape is not None
    if node.op_type == "MatMul":
        return len(weight.shape) == 2
    return len(weight.shape) == 4 and node.attributes.get_int("group", 1) == 1
