"""Do a DICOM series and the NIfTI labels of the same study line up? Knows edgesam, no PyTorch.

    python -m edgesam_bench.alignment --out bench/results/alignment.json

Boxes are drawn around organs in the NIfTI labels, carried to the DICOM slices through patient
millimetres alone, and segmented there: a flip or a shift between the two readers would leave the
boxes beside the organs. The same masks turned left to right tell what chance would give.
Exit codes: 0 done, 1 nothing could be measured, 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam import Prompt, Volume, Window, machine
from edgesam.affine import to_index, to_patient
from edgesam.errors import EdgeSamError, ParityError
from edgesam_bench.figures import iou
from edgesam_bench.results import write_results

STUDY = Path("../shared/data/dicom/ct_series")
LABELS = Path("../shared/data/dicom/example_seg_dicom.nii.gz")
# TotalSegmentator's numbers of organs that a box tells apart in a CT slice.
ORGANS = {1: "spleen", 5: "liver", 6: "stomach", 52: "aorta"}
STEP = 3  # every third slice
LEAST = 400  # pixels: less of an organ is its edge


@dataclass(frozen=True)
class Aligned:
    """One organ in one slice: the mask's IoU with the label, and that of the mask turned over."""

    slice: int
    organ: str
    iou: float
    turned: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m edgesam_bench.alignment")
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--model", default="lite-medsam")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    try:
        found = list(measure(options.study, options.labels, options.model))
        report = {
            "model": options.model,
            "processor": machine.processor(),
            "versions": machine.versions(),
            "organs": summary(found),
            "slices": [asdict(aligned) for aligned in found],
        }
        if options.out:
            write_results(options.out, report)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for organ, figures in summary(found).items():
        print(f"{organ:8} " + "  ".join(f"{name} {value:.3g}" for name, value in figures.items()))
    return 0


def measure(study: Path, labels: Path, model: str) -> Iterator[Aligned]:
    """Each organ of :data:`ORGANS` in every third slice."""
    ct, marked = edgesam.read(study), edgesam.read(labels)
    if not isinstance(ct, Volume) or not isinstance(marked, Volume):
        raise ParityError(f"{study} and {labels} must be volumes")
    there = carried(marked, ct)
    with edgesam.load(model) as sam:
        for index in range(0, ct.count(), STEP):
            present = [n for n in ORGANS if np.count_nonzero(there[index] == n) >= LEAST]
            if not present:
                continue
            embedding = sam.embed(ct.slice(index, Window.preset("soft-tissue")))
            for number in present:
                true = there[index] == number
                rows, columns = np.nonzero(true)
                box = Prompt.box(columns.min(), rows.min(), columns.max(), rows.max())
                mask = sam.segment(embedding, box).array
                yield Aligned(index, ORGANS[number], iou(mask, true), iou(mask[:, ::-1], true))


def carried(labels: Volume, onto: Volume) -> NDArray[Any]:
    """The labels on another volume's grid, the nearest voxel by patient millimetres; 0 outside."""
    index = np.moveaxis(np.indices(onto.shape), 0, -1)
    at = np.rint(to_index(labels.affine, to_patient(onto.affine, index))).astype(np.intp)
    inside = ((at >= 0) & (at < np.array(labels.shape))).all(axis=-1)
    found = np.zeros(onto.shape, labels.array.dtype)
    found[inside] = labels.array[tuple(at[inside].T)]
    return found


def summary(found: Sequence[Aligned]) -> dict[str, dict[str, float]]:
    """Per organ: slices, mean and worst IoU, and the best that a turned mask reaches."""
    by_organ: dict[str, list[Aligned]] = {}
    for aligned in found:
        by_organ.setdefault(aligned.organ, []).append(aligned)
    return {
        organ: {
            "slices": len(some),
            "mean": float(np.mean([aligned.iou for aligned in some])),
            "worst": min(aligned.iou for aligned in some),
            "turned": max(aligned.turned for aligned in some),
        }
        for organ, some in by_organ.items()
    }


if __name__ == "__main__":
    raise SystemExit(main())
