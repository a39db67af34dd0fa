"""The types in which a graph's layers compute, against what its variant says. Knows no TensorRT.

A strongly typed network computes in the types that the graph says and in no others, so that this
can be held before anything is built; what a finished plan says is held once more where it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edgesam.errors import PrecisionMismatch

PRECISIONS = ("fp32", "fp16", "int8")

_PRODUCTS = frozenset({"MATRIX_MULTIPLY", "CONVOLUTION", "DECONVOLUTION", "EINSUM"})
_DELICATE = frozenset({"NORMALIZATION", "SOFTMAX"})  # float16 breaks them
_BYTES = frozenset({"INT8", "UINT8", "FP8", "INT4", "FP4"})
_REDUCED = frozenset({"HALF", "BF16"}) | _BYTES
_ALLOWED = {
    "fp32": frozenset[str](),
    "fp16": frozenset({"HALF"}),
    "int8": frozenset({"INT8"}),
}
# Angles of hundreds of radians and pixels of a mask prompt: the exporter leaves them in float32.
_KEPT = "prompt_encoder."
# How the engine inspector spells types, by the words that stand in its descriptions of tensors.
_SPELT = {
    "float": "FLOAT",
    "fp32": "FLOAT",
    "half": "HALF",
    "fp16": "HALF",
    "bf16": "BF16",
    "bfloat16": "BF16",
    "int8": "INT8",
    "uint8": "UINT8",
    "fp8": "FP8",
    "int4": "INT4",
    "fp4": "FP4",
}


@dataclass(frozen=True)
class Layer:
    """One layer of a parsed network.

    Attributes:
        name: of the node in the graph.
        kind: as TensorRT calls it: ``MATRIX_MULTIPLY``.
        takes, gives: element types of its inputs and outputs: ``HALF``.
    """

    name: str
    kind: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def precision_of(role: str, precision: str) -> str:
    """What one graph of a variant is to compute in: of int8 only the image encoder has bytes."""
    return "fp32" if precision == "int8" and role != "image_encoder" else precision


def layers_of(network: Any) -> Iterator[Layer]:
    """The layers of an ``INetworkDefinition``."""
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        inputs = (layer.get_input(i) for i in range(layer.num_inputs))
        outputs = (layer.get_output(i) for i in range(layer.num_outputs))
        yield Layer(
            layer.name,
            layer.type.name,
            tuple(tensor.dtype.name for tensor in inputs if tensor is not None),
            tuple(tensor.dtype.name for tensor in outputs if tensor is not None),
        )


def check_layers(layers: Iterable[Layer], precision: str, graph: str) -> None:
    """Raise if a parsed network would not compute in that precision.

    Args:
        layers: all of the network's.
        precision: of this graph: ``fp32``, ``fp16`` or ``int8``.
        graph: its name, for the error.

    Raises:
        PrecisionMismatch: naming the first layer that does not, or what none does.
    """
    said = f"{graph} should run in {precision} and"
    halves = pairs = 0
    for layer in layers:
        shown = f"its layer {layer.name} ({layer.kind})"
        found = set(layer.takes) | set(layer.gives)
        if others := (found & _REDUCED) - _ALLOWED[precision]:
            raise PrecisionMismatch(f"{said} {shown} has {', '.join(sorted(others))}")
        if precision == "fp16" and layer.kind in _PRODUCTS:
            if "HALF" in found and "FLOAT" not in found:
                halves += 1
            elif "FLOAT" in found and not layer.name.startswith(_KEPT):
                raise PrecisionMismatch(f"{said} {shown} multiplies in FLOAT")
        if layer.kind in _DELICATE and "HALF" in found:
            raise PrecisionMismatch(f"{said} {shown}, which float16 breaks, is in HALF")
        if layer.kind == "QUANTIZE" and "INT8" in layer.gives:
            pairs += 1
    if precision == "fp16" and not halves:
        raise PrecisionMismatch(f"{said} none of its products is in HALF")
    if precision == "int8" and not pairs:
        raise PrecisionMismatch(f"{said} nothing in it is quantised to INT8")


def check_built(information: str, precision: str, graph: str) -> bool:
    """Raise if a finished plan does not compute in that precision.

    Args:
        information: what the engine inspector says, as JSON.
        precision: of this graph.
        graph: its name, for the error.

    Returns:
        Whether it could be told: False where the plan names no types, or hides layers.

    Raises:
        PrecisionMismatch: with the types that were found.
    """
    found, opaque = _types_in(information)
    shown = ", ".join(sorted(found))
    wanted = {"fp16": "HALF", "int8": "INT8"}.get(precision)
    if (found & _REDUCED) - _ALLOWED[precision]:
        raise PrecisionMismatch(f"{graph} should run in {precision} and was built in {shown}")
    if not found:
        return False
    if wanted is not None and wanted not in found:
        if opaque:
            return False
        raise PrecisionMismatch(f"{graph} should run in {precision} and was built in {shown}")
    return True


def _types_in(information: str) -> tuple[set[str], bool]:
    """The types that an inspector names, and whether layers are hidden in a node of many."""
    try:
        layers = json.loads(information)["Layers"]
    except (ValueError, KeyError, TypeError):
        return set(), True
    found: set[str] = set()
    opaque = False
    for layer in layers:
        if not isinstance(layer, dict):  # names alone: built without details
            opaque = True
            continue
        opaque = opaque or "ForeignNode" in str(layer.get("Name"))
        for tensor in (*(layer.get("Inputs") or ()), *(layer.get("Outputs") or ())):
            if isinstance(tensor, dict):
                text = " ".join(
                    str(value)
                    for key, value in tensor.items()
                    if "type" in key.lower() or "format" in key.lower()
                )
                words = text.lower().replace(",", " ").replace("(", " ").split()
                found |= {_SPELT[word] for word in words if word in _SPELT}
    return found, opaque
