"""``edgesam bench --scenario``: plays a recorded scene and hands out its report; no clock."""

from __future__ import annotations

import argparse

from edgesam.commands.progress import Progress
from edgesam_bench.commands.outcome import budgets_of, handed_out, misses
from edgesam_bench.scenario.measures import SCENARIOS


def run(args: argparse.Namespace) -> int:
    """Of the arguments of ``edgesam bench``.

    Raises:
        EdgeSamError: the model or the pictures cannot be used, or a result cannot be written.
    """
    from edgesam_bench.scenario import picture, table
    from edgesam_bench.scenario.run import Request
    from edgesam_bench.scenario.run import run as played

    budgets = budgets_of(args, {measure.name: measure for measure in SCENARIOS[args.scenario]})
    request = Request(
        scenario=args.scenario,
        model=args.model,
        engine=args.engine,
        device=args.device,
        variant=args.variant,
        threads=args.threads,
        rounds=args.rounds,
        quick=args.quick,
        image=args.image,
    )
    with Progress(silent=args.json) as progress:
        report = played(request, progress)
    report["failures"] += misses(report["measures"], budgets)
    return handed_out(args, report, table.text, picture.drawn)
