"""How well each model's masks fit real medical ones: IoU by modality. Knows edgesam, no PyTorch.

    python -m edgesam_bench.accuracy --table docs/accuracy.md --out bench/results/accuracy.json

One tight box per object of the label map (each instance, or each 8-connected component of each
label), the 8 largest of a picture, none below 32 pixels; the single mask against that object.
Exit codes: 0 done, 1 nothing could be measured, 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import edgesam
from edgesam import machine
from edgesam.atomic import write_atomic
from edgesam.bundle import find_bundle
from edgesam.errors import EdgeSamError, ParityError
from edgesam.models import MODELS
from edgesam_bench.figures import Figures, iou, summarise
from edgesam_bench.objects import find_objects
from edgesam_bench.pictures import DEFAULT_FOLDER, Picture, read_manifest
from edgesam_bench.results import write_results

MOST_OBJECTS = 8
MIN_AREA = 32


@dataclass(frozen=True)
class ObjectResult:
    """One object's mask beside the true one."""

    picture: str
    modality: str
    subset: str
    iou: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(arguments)
    try:
        pictures = _pictures(options.data)
        measured = {name: measure(name, pictures, options.threads) for name in options.models}
        report = make_report(measured)
        text = table(report)
        print(text)
        if options.table:
            write_atomic(options.table, text.encode(), error=ParityError)
        if options.out:
            write_results(options.out, report)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(model: str, pictures: Sequence[Picture], threads: int | None) -> list[ObjectResult]:
    """Every object of every picture, boxed."""
    results: list[ObjectResult] = []
    with edgesam.load(model, threads=threads) as sam:
        for number, picture in enumerate(pictures, start=1):
            objects = find_objects(
                picture.labels(),
                instances=picture.instances,
                most=MOST_OBJECTS,
                min_area=MIN_AREA,
            )
            embedding = sam.embed(edgesam.read(picture.image))
            masks = sam.segment_batch(embedding, [edgesam.Prompt(box=o.box) for o in objects])
            results += [
                ObjectResult(
                    picture.name, picture.modality, picture.subset, iou(thing.mask, mask.array)
                )
                for thing, mask in zip(objects, masks, strict=True)
            ]
            print(f"{model} {number}/{len(pictures)} {picture.name}", file=sys.stderr)
    return results


def make_report(measured: dict[str, list[ObjectResult]]) -> dict[str, Any]:
    """JSON-ready: per model the figures of all, by modality and by subset."""
    return {
        "schema": 1,
        "versions": machine.versions(),
        "processor": machine.processor(),
        "models": {name: _figures_of(name, results) for name, results in measured.items()},
    }


def table(report: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    models = list(report["models"])
    lines = [
        "# Accuracy",
        "",
        "Measured by `python -m edgesam_bench.accuracy`; a sanity check, not a benchmark.",
        "One tight box per object of the label map (each instance, or each 8-connected component",
        f"of each label), the {MOST_OBJECTS} largest of a picture, none below {MIN_AREA} pixels;",
        "the single mask is compared with that object. A box drawn by a person is looser than",
        "these. A ring (myocardium, the optic disc around its cup) shares its box with what it",
        "encloses: low figures there say little of the masks. Some of these public data sets may",
        "have been among a model's training data.",
        "",
    ]
    for title, group in (("modality", "by_modality"), ("data set", "by_subset")):
        head = "".join(f" {model}: mean | p5 | worst |" for model in models)
        lines += [f"| {title} | pictures | objects |{head}", "|---" * (3 + 3 * len(models)) + "|"]
        names = list(report["models"][models[0]][group])
        lines += [
            _row(name, [report["models"][model][group][name] for model in models]) for name in names
        ]
        lines += [_row("**all**", [report["models"][model]["all"] for model in models]), ""]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines += [f"{report['processor']}; {versions}.", ""]
    return "\n".join(lines)


def _figures_of(model: str, results: Sequence[ObjectResult]) -> dict[str, Any]:
    variant = find_bundle(model).variant("auto")[1]
    modalities = sorted({r.modality for r in results})
    subsets = sorted({(r.modality, r.subset) for r in results})
    return {
        "graphs": variant.graphs,
        "all": _group(results),
        "by_modality": {m: _group([r for r in results if r.modality == m]) for m in modalities},
        "by_subset": {
            f"{m}/{s}": _group([r for r in results if (r.modality, r.subset) == (m, s)])
            for m, s in subsets
        },
    }


def _group(results: Sequence[ObjectResult]) -> dict[str, float]:
    figures = summarise(result.iou for result in results) or Figures(0, 0.0, 0.0, 0.0)
    rounded = {name: round(value, 4) for name, value in asdict(figures).items()}
    return {"pictures": len({result.picture for result in results}), **rounded}


def _row(name: str, groups: Sequence[dict[str, float]]) -> str:
    cells = [f"{group[key]:.3f}" for group in groups for key in ("mean", "p5", "worst")]
    return f"| {name} | {groups[0]['pictures']} | {groups[0]['n']} | " + " | ".join(cells) + " |"


def _pictures(folder: Path) -> list[Picture]:
    try:
        return read_manifest(folder)
    except FileNotFoundError as error:
        raise ParityError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.accuracy",
        description="Mean IoU with true masks, by modality, one box per object.",
    )
    parser.add_argument("--models", nargs="+", default=sorted(MODELS), metavar="MODEL")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--table", type=Path, help="write the table as Markdown")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
