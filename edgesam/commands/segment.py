"""``edgesam segment``: a picture and prompts in, or no prompts; a mask out; computes nothing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgesam.commands import all_frames, batch, chosen, prompts, results, runner
from edgesam.commands.objects import Objects, from_answers, from_everywhere
from edgesam.commands.progress import Progress

if TYPE_CHECKING:
    from edgesam.image import Image
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam
    from edgesam.selection import Select

NAME = "segment"
HELP = "segment objects in a picture from boxes or points, or everything in it"

_POINTS_PER_SIDE = 32  # segment-anything's default
_MOST_POINTS_PER_SIDE = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, the prompts, where results go, and what runs."""
    chosen.add_arguments(parser)
    parser.add_argument(
        "--box",
        action="append",
        default=[],
        type=prompts.box,
        metavar="x0,y0,x1,y1",
        help="in pixels; several are several objects (--box=-5,... if it begins with a minus)",
    )
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        type=prompts.point,
        metavar="x,y[,0|1]",
        help="in pixels, 0 for outside; several are one object, with a box if there is one",
    )
    parser.add_argument(
        "--select",
        choices=prompts.SELECTIONS,
        metavar="S",
        help="the mask that answers a prompt: single (default), the decoder's first; or of its "
        "three others the best judged (best), that of the stablest edge (stability), or 0, 1, 2",
    )
    parser.add_argument(
        "--everything",
        action="store_true",
        help="ask on a grid of points instead: labels 1..N, smaller objects on top of larger ones",
    )
    parser.add_argument(
        "--points-per-side",
        type=_points_per_side,
        metavar="N",
        help=f"of that grid (default: {_POINTS_PER_SIDE})",
    )
    parser.add_argument(
        "--window",
        metavar="L,W|PRESET",
        help="grey levels: 40,400, a preset (soft-tissue, lung...), mr, percentiles:1,99, or three "
        "as red+green+blue; docs/windows.md lists them",
    )
    results.add_arguments(parser)
    runner.add_arguments(parser)
    all_frames.add_arguments(parser)
    batch.add_arguments(parser)
    parser.set_defaults(usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Reads, embeds, segments, writes.

    Raises:
        EdgeSamError: any step's own error; only an overlay's leaves a mask that was written.
    """
    if args.batch is not None:
        batch.check_usage(args)
        return batch.run(args)
    _check_usage(args)
    if args.all_frames:
        return all_frames.run(args)
    results.check(args)

    from edgesam.formats import write_picture
    from edgesam.levels import parse_levels
    from edgesam.overlay import draw_overlay

    asked = prompts.prompts(args.box, args.point)
    window = None if args.window is None else parse_levels(args.window)
    output = results.Output.of(args)
    times: dict[str, float] = {}
    with Progress(silent=args.json) as progress:
        with _timed("read", times):
            picture = chosen.choose(args)
            image = picture.image
            output.check_source(picture.source)
        with _timed("load", times):
            sam = runner.load(args)
        with sam:
            if args.everything:
                progress(f"{sam}: everything in {image.width} x {image.height} pixels")
                with _timed("segment", times):
                    side = args.points_per_side or _POINTS_PER_SIDE
                    found = from_everywhere(sam, image, window, side, progress)
            else:
                select = prompts.selected(args.select)
                found = _prompted(sam, image, window, asked, select, progress, times)
        with _timed("write", times):
            made_by = sam.provenance(found.mapping)
            results.write_mask(output, found, picture, made_by, window)
            if args.overlay is not None:
                progress("drawing the overlay")
                rgb, _ = image.to_rgb8(window)
                drawn = draw_overlay(rgb, found.masks, asked, image.pixel_aspect)
                write_picture(args.overlay, drawn)
    report = {
        **runner.about(sam),
        "width": image.width,
        "height": image.height,
        "picture": picture.told,
        "mapping": found.mapping,
        "mask": str(args.out),
        "overlay": None if args.overlay is None else str(args.overlay),
        "objects": found.records,
        "milliseconds": {step: round(1000 * seconds, 1) for step, seconds in times.items()},
    }
    print(json.dumps(report)) if args.json else _tell(report, found.told)
    return 0


def _prompted(
    sam: Sam,
    image: Image,
    window: Levels | None,
    asked: list[Prompt],
    select: Select,
    progress: Progress,
    times: dict[str, float],
) -> Objects:
    """One object for each prompt, all of them checked before the picture is embedded."""
    for prompt in asked:
        sam.check(prompt, image.height, image.width)
    progress(f"{sam}: embedding {image.width} x {image.height} pixels")
    with _timed("embed", times):
        embedding = sam.embed(image, window)
        embedding.wait()  # or a GPU's time would be the segmenting's
    progress(f"segmenting {len(asked)} of them" if len(asked) > 1 else "segmenting")
    with _timed("segment", times):
        return from_answers(sam.segment_batch(embedding, asked, select=select), embedding.mapping)


def _tell(report: dict[str, Any], told: list[str]) -> None:
    """What a person wants to know, in a few lines."""
    if report["picture"]:
        print(f"picture: {report['picture']}")
    print(f"grey levels: {report['mapping']}")
    for line in told:
        print(line)
    print(f"mask:    {report['mask']}")
    if report["overlay"]:
        print(f"overlay: {report['overlay']}")
    steps = ", ".join(f"{step} {ms:.0f}" for step, ms in report["milliseconds"].items())
    print(f"milliseconds: {steps}")


def _check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage if the options cannot be meant together."""
    chosen.check_usage(args)
    if args.out is None:
        args.usage("the following arguments are required: -o/--out")
    if args.all_frames:
        all_frames.check_usage(args)
    if args.everything and (args.box or args.point or args.select):
        args.usage("--everything asks everywhere: leave out --box, --point and --select")
    if args.points_per_side and not args.everything:
        args.usage("--points-per-side is for --everything")
    if not (args.everything or args.box or args.point):
        args.usage("give a --box, a --point or --everything")
    if args.name and (args.everything or len(args.name) != max(1, len(args.box))):
        args.usage("give one --name for each object: each --box, or the one of the points")
    if not all(prompts.is_name(name) for name in args.name):
        args.usage("a --name has 1 to 64 printable characters and no backslash")
    if len(args.box) > 1 and args.point:
        args.usage("several boxes are several objects: points are for one object")


@contextmanager
def _timed(step: str, times: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[step] = time.perf_counter() - start


def _points_per_side(text: str) -> int:
    return runner.whole(text, _MOST_POINTS_PER_SIDE)
