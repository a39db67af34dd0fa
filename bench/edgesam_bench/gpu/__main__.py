"""All that can be measured of edgesam on an NVIDIA card, in under 8 minutes; knows no stage.

    PYTHONPATH=.:kernels:bench:export python -m edgesam_bench.gpu --json bench/results/gpu-h200.json

Run it from the root of a checkout. Packages that are not installed but lie unpacked in a folder
(onnxruntime-gpu, cuda-bindings, NVIDIA's libraries) are found if that folder is on PYTHONPATH, too.
Models that are not in EDGESAM_HOME are given by --bundle, or are measured on random weights, and
medical pictures by --data. What is not installed or refuses is listed as not measured, with its
reason. Each model is measured in a process of its own, which is ended when its time is over; the
file is written as figures come: what was measured before a kill is in it.
Exit codes: 0 measured and all gates hold, 1 nothing could be measured, 2 usage, 3 a gate or a test
failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from edgesam.commands import FAILED, GATE, OK
from edgesam.errors import EdgeSamError
from edgesam_bench.gpu.apart import Apart, end_with_parent, leave, own_command, told
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.page import markdown
from edgesam_bench.gpu.run import Here, run
from edgesam_bench.gpu.settings import Settings
from edgesam_bench.gpu.subjects import MODELS
from edgesam_bench.pictures import DEFAULT_FOLDER

_FIGURES = ("peaks", "tests", "parity", "speed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = Settings(
            models=options.model or MODELS,
            bundles=dict(map(_named, options.bundle)),
            data=options.data,
            seconds=options.seconds,
            rounds=options.rounds,
        )
    except ValueError as error:
        parser.error(str(error))
    try:
        if options.only is not None:
            end_with_parent()
            _one(options, settings)
            leave()
            return OK
        worker = Apart(own_command(_repeated(options), options.json))
        report = run(settings, options.json, worker, progress=_say)
    except EdgeSamError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(markdown([report]))
    return verdict(report)


def verdict(report: dict[str, Any]) -> int:
    """The exit code of a report."""
    if report["failures"]:
        return GATE
    return OK if any(report[figure] for figure in _FIGURES) else FAILED


def _one(options: argparse.Namespace, settings: Settings) -> None:
    """One stage of a run that another process leads."""
    now = perf_counter()
    deadline = Deadline(now + options.seconds, perf_counter, now + options.most)
    findings = Findings(options.json, {}, told)
    findings.read()
    Here(settings, without=options.without)(options.only, findings, deadline)
    findings.save()


def _repeated(options: argparse.Namespace) -> list[str]:
    """What one stage has to be told of what a person chose."""
    words = ["--data", str(options.data), "--rounds", str(options.rounds)]
    return [*words, *(word for one in options.bundle for word in ("--bundle", one))]


def _named(text: str) -> tuple[str, Path]:
    model, equals, folder = text.partition("=")
    if not equals or model not in MODELS:
        raise ValueError(f"--bundle {text!r} is not MODEL=FOLDER, with one of {', '.join(MODELS)}")
    return model, Path(folder)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.gpu",
        description="Tests, parity and speed of edgesam on an NVIDIA card, beside PyTorch.",
    )
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="the report")
    parser.add_argument("--model", action="append", choices=MODELS, help="default: all")
    parser.add_argument(
        "--bundle",
        action="append",
        default=[],
        metavar="MODEL=FOLDER",
        help="a bundle to take instead of the one in EDGESAM_HOME; may be repeated",
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument("--seconds", type=float, default=440.0, help="for all stages together")
    parser.add_argument("--rounds", type=int, default=5, help="of speed")
    for name, kind in (("--only", str), ("--most", float)):  # of a process that is led
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--without", action="append", default=[], help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
