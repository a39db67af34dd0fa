"""What TensorRT says while it works, its errors kept for a message. Knows no call."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

logger = logging.getLogger("edgesam")

_LONGEST = 300
_SAID = ("INTERNAL_ERROR", "ERROR", "WARNING")
_ABOUT_MEMORY = ("out of memory", "outofmemory", "alloc", "insufficient memory", "memory_alloc")


def listening(trt: Any) -> Any:
    """A logger for a TensorRT module, which its objects must not outlive.

    Its ``errors`` are the last few, ``take()`` gives them as one line and forgets them.
    """

    class Listener(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, message: str) -> None:
            line = " ".join(str(message).split())
            if severity.name in _SAID:  # whoever called raises what is an error
                logger.debug("%s: %s", trt.__name__, line)
            if severity.name.endswith("ERROR"):
                self.errors.append(line)

        def take(self) -> str:
            said = "; ".join(dict.fromkeys(self.errors)) or "it does not say why"
            self.errors.clear()
            return said[:_LONGEST]

    return Listener()


def is_about_memory(said: str) -> bool:
    """Whether an error of TensorRT's says that memory ran out."""
    return any(sign in said.lower() for sign in _ABOUT_MEMORY)
