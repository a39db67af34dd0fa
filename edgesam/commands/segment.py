"""``edgesam segment``: a picture and prompts in, or no prompts; a mask out; computes nothing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from edgesam.commands import chosen, results
from edgesam.commands.objects import Objects, from_answers, from_everywhere
from edgesam.commands.progress import Progress
from edgesam.models import DEFAULT_MODEL, MODELS, MOST_THREADS

if TYPE_CHECKING:
    from edgesam.image import Image
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam
    from edgesam.selection import Select

NAME = "segment"
HELP = "segment objects in a picture from boxes or points, or everything in it"

_SELECTIONS = ("single", "best", "stability", "0", "1", "2")  # of edgesam.selection, in words
_POINTS_PER_SIDE = 32  # segment-anything's default
_MOST_POINTS_PER_SIDE = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, the prompts, where results go, and what runs."""
    chosen.add_arguments(parser)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="M|BUNDLE",
        help=f"{', '.join(MODELS)}, or a bundle's folder (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--box",
        action="append",
        default=[],
        type=_box,
        metavar="x0,y0,x1,y1",
        help="in pixels; several are several objects (--box=-5,... if it begins with a minus)",
    )
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        type=_point,
        metavar="x,y[,0|1]",
        help="in pixels, 0 for outside; several are one object, with a box if there is one",
    )
    parser.add_argument(
        "--select",
        choices=_SELECTIONS,
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
    parser.add_argument("--engine", default="auto", help="onnxruntime, openvino, or auto (default)")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, gpu (Intel's, openvino), or auto (default)"
    )
    parser.add_argument("--variant", default="auto", help="of the bundle, or auto (default)")
    parser.add_argument("--threads", type=_threads, metavar="N", help="default: all cores")
    parser.set_defaults(usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Reads, embeds, segments, writes.

    Raises:
        EdgeSamError: any step's own error; only an overlay's leaves a mask that was written.
    """
    _check_usage(args)
    results.check(args)

    import edgesam
    from edgesam.formats import write_picture
    from edgesam.formats.writing import check_source
    from edgesam.levels import parse_levels
    from edgesam.overlay import draw_overlay

    prompts = _prompts(args.box, args.point)
    window = None if args.window is None else parse_levels(args.window)
    times: dict[str, float] = {}
    with Progress(silent=args.json) as progress:
        with _timed("read", times):
            picture = chosen.choose(args)
            image = picture.image
            check_source(args.out, args.kind, picture.source)
        with _timed("load", times):
            sam = edgesam.load(
                args.model,
                engine=args.engine,
                device=args.device,
                variant=args.variant,
                threads=args.threads,
            )
        with sam:
            if args.everything:
                progress(f"{sam}: everything in {image.width} x {image.height} pixels")
                with _timed("segment", times):
                    side = args.points_per_side or _POINTS_PER_SIDE
                    found = from_everywhere(sam, image, window, side, progress)
            else:
                found = _prompted(sam, image, window, prompts, args.select, progress, times)
        with _timed("write", times):
            made_by = sam.provenance(found.mapping)
            results.write_mask(args, found, picture, made_by, window)
            if args.overlay is not None:
                progress("drawing the overlay")
                rgb, _ = image.to_rgb8(window)
                drawn = draw_overlay(rgb, found.masks, prompts, image.pixel_aspect)
                write_picture(args.overlay, drawn)
    report = {
        "model": sam.model,
        "variant": sam.variant,
        "engine": sam.engine,
        "passport": None if sam.passport is None else sam.passport["mask_iou"],
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
    prompts: list[Prompt],
    asked: str | None,
    progress: Progress,
    times: dict[str, float],
) -> Objects:
    """One object for each prompt, all of them checked before the picture is embedded."""
    select = cast("Select", int(asked) if asked and asked.isdecimal() else asked or "single")
    for prompt in prompts:
        sam.check(prompt, image.height, image.width)
    progress(f"{sam}: embedding {image.width} x {image.height} pixels")
    with _timed("embed", times):
        embedding = sam.embed(image, window)
    progress(f"segmenting {len(prompts)} of them" if len(prompts) > 1 else "segmenting")
    with _timed("segment", times):
        return from_answers(sam.segment_batch(embedding, prompts, select=select), embedding.mapping)


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


def _prompts(boxes: list[tuple[float, ...]], points: list[tuple[float, ...]]) -> list[Prompt]:
    """One object from points and at most one box, or one object per box."""
    from edgesam.prompt import Prompt

    if not points:
        return [Prompt(box=box) for box in boxes]
    coords, labels = [point[:2] for point in points], [point[2] for point in points]
    return [Prompt(coords, labels, box=boxes[0] if boxes else None)]


def _check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage if the options cannot be meant together."""
    chosen.check_usage(args)
    if args.everything and (args.box or args.point or args.select):
        args.usage("--everything asks everywhere: leave out --box, --point and --select")
    if args.points_per_side and not args.everything:
        args.usage("--points-per-side is for --everything")
    if not (args.everything or args.box or args.point):
        args.usage("give a --box, a --point or --everything")
    if args.name and (args.everything or len(args.name) != max(1, len(args.box))):
        args.usage("give one --name for each object: each --box, or the one of the points")
    if not all(_is_name(name) for name in args.name):
        args.usage("a --name has 1 to 64 printable characters and no backslash")
    if len(args.box) > 1 and args.point:
        args.usage("several boxes are several objects: points are for one object")


def _is_name(text: str) -> bool:
    """What DICOM takes as a label (VR LO); every other format takes that too."""
    return bool(text.strip()) and len(text) <= 64 and text.isprintable() and "\\" not in text


@contextmanager
def _timed(step: str, times: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[step] = time.perf_counter() - start


def _box(text: str) -> tuple[float, ...]:
    return _numbers(text, (4,), "x0,y0,x1,y1")


def _point(text: str) -> tuple[float, ...]:
    numbers = _numbers(text, (2, 3), "x,y or x,y,0|1")
    return numbers if len(numbers) == 3 else (*numbers, 1.0)


def _numbers(text: str, counts: tuple[int, ...], form: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return numbers


def _threads(text: str) -> int:
    return _whole(text, MOST_THREADS)


def _points_per_side(text: str) -> int:
    return _whole(text, _MOST_POINTS_PER_SIDE)


def _whole(text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
    return int(text)
