"""``edgesam segment --batch LIST.csv``: masks of all rows of a list. Knows no engine."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.commands import prompts, rows, runner
from edgesam.commands.chosen import Chosen, Which
from edgesam.commands.progress import Progress
from edgesam.commands.tally import Tally

if TYPE_CHECKING:
    from edgesam.cine import Cine
    from edgesam.commands.jobs import Job
    from edgesam.commands.rows import Row
    from edgesam.image import Image
    from edgesam.volume import Volume

# What a list says in its rows instead, or what is of one picture.
_NOT_WITH = {
    "input": "INPUT",
    "out": "--out",
    "box": "--box",
    "point": "--point",
    "name": "--name",
    "series": "--series",
    "slice": "--slice",
    "axis": "--axis",
    "frame": "--frame",
    "everything": "--everything",
    "points_per_side": "--points-per-side",
    "overlay": "--overlay",
    "all_frames": "--all-frames",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The list."""
    parser.add_argument(
        "--batch",
        type=Path,
        metavar="LIST.csv",
        help=f"many pictures instead of INPUT: columns {', '.join(rows.COLUMNS)}; each mask gets a "
        "sidecar OUTPUT.json, and what is done already is left as it is; docs/streaming.md",
    )


def check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage if there are options that a list cannot be meant with."""
    for name, told in _NOT_WITH.items():
        value = getattr(args, name)
        if value is not None and value is not False and value != []:  # a slice may be 0
            args.usage(
                f"--batch takes pictures, prompts and outputs from the list: leave {told} out"
            )


def run(args: argparse.Namespace) -> int:
    """Checks the whole list, loads the model, makes what is not there yet.

    Returns:
        0, or 1 if a row failed.

    Raises:
        EdgeSamError: the list is wrong, or the model cannot be loaded.
    """
    from edgesam.commands.jobs import Jobs
    from edgesam.levels import parse_levels

    window = None if args.window is None else parse_levels(args.window)
    asked = rows.read_rows(args.batch, window, args.kind, empty_frames=args.empty_frames)
    with Progress(silent=args.json) as progress, runner.load(args) as sam:
        progress(f"{sam}: {len(asked)} masks")
        tally = Tally(len(asked), progress)
        select = prompts.selected(args.select)
        folders = {row.output.path.parent for row in asked}
        Jobs(sam, _jobs(args.batch, asked), select, tally).run(folders)
    report = {**runner.about(sam), "list": str(args.batch), **tally.report()}
    print(json.dumps(report) if args.json else tally)
    return tally.code


def _jobs(path: Path, asked: Sequence[Row]) -> Iterator[Job]:
    """Rows of one picture that follow one another are one job."""
    from edgesam.commands.jobs import Job, Order

    opened = _Opened()
    for _, group in itertools.groupby(asked, key=lambda row: row.picture):
        some = list(group)
        orders = [
            Order([row.prompt], row.output, {"line": row.line}, f"{path}, line {row.line}")
            for row in some
        ]
        yield Job(partial(opened.picture, some[0]), some[0].window, orders)


class _Opened:
    """What was read last: a study is not searched again for each of its slices."""

    def __init__(self) -> None:
        self._which: object = None
        self._found: Image | Volume | Cine | None = None

    def picture(self, row: Row) -> Chosen:
        """The one that the row means; raises what reading and choosing it raise."""
        import edgesam

        which = row.image, row.series
        if self._found is None or self._which != which:
            self._found = None
            self._found = edgesam.read(row.image, series=row.series)
            self._which = which
        return Which(row.image, row.slice, None, row.frame, column=True).of(self._found)
