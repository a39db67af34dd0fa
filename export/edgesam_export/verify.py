"""Checks a written graph with onnx's own checker: types and shapes of every node. Runs nothing."""

from __future__ import annotations

from pathlib import Path

from edgesam.errors import ExportError


def verify_graph(path: Path) -> None:
    """Infer the shapes of the whole graph, strictly.

    A tensor whose shape does not fit its layer shows up here, before the bundle exists.

    Raises:
        ExportError: a node's inputs do not fit.
    """
    import onnx
    import onnx.checker

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{path.name} does not fit together: {reason[:300]}") from None
