"""``edgesam bench``: how fast this machine is, beside whom; parses, tells and judges, no clock."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgesam.commands import runner
from edgesam.commands.progress import Progress
from edgesam_bench.commands import scenario
from edgesam_bench.commands.outcome import budgets_of, handed_out, misses
from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.speed.budget import FORM
from edgesam_bench.speed.measures import MEASURES
from edgesam_bench.speed.peers import PEERS

NAME = "bench"
HELP = "measure speed and memory on this machine, beside other ways to run the model"

_GRAPHS = Path(".cache/plain")
_MOST_ROUNDS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What runs, beside whom, how long, and what must hold."""
    runner.add_arguments(parser)
    parser.add_argument(
        "--scenario",
        choices=tuple(SCENARIOS),
        help="play a recorded scene instead: a person at a viewer, a live source, a long list",
    )
    parser.add_argument(
        "--peers",
        type=_peers,
        default=(),
        metavar="P,...",
        help=f"measured in turn with edgesam: {', '.join(PEERS)}, or all",
    )
    parser.add_argument(
        "--reference-python",
        metavar="PATH",
        help="of an environment with the official PyTorch code (bench/reference/README.md)",
    )
    parser.add_argument(
        "--plain-graphs",
        type=Path,
        default=_GRAPHS,
        metavar="FOLDER",
        help=f"keeps the plain exports that peers run (default: {_GRAPHS.as_posix()})",
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        metavar="N",
        help="default: 7, or 3 with --quick; of a scenario 3, 1",
    )
    parser.add_argument("--quick", action="store_true", help="a minute instead of several")
    parser.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help="default: a drawn 512 x 512; of a scenario a series, volume or cine, or 20 drawn ones",
    )
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the report")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the report")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="JSON",
        help="an earlier report; exit code 3 if a p50 is above 1.10 of it, beyond noise",
    )
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="LIMIT",
        help=f"{FORM}, memory.max=500MiB, or of a scenario jump_ratio.p50=1.1x; exit code 3 if it "
        "is missed; may be repeated",
    )
    parser.set_defaults(usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Measures, writes, tells, judges.

    Raises:
        EdgeSamError: edgesam cannot be measured, or a result cannot be written.
    """
    from edgesam_bench.speed import baseline, picture, table
    from edgesam_bench.speed.contender import EDGESAM
    from edgesam_bench.speed.run import Request
    from edgesam_bench.speed.run import run as measured

    _check_usage(args)
    if args.scenario is not None:
        return scenario.run(args)
    budgets = budgets_of(args, MEASURES)
    base = _base(args)
    request = Request(
        model=args.model,
        engine=args.engine,
        device=args.device,
        variant=args.variant,
        threads=args.threads,
        peers=args.peers,
        rounds=args.rounds,
        quick=args.quick,
        image=args.image,
        python=args.reference_python,
        graphs=args.plain_graphs,
    )
    with Progress(silent=args.json) as progress:
        report = measured(request, progress)
    if base is not None:
        report["compared"] = {"base": args.compare.name, **baseline.compared(report, base)}
        report["failures"] += baseline.failures(report["compared"])
    ours = {name: measure["of"][EDGESAM] for name, measure in report["measures"].items()}
    report["failures"] += misses(ours, budgets)
    return handed_out(args, report, table.text, picture.drawn)


def _check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage before minutes are spent on what cannot be written, or not be had."""
    for option, path in (("--out", args.out), ("--picture", args.picture)):
        if path is not None and not path.absolute().parent.is_dir():
            args.usage(f"{option}: there is no folder {path.absolute().parent}; create it first")
        if path is not None and path.is_dir():
            args.usage(f"{option}: {path} is a folder; give a file name")
    if args.picture is not None and args.picture.suffix.lower() != ".png":
        args.usage(f"--picture: {args.picture.name} does not end in .png")
    if args.scenario is not None:
        for option, given in (
            ("--peers", bool(args.peers)),
            ("--reference-python", args.reference_python is not None),
            ("--plain-graphs", args.plain_graphs != _GRAPHS),
            ("--compare", args.compare is not None),
        ):
            if given:
                args.usage(f"{option} does not go with --scenario, which plays edgesam alone")


def _base(args: argparse.Namespace) -> dict[str, Any] | None:
    """The report to compare with, or the usage if it is none of this model."""
    from edgesam.bundle import find_bundle
    from edgesam_bench.speed.baseline import read_report

    if args.compare is None:
        return None
    try:
        base = read_report(args.compare)
    except ValueError as error:
        args.usage(f"--compare: {error}")
        raise
    model = find_bundle(args.model).manifest.model
    if base["model"] != model:
        args.usage(f"--compare: {args.compare} is of {base['model']}, not of {model}")
    return base


def _peers(text: str) -> tuple[str, ...]:
    if text == "all":
        return PEERS
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no peer is called {unknown[0]!r}: {', '.join(PEERS)}, all"
        )
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} names a peer twice")
    return names


def _rounds(text: str) -> int:
    return runner.whole(text, _MOST_ROUNDS)
