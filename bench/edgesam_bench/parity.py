"""Compares edgesam with official PyTorch's answers, judges, and issues passports.

    python -m edgesam_bench.parity --model mobile-sam --reference .cache/reference/mobile-sam

Knows how to ask and to tell; the figures, the gate and the files are its neighbours' business.
Exit codes: 0 the gate holds, 1 nothing could be compared, 2 usage, 3 the gate failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgesam
from edgesam import machine
from edgesam.bundle import Bundle, find_bundle
from edgesam.commands import GATE
from edgesam.errors import EdgeSamError, ParityError
from edgesam_bench.comparison import PictureResult, compare
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.pictures import DEFAULT_FOLDER
from edgesam_bench.reference import Reference, read_reference
from edgesam_bench.report import make_report, table
from edgesam_bench.results import write_results
from edgesam_bench.variants.engine import what_ran


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.passport and options.quick:
        parser.error("a passport takes all pictures: leave out --quick")
    try:
        return _run(options)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    for path in (options.out, options.passport):
        if path and not path.absolute().parent.is_dir():
            raise ParityError(f"cannot write {path}: there is no folder {path.parent}")
    report, failures = measure(options)
    print(table(report))
    for failure in failures:
        print(f"FAILED  {failure}")
    print("gate: failed" if failures else "gate: holds")
    if options.out:
        write_results(options.out, {**report, "quick": options.quick, "failures": failures})
    if failures:
        return GATE
    if options.passport:
        write_results(options.passport, report)
    return 0


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The report, and what the gate holds against it.

    Raises:
        EdgeSamError: nothing could be compared.
    """
    reference = _held_out(_reference(options.reference), options.held_out)
    bundle = find_bundle(options.model)
    _same_weights(reference, bundle)
    name, variant = bundle.variant(options.variant)
    with edgesam.load(
        options.model,
        engine=options.engine,
        device=options.device,
        variant=name,
        threads=options.threads,
    ) as sam:
        comparison = compare(sam, reference, options.data, quick=options.quick, on_picture=_tell)
        engine = what_ran(sam)
    gate = Gate() if name == "fp32" else LOW_PRECISION
    report = make_report(
        comparison,
        reference,
        gate,
        variant=name,
        graphs=variant.graphs,
        engine=engine,
        versions=machine.versions(),
        processor=machine.processor(),
    )
    report["instruction_sets"] = list(machine.instruction_sets())
    return report, gate.failures(comparison)


def _reference(folder: Path) -> Reference:
    try:
        return read_reference(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(
            f"{folder} holds no reference ({error}); bench/reference/README.md says how to make one"
        ) from None


def _held_out(reference: Reference, recipe: Path | None) -> Reference:
    """Without the pictures that a quantisation recipe was learned from."""
    if recipe is None:
        return reference
    try:
        used = set(json.loads(recipe.read_text("utf-8"))["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{recipe} does not say what it was learned from: {error}") from None
    return replace(reference, pictures=[p for p in reference.pictures if p.sha256 not in used])


def _same_weights(reference: Reference, bundle: Bundle) -> None:
    if reference.checkpoint_sha256 != bundle.manifest.checkpoint_sha256:
        raise ParityError(
            f"{reference.folder} was made with the checkpoint"
            f" {reference.checkpoint_sha256[:12]}..., the bundle {bundle.path} with"
            f" {bundle.manifest.checkpoint_sha256[:12]}...: they cannot be compared"
        )


def _tell(picture: PictureResult) -> None:
    print(f"{picture.picture}: embedding {picture.embedding_error:.1e}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.parity",
        description="Compare edgesam with the answers of the official PyTorch code.",
    )
    parser.add_argument("--model", required=True, help="a known model's name, or a bundle")
    parser.add_argument("--reference", required=True, type=Path, help="folder of reference.json")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument(
        "--held-out", type=Path, metavar="RECIPE", help="leave out what a recipe was learned from"
    )
    parser.add_argument("--quick", action="store_true", help="one picture per subset")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    parser.add_argument("--passport", type=Path, help="write the passport, if the gate holds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
