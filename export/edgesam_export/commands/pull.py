"""``edgesam pull``: makes a known model ready to run; knows no source and no graph."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from edgesam.bundle import Bundle, open_bundle
from edgesam.checkpoint_store import fetch
from edgesam.commands.progress import Progress
from edgesam.errors import BundleError, ChecksumMismatch
from edgesam.home import bundle_path
from edgesam.models import MODELS, find
from edgesam_bench.passports import shipped_passport
from edgesam_export import BUILDER
from edgesam_export.unasked import unasked

NAME = "pull"
HELP = "fetch a known model's checkpoint, verify it, and turn it into a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and whether to redo what is done."""
    parser.add_argument("model", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--force", action="store_true", help="write the bundle anew")


def run(args: argparse.Namespace) -> int:
    """Fetches and exports, unless the bundle is here and whole.

    Raises:
        ModelNotFound: no such model, or no source gave its checkpoint.
        ChecksumMismatch: the checkpoint in the store is not the promised one.
        ExportError: the checkpoint cannot be exported.
    """
    spec = find(args.model)
    bundle = bundle_path(spec.name)
    ready = not args.force and bundle.exists()
    seconds: dict[str, float] = {}
    if not args.json:
        print(f"{spec.name}: weights under {spec.licence}, by {spec.origin}", flush=True)
    with Progress(silent=args.json) as progress:
        if ready and (flaw := _flaw(bundle)):
            progress(f"the bundle in the store is written anew: {flaw}")
            ready = False
        if not ready:
            from edgesam_export import export_bundle

            start = time.perf_counter()
            checkpoint = fetch(spec, progress=progress)
            fetched = time.perf_counter()
            bundle.parent.mkdir(parents=True, exist_ok=True)
            export_bundle(checkpoint, bundle, model=spec.name, progress=progress)
            seconds = {"fetch": fetched - start, "export": time.perf_counter() - fetched}
    if args.json:
        print(
            json.dumps(
                {
                    "model": spec.name,
                    "licence": spec.licence,
                    "origin": spec.origin,
                    "bundle": str(bundle),
                    "written": not ready,
                    "seconds": {step: round(value, 2) for step, value in seconds.items()},
                }
            )
        )
    else:
        print(f"{'already there and whole' if ready else 'ready'}: {bundle}")
        if seconds:
            print("seconds: " + ", ".join(f"{step} {s:.1f}" for step, s in seconds.items()))
    return 0


def _flaw(bundle: Path) -> str:
    """Why the bundle in the store is not what this edgesam would write, or nothing."""
    try:
        opened = open_bundle(bundle)
        if opened.manifest.builder != BUILDER:
            return f"it is the work of {opened.manifest.builder}"
        if lacking := _lacking(opened):
            return f"it lacks {', '.join(lacking)}, whose passport ships with this edgesam"
        for variant in opened.variants.values():
            if variant.passport is None and shipped_passport(variant.graphs):
                return "it lacks the passport that ships with this edgesam"
            for file in variant.files:
                opened.verified(file)
    except (BundleError, ChecksumMismatch) as error:
        return str(error)
    return ""


def _lacking(bundle: Bundle) -> list[str]:
    """Variants that this edgesam would write beside those that are there.

    Only where the graphs of fp32 are those that were measured: else a variant's would not be
    either, export would leave it out, and every pull would write the bundle anew.
    """
    fp32 = bundle.variants.get("fp32")
    if fp32 is None or shipped_passport(fp32.graphs) is None:
        return []
    wanted = unasked(bundle.manifest.checkpoint_sha256)
    return [name for name in wanted if name not in bundle.variants]
