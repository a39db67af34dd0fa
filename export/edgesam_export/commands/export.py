"""``edgesam export``: turns a checkpoint into a bundle at a place of one's own; knows no graph."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.bundle import Bundle, left_by_export, open_bundle
from edgesam.checkpoint_store import fetch
from edgesam.commands import GATE, OK
from edgesam.commands.progress import Progress
from edgesam.errors import BundleError, EdgeSamError, ExportError, ModelNotFound
from edgesam.home import bundle_path
from edgesam.models import MODELS, PROFILES
from edgesam_export import VARIANTS

if TYPE_CHECKING:
    from edgesam_export.calibrated import Calibrated

NAME = "export"
HELP = "turn a checkpoint file, or a known model, into a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to export, where to, and what the checkpoint itself cannot tell."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT|MODEL", help=f"a file, or one of: {', '.join(MODELS)}"
    )
    parser.add_argument("-o", "--out", metavar="BUNDLE", type=Path, required=True, help="a folder")
    parser.add_argument("--arch", help="the architecture, if it cannot be read off the checkpoint")
    parser.add_argument(
        "--profile", choices=sorted(PROFILES), help="how pixels and prompts reach the network"
    )
    parser.add_argument(
        "--variant",
        action="append",
        choices=VARIANTS,
        help="to write; fp32 always is; default: all but fp16 whose passport ships; may be "
        "repeated",
    )
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        help="pictures, DICOM and NIfTI to measure variants on and to learn int8 from (60 or more, "
        "of 4 modalities: subfolders named ct, mri, ...); what fails the gate is left out, exit "
        "code 3",
    )
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        type=Path,
        help="of int8, not to be learned: a passport of a variant that was calibrated, or a "
        "recipe; with --calibration it is measured on all pictures that are not its own",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="also build TensorRT-RTX's plans of the variants, which needs no GPU",
    )
    parser.add_argument(
        "--plan-for",
        metavar="CC",
        action="append",
        default=[],
        help="compute capability that plans are to serve, as 8.6; default: all that TensorRT-RTX "
        "builds for but 7.5; may be repeated",
    )
    parser.set_defaults(usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Exports, fetching the checkpoint of a known model first if it is not here.

    Raises:
        ModelNotFound: neither a file nor a known model, or no source gave its checkpoint.
        ChecksumMismatch: the checkpoint in the store is not the promised one.
        ExportError: the checkpoint cannot be exported, or not to that place.
    """
    asked = set(args.variant or ()) - {"fp32"}
    if args.calibration is not None and not asked:
        args.usage("--calibration is about a variant: add --variant int8, fp16 or bf16")
    if args.recipe is not None and "int8" not in asked:
        args.usage("--recipe is about a variant: add --variant int8")
    if args.plan_for and not args.plan:
        args.usage("--plan-for is about plans: add --plan")
    if args.plan:
        from edgesam.engines.tensorrt.ahead import ahead_of_time

        ahead_of_time(args.plan_for)  # before minutes of exporting
    _check_place(args.out)
    spec = MODELS.get(args.checkpoint)
    if spec is None and not Path(args.checkpoint).is_file():
        raise ModelNotFound(
            f"{args.checkpoint!r} is neither a file nor a known model ({', '.join(MODELS)})"
        )
    if spec is not None and not args.json:
        print(f"{spec.name}: weights under {spec.licence}, by {spec.origin}", flush=True)
    with Progress(silent=args.json) as progress:
        checkpoint = fetch(spec, progress=progress) if spec else Path(args.checkpoint)
        bundle, found = _exported(args, checkpoint, spec.name if spec else None, progress)
        plans = _plans(args, bundle, progress)
    if found is not None:
        return _tell_measured(args, found, plans)
    if args.json:
        about = {"bundle": str(bundle.path), "variants": list(bundle.variants)}
        print(json.dumps({**about, **plans}))
    else:
        print(f"ready: {bundle.path} ({', '.join(bundle.variants)})")
    return OK


def _exported(
    args: argparse.Namespace, checkpoint: Path, name: str | None, progress: Progress
) -> tuple[Bundle, Calibrated | None]:
    """The bundle, with what was measured if ``--calibration`` asked for it."""
    if args.calibration is not None:
        from edgesam_export.calibrated import export_calibrated

        found = export_calibrated(
            checkpoint,
            args.out,
            args.calibration,
            variants=[variant for variant in args.variant if variant != "fp32"],
            recipe=args.recipe,
            model=name,
            arch=args.arch,
            profile=args.profile,
            progress=progress,
        )
        return found.bundle, found
    from edgesam_export import export_bundle
    from edgesam_export.calibrated import read_recipe

    bundle = export_bundle(
        checkpoint,
        args.out,
        model=name,
        arch=args.arch,
        profile=args.profile,
        variants=args.variant,
        recipe=None if args.recipe is None else read_recipe(args.recipe),
        progress=progress,
    )
    return bundle, None


def _plans(args: argparse.Namespace, bundle: Bundle, progress: Progress) -> dict[str, list[str]]:
    """Builds plans if they were asked for: their paths, for ``--json``."""
    if not args.plan:
        return {}
    from edgesam.engines.tensorrt.ahead import plans_ahead

    return {"plans": [str(path) for path in plans_ahead(bundle, args.plan_for, progress)]}


def _tell_measured(args: argparse.Namespace, found: Calibrated, plans: dict[str, list[str]]) -> int:
    """What was tried, what was measured, and what it comes to."""
    bundle, verdicts = found.bundle, found.verdicts
    failed = [name for name, verdict in verdicts.items() if verdict.failures]
    if args.json:
        measured = {
            name: {
                "failures": list(verdict.failures),
                "too_few": list(verdict.too_few),
                "report": verdict.report,
            }
            for name, verdict in verdicts.items()
        }
        about = {"bundle": str(bundle.path), "variants": list(bundle.variants), **plans}
        faults = list(found.gallery.faults)
        tried = [] if found.learned is None else found.learned.about["tried"]
        print(json.dumps({**about, "measured": measured, "tried": tried, "unreadable": faults}))
    else:
        for fault in found.gallery.faults:
            print(f"left out: {fault}")
        if found.learned is not None:
            print(f"{found.learned.table}\n")
        for name, verdict in verdicts.items():
            print(verdict.table)
            for line in verdict.too_few:
                print(f"{name}: {line}: its passport says so and vouches for nothing")
        print(f"ready: {bundle.path} ({', '.join(bundle.variants)})", flush=True)
    for name in failed:
        reasons = "; ".join(verdicts[name].failures)
        print(f"edgesam: {name} fails the gate and is left out: {reasons}", file=sys.stderr)
    return GATE if failed else OK


def _check_place(out: Path) -> None:
    """Makes sure that writing the bundle destroys nothing but an earlier bundle.

    Raises:
        ExportError: the folder to put it in is missing, or something else stands there.
    """
    with suppress(EdgeSamError):  # who has no home folder has no bundles there
        if out.absolute() == bundle_path(out.name):
            out.absolute().parent.mkdir(parents=True, exist_ok=True)  # as pull does
    if not out.absolute().parent.is_dir():
        raise ExportError(f"the folder {out.absolute().parent} does not exist: make it first")
    if not out.exists():
        return
    if out.is_dir() and all(left_by_export(entry.name) for entry in out.iterdir()):
        return  # empty, a bundle, or what a killed export left
    try:
        open_bundle(out)
    except BundleError as error:
        raise ExportError(
            f"{out} exists and is not a whole bundle: choose another name for -o, or delete it "
            f"first ({error})"
        ) from error
