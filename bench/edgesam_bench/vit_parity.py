"""Compares edgesam with official PyTorch on random weights of the full-size ViTs, and judges.

    python -m edgesam_bench.vit_parity --model sam-vit-b --references .cache/reference

The official weights are not at hand here; random ones show the same mistakes. For each recipe of
:mod:`random_weights` the folder of references holds MODEL-RECIPE: ``reference.json`` with its
pictures, ``checkpoint.pth`` and, for each ``--control``, ``control-NAME.pth``, a mistake made on
purpose that has to show. Knows how to ask and to tell; how the weights are made is its neighbours'
business.
Exit codes: 0 all limits hold, 1 nothing could be compared, 2 usage, 3 a limit was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import edgesam
from edgesam import machine
from edgesam.bundle import open_bundle
from edgesam.commands import GATE
from edgesam.errors import EdgeSamError, ParityError
from edgesam.models import find
from edgesam_bench.aspects import one_of_each_aspect
from edgesam_bench.exported import exported
from edgesam_bench.figures import relative_l2, summarise
from edgesam_bench.pictures import DEFAULT_FOLDER, Picture, read_manifest
from edgesam_bench.random_weights import VIT_RECIPES
from edgesam_bench.reference import Reference, read_reference
from edgesam_bench.results import write_results
from edgesam_bench.vit_comparison import VitComparison, compare_vit, same_picture
from edgesam_bench.vit_controls import CONTROLS

SCHEMA = 1
LIMITS = {"peaked": 2e-3, "gentle": 1e-4}  # relative L2 of embeddings and of logits
_SHARP = "peaked"  # the recipe whose attention leaves no mistake hidden: it shows the controls
LEAST_CHANGE = 0.5  # relative L2 of an embedding that a control must show


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(arguments)
    try:
        report, failures = measure(options)
        if options.out:
            write_results(options.out, _beside_others(options.out, options.model, report))
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(options.model, report))
    for failure in failures:
        print(f"FAILED  {failure}")
    print("limits: broken" if failures else "limits: hold")
    return GATE if failures else 0


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """One model's report, and which limits it breaks.

    Raises:
        EdgeSamError: nothing could be compared.
    """
    try:
        pictures = one_of_each_aspect(read_manifest(options.data))
        references = {
            recipe: read_reference(options.references / f"{options.model}-{recipe}")
            for recipe in VIT_RECIPES
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(f"no references: {error}; see bench/reference/README.md") from None
    recipes: dict[str, Any] = {}
    controls: dict[str, float] = {}
    for recipe, reference in references.items():
        print(f"{options.model} {recipe}", file=sys.stderr)
        recipes[recipe] = _told(_compared(reference, pictures, options), LIMITS[recipe])
        for name in options.control if recipe == _SHARP else ():
            file = reference.folder / f"control-{name}.pth"
            controls[f"{recipe} {name}"] = _change(file, reference, pictures, options)
    failures = list(_broken(recipes, controls))
    about = next(iter(references.values()))
    report = {
        "recipes": recipes,
        "controls": {"least_change": LEAST_CHANGE, "change": controls},
        "reference": {"recipe": about.recipe, "versions": dict(about.versions)},
        "versions": machine.versions(),
        "processor": machine.processor(),
        "failures": failures,
    }
    return report, failures


def _compared(
    reference: Reference, pictures: Sequence[Picture], options: argparse.Namespace
) -> VitComparison:
    with exported(reference.folder / "checkpoint.pth", find(options.model).profile.name) as bundle:
        if open_bundle(bundle).manifest.checkpoint_sha256 != reference.checkpoint_sha256:
            raise ParityError(
                f"{reference.folder} holds answers to another checkpoint than its own"
            )
        with edgesam.load(bundle, engine=options.engine, threads=options.threads) as sam:
            return compare_vit(sam, reference, pictures)


def _change(
    checkpoint: Path,
    reference: Reference,
    pictures: Sequence[Picture],
    options: argparse.Namespace,
) -> float:
    """How far the embedding of the first picture is from the one without the mistake."""
    first = reference.pictures[0]
    with (
        exported(checkpoint, find(options.model).profile.name) as bundle,
        edgesam.load(bundle, engine=options.engine, threads=options.threads) as sam,
    ):
        found = sam.embed(same_picture(first, pictures).pixels()).array
    return _rounded(relative_l2(reference.answers(first).embedding, found))


def _told(found: VitComparison, limit: float) -> dict[str, Any]:
    """A recipe's figures, JSON-ready."""
    iou = summarise(mask.iou for mask in found.masks if mask.size == "ordinary")
    return {
        "limit": limit,
        "embedding_error": _errors(found.embeddings.values()),
        "logits_error": _errors(found.logits.values()),
        "score_error": _errors(mask.score_error for mask in found.masks),
        "mask_iou": None if iou is None else asdict(iou),
        "embedding_error_by_picture": {n: _rounded(e) for n, e in found.embeddings.items()},
    }


def _errors(values: Iterable[float]) -> dict[str, float]:
    array = list(values)
    return {
        "n": len(array),
        "mean": _rounded(sum(array) / len(array)),
        "worst": _rounded(max(array)),
    }


def _rounded(error: float) -> float:
    return float(f"{error:.3g}")


def _broken(recipes: Mapping[str, Any], controls: Mapping[str, float]) -> Iterable[str]:
    for recipe, told in recipes.items():
        for what in ("embedding", "logits"):
            worst = told[f"{what}_error"]["worst"]
            if not worst <= told["limit"]:  # not a number breaks it, too
                yield f"{recipe}: the worst {what} error is {worst:.1e}, above {told['limit']:.0e}"
    for name, change in controls.items():
        if not change > LEAST_CHANGE:
            yield f"control {name}: the embedding changes by {change:.0%} alone: nothing is shown"


def table(model: str, report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [f"{model} on random weights, against {report['reference']['recipe']}"]
    lines += [f"{'':<10}{'embedding':>12}{'logits':>12}{'limit':>10}{'IoU mean':>12}{'worst':>10}"]
    for recipe, told in report["recipes"].items():
        iou = told["mask_iou"] or {"mean": float("nan"), "worst": float("nan")}
        lines.append(
            f"{recipe:<10}{told['embedding_error']['worst']:>12.1e}"
            f"{told['logits_error']['worst']:>12.1e}{told['limit']:>10.0e}"
            f"{iou['mean']:>12.6f}{iou['worst']:>10.6f}"
        )
    for name, change in report["controls"]["change"].items():
        lines.append(f"control {name}: the embedding changes by {change:.0%}")
    return "\n".join(lines)


def _beside_others(out: Path, model: str, report: dict[str, Any]) -> dict[str, Any]:
    """The file's content with this model's report in it."""
    models: dict[str, Any] = {}
    if out.is_file():
        try:
            models = json.loads(out.read_text(encoding="utf-8"))["models"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ParityError(f"{out} holds no results to add to: {error!r}") from None
    return {"schema": SCHEMA, "models": dict(sorted({**models, model: report}.items()))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.vit_parity",
        description="Compare edgesam with official PyTorch on random weights of SAM's ViTs.",
    )
    parser.add_argument("--model", required=True, help="sam-vit-b, ...: whose profile is used")
    parser.add_argument("--references", required=True, type=Path, help="folder of MODEL-RECIPE")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument(
        "--control", action="append", default=[], choices=sorted(CONTROLS), help="has to show"
    )
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="JSON to write; other models' results stay in it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
