"""Products of bytes in ONNX Runtime: asked for by a graph's file, and read back by node.

ONNX Runtime has no call that tells what it made of a graph, but it can write that down.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesam.errors import BundleError, PrecisionMismatch

# A MatMul and its Add become a Gemm before pairs of Q/DQ are looked at, and a Gemm whose bias is
# float32 is none that is computed in bytes: no product of a bundle's would be.
_HINDERING = ["MatMulAddFusion"]

_MULTIPLY = (
    "MatMulIntegerToFloat",
    "MatMulInteger",
    "QLinearMatMul",
    "QGemm",
    "ConvInteger",
    "QLinearConv",
)


def asks_for_bytes(graph: Path) -> bool:
    """Whether an ONNX file has Q/DQ pairs.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return _holds(graph.read_bytes(), "QuantizeLinear")
    except OSError as error:
        raise BundleError(f"{graph.name} cannot be read: {error.strerror}") from None


def start_in_bytes(start: Callable[..., Any], options: Any, name: str) -> Any:
    """A session of a graph with Q/DQ pairs that multiplies bytes.

    Args:
        start: makes it, and takes what else an InferenceSession does.
        options: a SessionOptions that ``start`` uses.
        name: of the graph, for the error.

    Raises:
        PrecisionMismatch: it multiplies none.
    """
    with tempfile.TemporaryDirectory(prefix="edgesam-", ignore_cleanup_errors=True) as folder:
        written = Path(folder) / "graph.onnx"
        options.optimized_model_filepath = str(written)
        # Weights beside it: one file holds 2 GB at most.
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "weights"
        )
        session = start(disabled_optimizers=_HINDERING)
        content = written.read_bytes()
    if not any(_holds(content, kind) for kind in _MULTIPLY):
        raise PrecisionMismatch(f"onnxruntime computes nothing of {name} in 8 bits")
    return session


def _holds(onnx: bytes, kind: str) -> bool:
    """Whether there is a node of that kind, by how an ONNX file spells it (NodeProto.op_type)."""
    return b'"' + bytes([len(kind)]) + kind.encode() in onnx
