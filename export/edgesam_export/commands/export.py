"""``edgesam export``: turns a checkpoint into a bundle at a place of one's own; knows no graph."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path

from edgesam.bundle import left_by_export, open_bundle
from edgesam.checkpoint_store import fetch
from edgesam.commands.progress import Progress
from edgesam.errors import BundleError, EdgeSamError, ExportError, ModelNotFound
from edgesam.home import bundle_path
from edgesam.models import MODELS, PROFILES
from edgesam_export import VARIANTS

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
        help="to write; fp32 always is; default: all whose passport ships; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Exports, fetching the checkpoint of a known model first if it is not here.

    Raises:
        ModelNotFound: neither a file nor a known model, or no source gave its checkpoint.
        ChecksumMismatch: the checkpoint in the store is not the promised one.
        ExportError: the checkpoint cannot be exported, or not to that place.
    """
    _check_place(args.out)
    spec = MODELS.get(args.checkpoint)
    if spec is None and not Path(args.checkpoint).is_file():
        raise ModelNotFound(
            f"{args.checkpoint!r} is neither a file nor a known model ({', '.join(MODELS)})"
        )
    from edgesam_export import export_bundle

    if spec is not None and not args.json:
        print(f"{spec.name}: weights under {spec.licence}, by {spec.origin}", flush=True)
    with Progress(silent=args.json) as progress:
        bundle = export_bundle(
            fetch(spec, progress=progress) if spec else Path(args.checkpoint),
            args.out,
            model=spec.name if spec else None,
            arch=args.arch,
            profile=args.profile,
            variants=args.variant,
            progress=progress,
        )
    if args.json:
        print(json.dumps({"bundle": str(bundle.path), "variants": list(bundle.variants)}))
    else:
        print(f"ready: {bundle.path} ({', '.join(bundle.variants)})")
    return 0


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
