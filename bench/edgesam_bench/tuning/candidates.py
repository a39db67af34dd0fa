"""What could run a bundle on this machine's CPU, and why the rest may not. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgesam import machine
from edgesam.bundle import Bundle
from edgesam.engines import ENGINES, Engine
from edgesam.errors import EngineUnavailable
from edgesam.tuned import Choice

REFERENCE = "fp32"  # the variant that the others' passports compare with
_DEVICE = "cpu"


@dataclass(frozen=True)
class LeftOut:
    """An engine, or a variant in one, that is not considered, and why."""

    name: str
    reason: str


def candidates(
    bundle: Bundle, engines: Mapping[str, Engine] = ENGINES, cores: int | None = None
) -> tuple[list[Choice], list[LeftOut]]:
    """All that may be chosen, in the order of engines, and what is left out.

    Args:
        bundle: whose variants.
        engines: by name.
        cores: None for those that this process may use.

    Raises:
        EngineUnavailable: nothing is left.
    """
    found, left_out = [], []
    for name, engine in engines.items():
        reason = engine.available()
        if reason is not None:
            left_out.append(LeftOut(name, reason))
            continue
        native = engine.precisions(_DEVICE)
        for variant in bundle.variants:
            if (why := _objection(bundle, variant, native)) is not None:
                left_out.append(LeftOut(f"{name} {variant}", why))
                continue
            found += [Choice(name, variant, n) for n in thread_counts(cores or machine.cores())]
    if not found:
        reasons = "; ".join(f"{one.name} {one.reason}" for one in left_out)
        raise EngineUnavailable(f"nothing runs {bundle.manifest.model} here: {reasons}")
    return found, left_out


def thread_counts(cores: int) -> list[int]:
    """Powers of two below the number of cores, and that number."""
    return [*(2**i for i in range(cores.bit_length()) if 2**i < cores), cores]


def _objection(bundle: Bundle, variant: str, native: tuple[str, ...]) -> str | None:
    if variant not in native:
        return "is not what it computes in on this processor"
    if variant != REFERENCE and bundle.passport(bundle.variants[variant]) is None:
        return "has no passport that holds"
    return None
