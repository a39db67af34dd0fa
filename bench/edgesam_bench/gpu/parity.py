"""Masks of engines and variants on the device beside fp32's on the CPU. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from edgesam import Sam
from edgesam.prepared import prepare
from edgesam_bench.comparison import Comparison, MaskResult, PictureResult
from edgesam_bench.figures import relative_l2, summarise
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.contender import EdgeSam
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.gallery import LEAST
from edgesam_bench.variants.exam import judge, pages
from edgesam_bench.variants.gallery import Sample

_OBJECTS, _BEYOND_BOXES = 3, 1  # of a picture: rather more pictures than more of each
SAME = Gate(pictures=LEAST)
"""Of fp32: what is asked beside official PyTorch, too."""
CLOSE = replace(LOW_PRECISION, pictures=LEAST)
"""Of a lower precision: what its passport asks."""
# Random weights make no masks worth comparing: their embeddings are, by relative L2. SAM's ViT of
# these weights is 1e-4 from PyTorch in float32; a lower precision has to be near, not equal.
RANDOM_PICTURES = 3
RANDOM_LIMITS = {"fp32": 1e-3}
RANDOM_LIMIT = 0.05


@dataclass
class _Judged:
    """One contender's answers so far."""

    contender: EdgeSam
    pictures: list[PictureResult] = field(default_factory=list)
    masks: list[MaskResult] = field(default_factory=list)


def measure(
    model: str,
    fp32: Sam,
    contenders: Sequence[EdgeSam],
    samples: Sequence[Sample],
    source: str,
    findings: Findings,
    deadline: Deadline,
) -> None:
    """Rows of mask IoU go to ``parity``, gates that do not hold to ``failures``.

    Args:
        model: its name.
        fp32: on the CPU.
        contenders: on the device, of the same bundle.
        samples: the pictures.
        source: what they are, in words.
        findings: see there.
        deadline: pictures that come later are not looked at.
    """
    judged = [_Judged(contender) for contender in contenders]
    exam = pages(fp32, samples, objects=_OBJECTS, beyond_boxes=_BEYOND_BOXES)
    for number, page in enumerate(exam):
        if number and deadline.passed():
            break
        for one in list(judged):
            what = f"{model}, {one.contender.name}: parity"
            findings.progress(f"{what}, picture {number + 1} of {len(samples)}")

            def work(one: _Judged = one, page: Any = page) -> None:
                found = judge(one.contender.sam, [page])
                one.pictures += found.pictures
                one.masks += found.masks

            if not findings.attempt(what, work):
                judged.remove(one)
    for one in judged:
        _conclude(model, one, source, findings)


def _conclude(model: str, judged: _Judged, source: str, findings: Findings) -> None:
    name, what = judged.contender.name, f"{model}, {judged.contender.name}: parity"
    gate = SAME if judged.contender.precision == "fp32" else CLOSE
    comparison = Comparison(judged.pictures, judged.masks)
    if not judged.masks:
        findings.missing(what, "nothing was found in the pictures to ask about")
        return
    failures = gate.apart(comparison)
    row = _row(model, name, source, comparison)
    findings.content["parity"].append({**row, "gate": asdict(gate), "failures": failures})
    if len(judged.pictures) < gate.pictures:
        reason = f"{len(judged.pictures)} were compared: time ran out, or there are no more"
        findings.missing(f"{what} on {gate.pictures} pictures", reason)
    for line in failures:
        findings.failed(f"{what}: {line}")


def _row(model: str, name: str, source: str, comparison: Comparison) -> dict[str, Any]:
    ordinary = comparison.of_size("ordinary")
    figures = summarise(mask.iou for mask in ordinary)
    kinds = sorted({mask.kind for mask in ordinary})
    by_kind = {k: summarise(m.iou for m in ordinary if m.kind == k) for k in kinds}
    return {
        "model": model,
        "contender": name,
        "source": source,
        "pictures": len(comparison.pictures),
        "modalities": sorted({picture.modality for picture in comparison.pictures}),
        "embedding_error": max(picture.embedding_error for picture in comparison.pictures),
        "mask_iou": None if figures is None else asdict(figures),
        "by_prompt": {kind: asdict(found) for kind, found in by_kind.items() if found is not None},
    }


def measure_embeddings(
    model: str,
    fp32: Sam,
    contenders: Sequence[EdgeSam],
    samples: Sequence[Sample],
    source: str,
    findings: Findings,
) -> None:
    """Of random weights: the worst relative L2 of a few pictures' embeddings."""
    few = [prepare(sample.read(), None, fp32.manifest) for sample in samples[:RANDOM_PICTURES]]
    expected = [np.asarray(fp32.encode(one).array) for one in few]
    for contender in contenders:
        what = f"{model}, {contender.name}: embeddings"
        findings.progress(what)

        def work(contender: EdgeSam = contender, what: str = what) -> None:
            found = [np.asarray(contender.sam.encode(one).array) for one in few]
            error = max(relative_l2(a, b) for a, b in zip(expected, found, strict=True))
            limit = RANDOM_LIMITS.get(contender.precision, RANDOM_LIMIT)
            broken = [] if error <= limit else [f"relative L2 {error:.2e} > {limit:.0e}"]
            row = {
                "model": model,
                "contender": contender.name,
                "source": source,
                "pictures": len(few),
                "embedding_error": error,
                "mask_iou": None,
                "limit": limit,
                "failures": broken,
            }
            findings.content["parity"].append(row)
            for line in broken:
                findings.failed(f"{what}: {line}")

        findings.attempt(what, work)
