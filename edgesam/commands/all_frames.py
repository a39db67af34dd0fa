"""``edgesam segment --all-frames``: the same prompts on every picture there. Knows no engine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgesam.commands import prompts, runner
from edgesam.commands.chosen import series_of
from edgesam.commands.frames import Frames
from edgesam.commands.progress import Progress
from edgesam.commands.results import Output
from edgesam.commands.tally import Tally
from edgesam.commands.whole import into_file
from edgesam.errors import ImageError

if TYPE_CHECKING:
    from edgesam.commands.jobs import Job
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt
    from edgesam.volume import Axis


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    parser.add_argument(
        "--all-frames",
        action="store_true",
        help="the same prompts on every slice, frame or picture of INPUT: OUT is one file of the "
        "whole (.nii.gz, .nrrd, .dcm...), or a folder for a PNG and a sidecar of each",
    )
    parser.set_defaults(as_folder=False)


def check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage if the options cannot be meant together."""
    if args.slice is not None or args.frame is not None:
        args.usage("--all-frames takes every slice or frame: leave out --slice and --frame")
    if args.everything:
        args.usage("--everything is for one picture: leave it or --all-frames out")
    if args.overlay is not None:
        args.usage("--overlay is for one picture: with --all-frames write a .gif to look at")
    if _is_folder(args) and (args.kind or args.empty_frames):
        args.usage("a folder of masks holds PNG: --as and --empty-frames are for one file")


def run(args: argparse.Namespace) -> int:
    """Reads, segments, writes one file or a folder of them.

    Returns:
        0, or 1 if a picture of a folder failed.

    Raises:
        EdgeSamError: any step's own error; one file is then not written.
    """
    from edgesam.levels import parse_levels
    from edgesam.pictures import opened

    asked = prompts.prompts(args.box, args.point)
    window = None if args.window is None else parse_levels(args.window)
    folder = _is_folder(args)
    if folder:
        _check_folder(args.out, args.input)
    else:
        Output.of(args).check()
    found = opened(args.input, series=series_of(args))
    frames = Frames(args.input, found, cast("Axis | None", args.axis))
    if folder:
        return _into_folder(args, frames, asked, window)
    return into_file(args, frames, asked, window)


def _is_folder(args: argparse.Namespace) -> bool:
    return args.as_folder or args.out.is_dir() or not args.out.suffix


def _check_folder(out: Path, source: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ImageError(f"cannot write into {out}: it is a file; give a folder")
    if not out.absolute().parent.is_dir():
        raise ImageError(f"cannot write into {out}: the folder {out.parent} does not exist")
    if out.exists() and source.is_dir() and out.samefile(source):
        raise ImageError(f"cannot write into {out}: it is the input; give another folder")


def _into_folder(
    args: argparse.Namespace, frames: Frames, asked: list[Prompt], window: Levels | None
) -> int:
    """A PNG and its sidecar of each picture; those that are there are left as they are."""
    from edgesam.commands.jobs import Jobs

    with Progress(silent=args.json) as progress, runner.load(args) as sam:
        progress(f"{sam}: {frames}")
        args.out.mkdir(exist_ok=True)
        tally = Tally(len(frames), progress)
        jobs = _jobs(frames, asked, window, args.out, tuple(args.name))
        Jobs(sam, jobs, prompts.selected(args.select), tally).run([args.out])
    report = {**runner.about(sam), "picture": repr(frames), "masks": str(args.out)}
    report |= tally.report()
    print(json.dumps(report) if args.json else f"{tally}\nmasks: {args.out}")
    return tally.code


def _jobs(
    frames: Frames,
    asked: list[Prompt],
    window: Levels | None,
    folder: Path,
    names: tuple[str, ...],
) -> Iterator[Job]:
    from edgesam.commands.jobs import Job, Order

    for index, name in enumerate(frames.names()):
        output = Output(folder / name, "png", names)
        order = Order(asked, output, {"picture": index}, f"picture {index}")
        yield Job(partial(frames.read, index), window, [order])
