"""``load``: from a model's name to a Sam. Knows bundles and engines, no pixels."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import Any

from edgesam import machine
from edgesam.bundle import Bundle, find_bundle
from edgesam.engines import Engine, Graphs, choose
from edgesam.errors import BundleError, OutOfMemory
from edgesam.manifest import ROLES, Manifest, Variant
from edgesam.memory import available_memory
from edgesam.models import MOST_THREADS
from edgesam.sam import Sam
from edgesam.tuned import Choice, remembered

logger = logging.getLogger("edgesam")


def load(
    model: str | os.PathLike[str] = "lite-medsam",
    *,
    engine: str | Engine = "auto",
    variant: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    require_passport: bool = False,
) -> Sam:
    """Load a model that is on this machine; never downloads.

    Args:
        model: a known model's name, or the folder of a bundle.
        engine: ``onnxruntime``, ``openvino`` or ``tensorrt``; ``auto`` takes the first that works
            here and has the device, or with a variant of ``auto`` what ``edgesam tune`` found to be
            fastest on this machine.
        variant: of the bundle: ``fp32``, which ``auto`` is too unless tuned.
        device: ``cpu``, ``cuda`` (onnxruntime, tensorrt) or ``gpu`` (Intel's, openvino); ``auto``
            is the CPU, with tensorrt the GPU.
        threads: per graph run; None leaves it to the engine (all physical cores), or is the cores
            that this process may use, where its affinity or a container keeps it from others.
        require_passport: refuse graphs that no parity report vouches for.

    Raises:
        ModelNotFound: the model has not been pulled, or does not exist.
        BundleError: the bundle cannot be used, or lacks the passport that was required.
        ChecksumMismatch: a file of the bundle was changed.
        EngineUnavailable: the engine or the device cannot run here.
        OutOfMemory: less memory is free than the model needs.
        PrecisionMismatch: the engine does not run what the variant says.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    asked = _Asked(engine, variant, device, threads, require_passport)
    bundle = find_bundle(model)
    while True:
        try:
            return _open(bundle, asked.on(bundle))
        except BundleError:
            # An export may have put a new bundle in the place of the one that was being read.
            now = find_bundle(model)
            if now.manifest == bundle.manifest:
                raise
            bundle = now


def as_tuned(bundle: Bundle, engine: str | Engine, variant: str, device: str) -> Choice | None:
    """What ``edgesam tune`` found best here, if :func:`load` may choose and would take it.

    Raises:
        BundleError: the passport of what was found is missing, or is none.
        ChecksumMismatch: it was changed.
    """
    if (engine, variant) != ("auto", "auto") or device not in ("auto", "cpu"):
        return None
    best = remembered(bundle.manifest)
    if best is None:
        return None
    first, _ = bundle.variant("auto")
    if best.variant != first and bundle.passport(bundle.variants[best.variant]) is None:
        logger.info("tuned to the variant %s, which has no passport: not used", best.variant)
        return None
    return best


@dataclass(frozen=True)
class _Asked:
    """How a bundle is to be run, some of it perhaps ``auto``."""

    engine: str | Engine
    variant: str
    device: str
    threads: int | None
    require_passport: bool

    def on(self, bundle: Bundle) -> _Asked:
        """The same as ``edgesam tune`` found it best, where nothing was asked for by name."""
        best = as_tuned(bundle, self.engine, self.variant, self.device)
        if best is None:
            return self
        logger.info("as edgesam tune found best here: %s", best)
        threads = self.threads or best.threads
        return replace(self, engine=best.engine, variant=best.variant, threads=threads)


def _open(bundle: Bundle, asked: _Asked) -> Sam:
    runner = choose(asked.engine, asked.device) if isinstance(asked.engine, str) else asked.engine
    name, chosen = bundle.variant(asked.variant)
    _check_memory(bundle.manifest, chosen, asked.device)
    passport = _passport(bundle, name, asked.require_passport)
    if chosen.weights is not None:
        bundle.verified(chosen.weights)
    until = chosen.computed.fp32_until if chosen.computed else None
    session = runner.open(
        Graphs(**{role: bundle.verified(chosen.graph(role)) for role in ROLES}, fp32_until=until),
        precision=name,
        device=asked.device,
        # Engines count the machine's cores: threads on those that are not ours wait for each other.
        threads=asked.threads or (machine.cores() if machine.is_shared() else None),
    )
    return Sam(bundle, name, session, passport)


def _check_memory(manifest: Manifest, variant: Variant, device: str) -> None:
    """Refuse what cannot fit: Linux would end the process, not the call.

    Weights have to be in memory, and where the CPU computes the encoder's values beside them.
    """
    needed = sum(file.size for file in variant.files)
    if device in ("auto", "cpu"):
        needed += manifest.working_memory
    free = available_memory()
    if free is not None and free < needed:
        raise OutOfMemory(
            f"{manifest.model} needs {needed >> 20} MiB of memory and {free >> 20} MiB are free: "
            "close other programs, or take a smaller model"
        )


def _passport(bundle: Bundle, variant: str, required: bool) -> dict[str, Any] | None:
    """The variant's parity report; without one, a warning or a refusal."""
    report = bundle.passport(bundle.variants[variant])
    if report is None:
        said = f"no parity report vouches for {bundle.manifest.model} {variant} ({bundle.path})"
        if required:
            raise BundleError(f"{said}, and a passport was required")
        logger.warning("%s", said)
    return report
