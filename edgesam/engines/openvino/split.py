"""One graph as two, the first part in float32: OpenVINO has no way to keep single nodes so.

Of what the parts compute nothing is known here; each is an ``OpenVinoGraph`` that reads back its
own precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.engines.openvino.graph import OpenVinoGraph


class SplitGraph:
    """Runs as one ``OpenVinoGraph`` would.

    Args:
        core: OpenVINO's.
        path: of the ONNX file.
        until: the value at which it is cut: the only one that the second part takes.
        precisions: of the first part and of the second.
        device: OpenVINO's name.
        threads: of each part; None leaves it to OpenVINO.

    Raises:
        BundleError: the graph cannot be loaded, or not be cut there.
        OutOfMemory: there is no memory for it.
        PrecisionMismatch: a part does not run in its precision.
    """

    def __init__(
        self,
        core: Any,
        path: Path,
        until: str,
        precisions: tuple[str, str],
        device: str,
        threads: int | None,
    ) -> None:
        head, tail = precisions
        self._until = until
        self._head = OpenVinoGraph(core, path, head, device, threads, until=until)
        self._tail = OpenVinoGraph(core, path, tail, device, threads, after=until)
        self.types = self._head.types | self._tail.types
        self.threads = self._tail.threads

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        cancel: Cancel | None = None,
    ) -> tuple[NDArray[np.float32], ...]:
        """The first part and, with what it gives, the second."""
        (between,) = self._head.run(inputs, [self._until], cancel)
        return self._tail.run({self._until: between}, outputs, cancel)
