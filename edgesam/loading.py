"""``load``: from a model's name to a Sam. Knows bundles and engines, no pixels."""

from __future__ import annotations

import logging
import os
from typing import Any

from edgesam.bundle import Bundle, find_bundle
from edgesam.engines import Engine, Graphs, choose
from edgesam.errors import BundleError, OutOfMemory
from edgesam.manifest import ROLES, Manifest, Variant
from edgesam.memory import available_memory
from edgesam.models import MOST_THREADS
from edgesam.sam import Sam

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
        engine: ``onnxruntime`` or ``openvino``; ``auto`` takes the first that works here.
        variant: of the bundle: ``fp32``.
        device: ``cpu``, ``cuda`` (onnxruntime) or ``gpu`` (Intel's, openvino); ``auto`` is the CPU.
        threads: per graph run; None leaves it to the engine (all physical cores).
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
    bundle = find_bundle(model)
    runner = choose(engine) if isinstance(engine, str) else engine
    while True:
        try:
            return _open(bundle, runner, variant, device, threads, require_passport)
        except BundleError:
            # An export may have put a new bundle in the place of the one that was being read.
            now = find_bundle(model)
            if now.manifest == bundle.manifest:
                raise
            bundle = now


def _open(
    bundle: Bundle,
    runner: Engine,
    variant: str,
    device: str,
    threads: int | None,
    require_passport: bool,
) -> Sam:
    name, chosen = bundle.variant(variant)
    _check_memory(bundle.manifest, chosen, device)
    passport = _passport(bundle, name, require_passport)
    if chosen.weights is not None:
        bundle.verified(chosen.weights)
    session = runner.open(
        Graphs(**{role: bundle.verified(chosen.graph(role)) for role in ROLES}),
        precision=name,
        device=device,
        threads=threads,
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
