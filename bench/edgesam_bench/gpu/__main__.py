"""All that can be measured of edgesam on an NVIDIA card, in under 8 minutes; knows no stage.

    python -m edgesam_bench.gpu --json bench/results/gpu-h200.json

Run it from the root of a checkout. What is not installed or refuses is listed as not measured, with
its reason. The file is written after every stage: what was measured before a kill is in it.
Exit codes: 0 measured and all gates hold, 1 nothing could be measured, 2 usage, 3 a gate or a test
failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesam.commands import FAILED, GATE, OK
from edgesam.errors import EdgeSamError
from edgesam_bench.gpu.page import markdown
from edgesam_bench.gpu.run import Settings, run
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
        report = run(settings, options.json, progress=_say)
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
