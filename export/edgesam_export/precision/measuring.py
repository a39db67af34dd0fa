"""fp16 and bf16 on their way into a bundle: made, measured beside fp32 on pictures, or left out.

Knows which pictures may judge: of fp16 nothing is learned, of bf16 how much stays float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import edgesam
from edgesam.bundle import Bundle
from edgesam.engines import ENGINES, Engine
from edgesam.errors import ExportError
from edgesam.manifest import Computed, Role
from edgesam_bench.gate import Gate
from edgesam_bench.variants.exam import judge, pages
from edgesam_bench.variants.gallery import Sample
from edgesam_bench.variants.parts import MOST_HELD_OUT, in_turn, parted
from edgesam_bench.variants.verdict import Verdict
from edgesam_export.graphs.net import Net
from edgesam_export.measured import Candidate, Progress, measured, open_candidate, scratch_in
from edgesam_export.precision.cut import cuts_of, shipped_cut
from edgesam_export.quantization.calibration import stricter
from edgesam_export.variants import bf16, halved

_ENGINE = "openvino"  # the only one that computes in bf16


def check_bf16(engine: Engine = ENGINES[_ENGINE]) -> None:
    """Make sure that bf16 can be measured here; an emulated figure vouches for nothing.

    Raises:
        ExportError: it cannot.
    """
    if (reason := engine.available()) is not None:
        raise ExportError(f"bf16 cannot be measured here: the engine openvino {reason}")
    if "bf16" not in engine.precisions("cpu"):
        raise ExportError(
            "bf16 cannot be measured here, because this processor does not compute in it: leave "
            "out --variant bf16, or do it on one with AVX512-BF16 or AMX"
        )


def measured_fp16(
    bundle: Bundle,
    make: Callable[[], Mapping[Role, Net]],
    samples: Sequence[Sample],
    gate: Gate,
    progress: Progress,
) -> tuple[Bundle, Verdict]:
    """Write float16 into the three graphs and measure them, on all pictures.

    Args:
        bundle: holds fp32.
        make: builds its networks for a GPU, anew at each call.
        samples: the pictures.
        gate: what must hold.
        progress: told what is happening.

    Raises:
        ExportError: a weight is too large for float16.
        EdgeSamError: as :func:`edgesam_export.measured.measured`.
    """
    with scratch_in(bundle.path) as scratch:
        nets = halved(make())
        paths = {role: scratch / f"{role}.fp16.onnx" for role in nets}
        beside = {role: net.save(paths[role]) for role, net in nets.items()}
        weights = beside["image_encoder"]
        candidate = Candidate.of("fp16", bundle.variants["fp32"], paths, weights)
        held_out = in_turn(samples, MOST_HELD_OUT)
        return measured(bundle, candidate, held_out, gate=gate, progress=progress)


def measured_bf16(
    bundle: Bundle,
    encoder: Net,
    samples: Sequence[Sample],
    gate: Gate,
    progress: Progress,
    engine: Engine = ENGINES[_ENGINE],
) -> tuple[Bundle, Verdict]:
    """Find how much must stay float32, unless that ships, and measure it.

    Args:
        bundle: holds fp32.
        encoder: its network.
        samples: the pictures; those that select are not measured on.
        gate: what must hold.
        progress: told what is happening.
        engine: computes in bf16.

    Raises:
        EdgeSamError: as :func:`edgesam_export.measured.measured`.
    """
    shipped = shipped_cut(bundle.manifest.checkpoint_sha256)
    about: dict[str, Any] = {}
    if shipped is not None:
        computed, held_out = bf16(encoder, *shipped), in_turn(samples, MOST_HELD_OUT)
    else:
        parts = parted(samples, gate.pictures)
        held_out = parts.held_out
        found, tried = find_cut(bundle, encoder, parts.selecting, stricter(gate), progress, engine)
        if found is None:
            failures = ["nothing in bf16 holds it on the pictures that select"]
            return bundle, Verdict({}, failures, ())
        computed, about = found, {"tried": tried}
    candidate = _candidate(bundle, computed)
    return measured(
        bundle, candidate, held_out, gate=gate, engine=engine, about=about, progress=progress
    )


def find_cut(
    bundle: Bundle,
    encoder: Net,
    samples: Sequence[Sample],
    gate: Gate,
    progress: Progress,
    engine: Engine,
) -> tuple[Computed | None, list[dict[str, Any]]]:
    """The least that must stay float32: nothing, or all up to a module, the first that will do.

    Args:
        bundle: holds fp32.
        encoder: its network.
        samples: pictures that select.
        gate: what must hold on them.
        progress: told what is happening.
        engine: computes in bf16.

    Returns:
        What holds, or None, and what was tried: modules and what the gate says.
    """
    tried: list[dict[str, Any]] = []
    with edgesam.load(bundle.path, engine=engine, variant="fp32") as fp32:
        exam = list(pages(fp32, samples))
    for module in (None, *(name for name, _ in cuts_of(encoder))):
        progress(f"bf16 behind {module or 'nothing'}: asking about {len(exam)} pictures")
        computed = bf16(encoder, module)
        with open_candidate(bundle, _candidate(bundle, computed), engine) as sam:
            comparison = judge(sam, exam)
        failures = gate.apart(comparison) if comparison.masks else ["nothing was compared"]
        tried.append({"fp32_until": computed.fp32_until, "failures": failures})
        if not failures:
            return computed, tried
    return None, tried


def _candidate(bundle: Bundle, computed: Computed) -> Candidate:
    """fp32's files, computed otherwise."""
    variant = replace(bundle.variants["fp32"], passport=None, computed=computed)
    return Candidate("bf16", variant, {})
