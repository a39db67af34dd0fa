"""Runs an encoder's graph alone, whatever outputs it has. Knows ONNX Runtime, no recipe.

What is learned and chosen is learned and chosen on the engine that runs it by default, and in the
way it runs here: where bytes cannot be multiplied, in float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.engines import choose
from edgesam_bench.variants.engine import multiplies_bytes


class EncoderRun:
    """A graph, ready to run.

    Args:
        path: of the graph.

    Raises:
        EngineUnavailable: onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        choose("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # as in edgesam.engines.ort.engine
        if not multiplies_bytes("onnxruntime:cpu"):
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(
        self, image: NDArray[np.float32], **more: NDArray[np.float32]
    ) -> dict[str, NDArray[Any]]:
        """All outputs by name."""
        found = self._session.run(self._names, {"image": image, **more})
        return dict(zip(self._names, found, strict=True))
