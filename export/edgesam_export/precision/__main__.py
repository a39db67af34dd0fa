"""Measures what bf16 would make of a known model's masks, emulated in float32.

    python -m edgesam_export.precision --model lite-medsam --reference FOLDER [--behind MODULE]

An emulated figure is no passport: what it prints and writes says so, and no bundle takes it.
Exit codes: 0 the gate holds, 1 nothing could be compared, 2 usage, 3 the gate failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesam import machine
from edgesam.bundle import Bundle, find_bundle
from edgesam.checkpoint_store import fetch
from edgesam.commands import GATE
from edgesam.errors import EdgeSamError, ParityError
from edgesam.models import find
from edgesam_bench.comparison import compare
from edgesam_bench.gate import LOW_PRECISION
from edgesam_bench.pictures import DEFAULT_FOLDER
from edgesam_bench.reference import read_reference
from edgesam_bench.report import make_report, table
from edgesam_bench.results import write_results
from edgesam_export.architecture import ARCHITECTURES, recognise
from edgesam_export.checkpoint import read_checkpoint
from edgesam_export.graphs.weights import Weights
from edgesam_export.measured import Candidate, open_candidate, scratch_in
from edgesam_export.precision.emulation import emulate_bf16

_EMULATED = "bf16, EMULATED in float32,"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_export.precision",
        description="What bf16 would make of a model's masks, emulated in float32.",
    )
    parser.add_argument("--model", required=True, help="a known model that was pulled")
    parser.add_argument("--behind", metavar="MODULE", help="up to which it stays float32")
    parser.add_argument("--reference", required=True, type=Path, help="folder of reference.json")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument("--quick", action="store_true", help="one picture per subset")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args(arguments)
    try:
        report, failures = _measure(options)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(report))
    for failure in failures:
        print(f"FAILED  {failure}")
    print(f"emulated, no passport; gate: {'failed' if failures else 'holds'}")
    if options.out:
        write_results(
            options.out, {**report, "emulated": True, "quick": options.quick, "failures": failures}
        )
    return GATE if failures else 0


def _measure(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    try:
        reference = read_reference(options.reference)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{options.reference} holds no reference ({error})") from None
    bundle = find_bundle(options.model)
    if reference.checkpoint_sha256 != bundle.manifest.checkpoint_sha256:
        raise ParityError(f"{options.reference} was made with another checkpoint")
    with scratch_in(bundle.path) as scratch:
        candidate = _candidate(bundle, options.model, options.behind, scratch)
        with open_candidate(bundle, candidate, "onnxruntime") as sam:
            comparison = compare(sam, reference, options.data, quick=options.quick)
            engine = sam.engine
    report = make_report(
        comparison,
        reference,
        LOW_PRECISION,
        variant=f"{_EMULATED} behind {options.behind or 'nothing'}",
        graphs=candidate.variant.graphs,
        engine=engine,
        versions=machine.versions(),
        processor=machine.processor(),
    )
    return report, LOW_PRECISION.failures(comparison)


def _candidate(bundle: Bundle, model: str, behind: str | None, scratch: Path) -> Candidate:
    """A graph of float32 for every engine, which it is: it only rounds."""
    with read_checkpoint(fetch(find(model))) as weights:
        name, found = recognise(weights.shapes, None, model)
        net = ARCHITECTURES[name].build(found, Weights(weights, weights.shapes))
        emulate_bf16(net, behind)
        path = scratch / "image_encoder.fp32.onnx"
        beside = net.save(path)
    return Candidate.of("fp32", bundle.variants["fp32"], {"image_encoder": path}, beside)


if __name__ == "__main__":
    sys.exit(main())
