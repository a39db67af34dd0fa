"""``edgesam tune``: finds what runs a model fastest here and remembers it; knows no clock."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgesam.commands import runner
from edgesam.commands.progress import Progress
from edgesam.models import MODELS

if TYPE_CHECKING:
    from edgesam_bench.tuning.candidates import LeftOut
    from edgesam_bench.tuning.race import Result

NAME = "tune"
HELP = "find the fastest engine, variant and number of threads for a model on this machine"

_MOST_ROUNDS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how long."""
    parser.add_argument("model", metavar="MODEL|BUNDLE", help=f"{', '.join(MODELS)}, or a folder")
    parser.add_argument("--rounds", type=_rounds, default=5, metavar="N", help="default: 5")


def run(args: argparse.Namespace) -> int:
    """Measures, tells, remembers.

    Raises:
        ModelNotFound: the model has not been pulled, or does not exist.
        BundleError: the bundle cannot be used.
        EngineUnavailable: nothing runs it here.
        ParityError: everything that should run it failed.
        EdgeSamError: what was found cannot be remembered.
    """
    from edgesam.bundle import find_bundle
    from edgesam.errors import ParityError
    from edgesam.tuned import remember
    from edgesam_bench.tuning.candidates import candidates
    from edgesam_bench.tuning.front import sameness
    from edgesam_bench.tuning.race import raced, told, winner

    bundle = find_bundle(args.model)
    choices, left_out = candidates(bundle)
    with Progress(silent=args.json) as progress:
        results = raced(bundle, choices, args.rounds, progress)
    best = winner(results)
    if best.failed is not None:
        raise ParityError(f"nothing ran {bundle.manifest.model}: {best.failed}")
    path = remember(bundle.manifest, best.choice)
    mask_iou = sameness(bundle)
    if args.json:
        found = {
            "model": bundle.manifest.model,
            "choice": asdict(best.choice),
            "results": told(results, mask_iou),
            "left_out": [asdict(one) for one in left_out],
            "remembered": str(path),
        }
        print(json.dumps(found))
        return 0
    _tell(results, left_out, mask_iou)
    print(f"from now on {bundle.manifest.model} runs so unless told otherwise: {path}")
    return 0


def _tell(
    results: Sequence[Result],
    left_out: Sequence[LeftOut],
    mask_iou: Mapping[str, Mapping[str, Any] | None],
) -> None:
    from edgesam_bench.tuning.front import front
    from edgesam_bench.tuning.race import CLICKS

    best, on_front = results[0].cost, front(results, mask_iou)
    head = f"{'engine':<14}{'variant':<9}{'threads':>7}{'encode':>10}{'click':>10}{'ratio':>8}"
    print(f"{head}  mask IoU: mean, p5")
    for one in results:
        head = f"{one.choice.engine:<14}{one.choice.variant:<9}{one.choice.threads:>7}"
        if one.failed is not None:
            print(f"{head}  {one.failed}")
            continue
        times = f"{1e3 * one.encode:>7.0f} ms{1e3 * one.click:>7.1f} ms"
        masks = mask_iou[one.choice.variant]
        same = "no passport" if masks is None else f"{masks['mean']:.4f}, {masks['p5']:.4f}"
        mark = " *" if one in on_front else ""
        print(f"{head}{times}{one.cost / best:>8.2f}  {same}{mark}")
    print(f"ratio: of a picture and {CLICKS} clicks on it, medians of {len(results[0].rounds)}")
    print("mask IoU: with official PyTorch, from the passport; * no other is faster and as good")
    for other in left_out:
        print(f"not considered: {other.name} {other.reason}")


def _rounds(text: str) -> int:
    return runner.whole(text, _MOST_ROUNDS)
