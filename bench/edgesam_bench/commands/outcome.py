"""What becomes of a report: judged by budgets, written, drawn, printed. Knows no measurement."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesam_bench.speed.budget import Budget
from edgesam_bench.speed.measures import Measure

if TYPE_CHECKING:
    from PIL.Image import Image

Report = Mapping[str, Any]


def budgets_of(args: argparse.Namespace, measures: Mapping[str, Measure]) -> list[Budget]:
    """What ``--budget`` gives; ends with the usage if one cannot be meant."""
    try:
        return [Budget.parse(text, measures) for text in args.budget]
    except ValueError as error:
        args.usage(f"argument --budget: {error}")
        raise


def misses(figures: Mapping[str, Mapping[str, Any]], budgets: Sequence[Budget]) -> list[str]:
    """One line for each budget that is missed."""
    found = (budget.miss(figures) for budget in budgets)
    return [miss for miss in found if miss is not None]


def handed_out(
    args: argparse.Namespace,
    report: Report,
    text: Callable[[Report], str],
    drawn: Callable[[Report], Image],
) -> int:
    """Writes and prints it; returns the exit code.

    Raises:
        EdgeSamError: a file cannot be written.
    """
    from edgesam.commands import GATE
    from edgesam_bench.results import write_results

    if args.out is not None:
        write_results(args.out, dict(report))
    if args.picture is not None:
        _write_picture(args.picture, drawn(report))
    print(json.dumps(report) if args.json else text(report))
    for failure in report["failures"]:
        print(f"edgesam: {failure}", file=sys.stderr)
    return GATE if report["failures"] else 0


def _write_picture(path: Path, picture: Image) -> None:
    import io

    from edgesam.atomic import write_atomic

    png = io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    write_atomic(path, png.getvalue())
