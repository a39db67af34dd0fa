"""Measures export, encoding and clicks of SAM's ViTs beside official PyTorch, in turn.

    python -m edgesam_bench.cost --reference-python .venv-reference/bin/python \\
        --table docs/vit.md --out bench/results/vit-cost.json

Weights are random, in the official layout: they cost what the official ones do. Each measurement
is a process of its own, and only one runs at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from edgesam import machine
from edgesam.atomic import write_atomic
from edgesam.errors import EdgeSamError, ParityError
from edgesam_bench.cost import run
from edgesam_bench.cost.table import markdown
from edgesam_bench.phantoms import draw
from edgesam_bench.results import write_results

_REFERENCE = Path("bench/reference")  # of the repository, where this is run from
_SIZES = {"sam-vit-b": "vit_b", "sam-vit-l": "vit_l", "sam-vit-h": "vit_h"}
_EXPORT = """
import json, sys, time
from edgesam.commands import main
from edgesam_bench.cost.peak import peak_mib
started = time.perf_counter()
code = main(sys.argv[1:])
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mib": peak_mib()}))
raise SystemExit(code)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(arguments)
    report: dict[str, Any] = {
        "processor": machine.processor(),
        "versions": machine.versions(),
        "rounds": options.rounds,
        "models": {},
    }
    try:
        for model in options.model or _SIZES:
            print(model, file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="vit-cost-", dir=options.scratch) as folder:
                report["models"][model] = _measure(model, Path(folder), options)
        if options.out:
            write_results(options.out, report)
        text = markdown(report)
        if options.table:
            write_atomic(options.table, text.encode(), error=ParityError)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


def _measure(model: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    checkpoint, bundle, picture = folder / "checkpoint.pth", folder / "bundle", folder / "ct.png"
    Image.fromarray(draw(512, 512, colour=False, seed=1).pixels).save(picture)
    weights = ("--recipe", "gentle", "--out", checkpoint)
    _run(options.reference_python, _REFERENCE / "random_checkpoint.py", "--model", model, *weights)
    os.sync()  # writing it back would slow down what follows
    export = _run(
        sys.executable, "-c", _EXPORT, "export", checkpoint, "-o", bundle, "--profile", "sam"
    )
    theirs = ("--size", _SIZES[model], "--checkpoint", checkpoint, "--picture", picture)
    ours, official = [], []
    for _ in range(options.rounds):
        ours.append(_run(sys.executable, Path(run.__file__), picture, bundle))
        official.append(_run(options.reference_python, _REFERENCE / "time_official.py", *theirs))
    return {
        "torch": official[0]["torch"],
        "checkpoint_mib": checkpoint.stat().st_size / 2**20,
        "bundle_mib": sum(file.stat().st_size for file in bundle.iterdir()) / 2**20,
        "export": export,
        "edgesam": _medians(ours),
        "official": _medians(official),
        "ratio": {
            figure: statistics.median(
                mine[figure] / theirs[figure] for mine, theirs in zip(ours, official, strict=True)
            )
            for figure in ("encode", "click", "peak_mib")
        },
    }


def _run(*command: str | Path) -> dict[str, Any]:
    """What a program says on its last line of standard output, or nothing."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ParityError(f"{command[1]} ended with {done.returncode}: {last}")
    lines = done.stdout.strip().splitlines()
    figures: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return figures


def _medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    figures = ("load", "encode", "click", "peak_mib")
    return {figure: statistics.median(one[figure] for one in runs) for figure in figures}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.cost",
        description="Time and memory of SAM's ViTs, beside official PyTorch.",
    )
    parser.add_argument("--reference-python", required=True, help="of bench/reference/README.md")
    parser.add_argument("--model", action="append", choices=list(_SIZES), help="default: all three")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where 6 GB are free for a while")
    parser.add_argument("--table", type=Path, help="write the table as Markdown")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
