"""What an engine does not do here, said before it loads anything. Knows no engine by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgesam.engines.protocol import Engine
from edgesam.errors import EngineUnavailable, PrecisionMismatch


def check_available(engine: Engine) -> None:
    """Raise if it does not work here.

    Raises:
        EngineUnavailable: with the reason and what to do.
    """
    if (reason := engine.available()) is not None:
        raise EngineUnavailable(f"engine {engine.name!r} is unavailable: {reason}")


def device_for(
    engine: Engine,
    precision: str,
    device: str,
    *,
    runs: Collection[str],
    hints: Mapping[str, str] | None = None,
) -> str:
    """The device that is meant, of an engine that works here and has it. ``auto`` is the CPU, or
    the first device of an engine that does not run there.

    Args:
        engine: to be opened.
        precision: that is asked for.
        device: that is asked for.
        runs: the precisions that the engine runs anywhere.
        hints: device -> what to do where it is missing.

    Raises:
        EngineUnavailable: the engine or the device cannot run here.
        PrecisionMismatch: the engine does not run that precision.
    """
    check_available(engine)
    if precision not in runs:
        raise PrecisionMismatch(
            f"engine {engine.name!r} does not run {precision}; it runs: {', '.join(runs)}"
        )
    devices = engine.devices()
    if device == "auto":
        device = "cpu" if "cpu" in devices else devices[0]
    if device not in devices:
        hint = f". Try: {hints[device]}" if hints and device in hints else ""
        raise EngineUnavailable(
            f"engine {engine.name!r} has no device {device!r} here; it has: "
            f"{', '.join(devices)}{hint}"
        )
    return device
