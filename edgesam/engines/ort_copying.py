"""Copies from array to array where ONNX Runtime computes: a graph that does nothing else.

Not every version of ONNX Runtime can be asked for such a copy, and one that is not made on the
stream of its graphs need not be over when they read it. A graph's run is over when it returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgesam.engines.ort_arrays import BoundGraph

_FLOAT = 1


class Copier:
    """Copies OrtValues of float32.

    Args:
        session: of :func:`identity`.
    """

    def __init__(self, session: Any) -> None:
        self._graph = BoundGraph(session)

    def copy(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Each first into its second, of the same shape."""
        for source, target in pairs:
            self._graph.run(self._graph.bound({"from": source}, {"to": target}))


def identity() -> bytes:
    """The ONNX file of ``to = from``, for float32 of any shape."""
    node = _text(1, "from") + _text(2, "to") + _text(4, "Identity")
    kind = _bytes(1, _number(1, _FLOAT))  # a tensor of which only the element type is known
    ends = ((11, "from"), (12, "to"))
    values = b"".join(_bytes(field, _text(1, name) + _bytes(2, kind)) for field, name in ends)
    graph = _bytes(1, node) + _text(2, "copy") + values
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _number(field: int, value: int) -> bytes:
    return bytes((field << 3, value))


def _bytes(field: int, value: bytes) -> bytes:
    """All here are shorter than 128 bytes: their length is one byte."""
    return bytes((field << 3 | 2, len(value))) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
