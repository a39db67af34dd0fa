"""Checkpoint and pictures in, a bundle with measured variants out. Knows which variants there are.

The bundle is whole with fp32 before anything is learned, and stays so whatever follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesam.bundle import Bundle
from edgesam.errors import ExportError
from edgesam.manifest import Role
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.variants.gallery import Gallery, Sample, open_gallery
from edgesam_bench.variants.parts import MOST_HELD_OUT, in_turn, parted
from edgesam_bench.variants.verdict import Verdict
from edgesam_export.architecture import ARCHITECTURES, build, recognise
from edgesam_export.checkpoint import read_checkpoint
from edgesam_export.exporter import Progress, export_bundle
from edgesam_export.graphs.net import Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.measured import measured, scratch_in
from edgesam_export.precision.measuring import check_bf16, measured_bf16, measured_fp16
from edgesam_export.quantization.calibration import Learned, calibrate, int8_candidate
from edgesam_export.quantization.recipe import Recipe

MEASURED = ("fp16", "bf16", "int8")


@dataclass(frozen=True)
class Calibrated:
    """What came of it.

    Attributes:
        bundle: with the variants that hold the gate.
        verdicts: by variant.
        learned: the INT8 recipe and what was tried for it, if one was learned.
        gallery: what the folder holds.
    """

    bundle: Bundle
    verdicts: dict[str, Verdict]
    learned: Learned | None
    gallery: Gallery = field(repr=False)


def export_calibrated(
    checkpoint: Path,
    out: Path,
    pictures: Path,
    *,
    variants: Sequence[str],
    recipe: Path | None = None,
    model: str | None = None,
    arch: str | None = None,
    profile: str | None = None,
    gate: Gate = LOW_PRECISION,
    progress: Progress = lambda _: None,
) -> Calibrated:
    """Export fp32, then each variant that holds the gate on pictures that had no say in it.

    Args:
        checkpoint: as :func:`edgesam_export.export_bundle` takes it, like all that is not said.
        out: likewise.
        pictures: a folder of pictures, DICOM studies and volumes.
        variants: to measure, in this order: ``fp16``, ``bf16``, ``int8``.
        recipe: of INT8, to be measured instead of learned; then all pictures but its own judge.
        gate: what must hold.

    Raises:
        ExportError: as :func:`edgesam_export.export_bundle`, or too few pictures to learn from, or
            bf16 on a processor that does not compute in it: then nothing is written.
        ImageError: no picture can be read.
        BundleError: the bundle cannot be written.
    """
    for name in variants:
        if name not in MEASURED:
            raise ExportError(f"no variant {name!r} can be measured; there are: {MEASURED}")
    if "bf16" in variants:
        check_bf16()
    given = None if recipe is None else read_recipe(recipe)
    gallery = open_gallery(pictures, progress)
    bundle = export_bundle(
        checkpoint,
        out,
        model=model,
        arch=arch,
        profile=profile,
        variants=("fp32",),
        progress=progress,
    )
    with read_checkpoint(checkpoint) as weights:
        name, found = recognise(weights.shapes, arch, checkpoint.name)

        def make() -> Net:
            return ARCHITECTURES[name].build(found, Weights(weights, weights.shapes))

        def make_for_gpu() -> dict[Role, Net]:
            return build(name, found.for_gpu, weights, weights.shapes, checkpoint.name)

        verdicts: dict[str, Verdict] = {}
        learned: Learned | None = None
        samples = gallery.samples
        for variant in dict.fromkeys(variants):
            if variant == "fp16":
                bundle, verdict = measured_fp16(bundle, make_for_gpu, samples, gate, progress)
            elif variant == "bf16":
                bundle, verdict = measured_bf16(bundle, make(), samples, gate, progress)
            else:
                bundle, verdict, learned = _with_int8(bundle, make, samples, given, gate, progress)
            verdicts[variant] = verdict
    return Calibrated(bundle, verdicts, learned, gallery)


def read_recipe(path: Path) -> Recipe:
    """A recipe in a file of its own, or in the passport of a variant that was calibrated.

    Raises:
        ExportError: there is none.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read: {error}") from None
    try:
        inside: Any = json.loads(text)["recipe"]
    except (ValueError, KeyError, TypeError):
        return Recipe.from_json(text, str(path))
    return Recipe.from_json(json.dumps(inside), str(path))


def _with_int8(
    bundle: Bundle,
    make: Callable[[], Net],
    samples: Sequence[Sample],
    recipe: Recipe | None,
    gate: Gate,
    progress: Progress,
) -> tuple[Bundle, Verdict, Learned | None]:
    learned = None
    held_out: Sequence[Sample]
    if recipe is None:
        parts = parted(samples, gate.pictures)
        learned = calibrate(bundle, make, parts, gate=gate, progress=progress)
        recipe, held_out = learned.recipe, parts.held_out
    else:
        if recipe.checkpoint != bundle.manifest.checkpoint_sha256:
            raise ExportError("the recipe is of another checkpoint: learn one for this")
        used = set(recipe.images)
        held_out = in_turn([s for s in samples if s.key not in used], MOST_HELD_OUT)
    if recipe is None:
        failures = ["no set of layers in int8 holds it on the pictures that select"]
        return bundle, Verdict({}, failures, ()), learned
    about = {"recipe": recipe.to_dict()} if learned is None else learned.about
    with scratch_in(bundle.path) as scratch:
        candidate = int8_candidate(bundle, make(), recipe, scratch)
        found, verdict = measured(
            bundle, candidate, held_out, gate=gate, about=about, progress=progress
        )
    return found, verdict, learned
