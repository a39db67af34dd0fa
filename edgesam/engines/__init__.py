"""Ways to run a bundle's graphs, by name. An engine asked for by name runs or raises."""

from __future__ import annotations

import logging

from edgesam.engines.openvino.engine import OpenVino
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.engines.protocol import (
    Answer,
    Batching,
    DevicePixels,
    Engine,
    Finishing,
    Graphs,
    MaskPrompts,
    Prompts,
    Session,
)
from edgesam.engines.refusal import check_available
from edgesam.engines.tensorrt.engine import TensorRt
from edgesam.errors import EngineUnavailable

__all__ = [
    "ENGINES",
    "Answer",
    "Batching",
    "DevicePixels",
    "Engine",
    "Finishing",
    "Graphs",
    "MaskPrompts",
    "Prompts",
    "Session",
    "choose",
]

logger = logging.getLogger("edgesam")

ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (OnnxRuntime(), OpenVino(), TensorRt())
}


def choose(name: str, device: str = "auto") -> Engine:
    """The engine of that name; ``auto`` is the first that works here and has the device.

    Where none has it, ``auto`` is the first that works: opened, it says what it has.

    Raises:
        EngineUnavailable: the name is unknown, it cannot run here, or nothing can.
    """
    if name != "auto":
        if name not in ENGINES:
            known = ", ".join(ENGINES)
            raise EngineUnavailable(f"no engine is called {name!r}; known: {known}")
        check_available(ENGINES[name])
        return ENGINES[name]
    first, reasons = None, []
    for engine in ENGINES.values():
        reason = engine.available()
        if reason is not None:
            reasons.append(f"{engine.name} {reason}")
            continue
        if device == "auto" or device in engine.devices():
            logger.info("engine auto: %s, the first of %s that works", engine.name, list(ENGINES))
            return engine
        first = first or engine
    if first is None:
        raise EngineUnavailable(f"no engine works here: {'; '.join(reasons)}")
    return first
