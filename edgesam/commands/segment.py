"""``edgesam segment``: a picture and prompts in, a mask file out; computes nothing itself."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesam.commands.progress import Progress
from edgesam.errors import ImageError
from edgesam.models import DEFAULT_MODEL, MODELS, MOST_THREADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgesam.prompt import Prompt

NAME = "segment"
HELP = "segment objects in a picture from boxes or points"

_MASK_SUFFIXES = (".png", ".tif", ".tiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, the prompts, where results go, and what runs."""
    parser.add_argument("input", metavar="INPUT", type=Path, help="DICOM, PNG, JPEG or TIFF")
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
    parser.add_argument("--frame", type=int, metavar="N", help="of a multi-frame file, from 0")
    parser.add_argument("--window", metavar="L,W|PRESET", help="grey levels: 40,400 or soft-tissue")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="OUT",
        help="mask as .png or .tif: 0/255 for one object, labels 1..N for several",
    )
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="a picture to look at")
    parser.add_argument("--engine", default="auto", help="onnxruntime, or auto (default)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto (default)")
    parser.add_argument("--variant", default="auto", help="of the bundle, or auto (default)")
    parser.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")
    parser.set_defaults(usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Reads, embeds, segments, writes.

    Raises:
        EdgeSamError: any step's own error; only an overlay's leaves a mask that was written.
    """
    if not args.box and not args.point:
        args.usage("give a --box or a --point")
    if len(args.box) > 1 and args.point:
        args.usage("several boxes are several objects: points are for one object")
    _check_outputs(args.input, args.out, args.overlay)

    import edgesam
    from edgesam.formats import write_mask, write_picture
    from edgesam.overlay import draw_overlay

    prompts = _prompts(args.box, args.point)
    window = None if args.window is None else edgesam.Window.parse(args.window)
    times: dict[str, float] = {}
    with Progress(silent=args.json) as progress:
        with _timed("read", times):
            image = edgesam.read(args.input, frame=args.frame)
        with _timed("load", times):
            sam = edgesam.load(
                args.model,
                engine=args.engine,
                device=args.device,
                variant=args.variant,
                threads=args.threads,
            )
        with sam:
            for prompt in prompts:
                sam.check(prompt, image.height, image.width)
            progress(f"{sam}: embedding {image.width} x {image.height} pixels")
            with _timed("embed", times):
                embedding = sam.embed(image, window)
            progress(f"segmenting {len(prompts)} of them" if len(prompts) > 1 else "segmenting")
            with _timed("segment", times):
                masks = sam.segment_batch(embedding, prompts)
        with _timed("write", times):
            arrays = [mask.array for mask in masks]
            write_mask(args.out, arrays[0] if len(arrays) == 1 else _label_map(arrays))
            if args.overlay is not None:
                progress("drawing the overlay")
                rgb, _ = image.to_rgb8(window)
                write_picture(args.overlay, draw_overlay(rgb, arrays, prompts))
    report = {
        "model": sam.model,
        "variant": sam.variant,
        "engine": sam.engine,
        "passport": None if sam.passport is None else sam.passport["mask_iou"],
        "width": image.width,
        "height": image.height,
        "mapping": embedding.mapping,
        "mask": str(args.out),
        "overlay": None if args.overlay is None else str(args.overlay),
        "objects": [
            {"score": round(m.score, 4), "area": m.area, "box": m.box, "rle": m.to_rle()}
            for m in masks
        ],
        "milliseconds": {step: round(1000 * seconds, 1) for step, seconds in times.items()},
    }
    print(json.dumps(report)) if args.json else _tell(report)
    return 0


def _tell(report: dict[str, Any]) -> None:
    """What a person wants to know, in a few lines."""
    print(f"grey levels: {report['mapping']}")
    for number, found in enumerate(report["objects"], start=1):
        if found["area"] == 0:
            print(f"object {number}: nothing was found here")
        else:
            print(
                f"object {number}: {found['area']} pixels in box {found['box']}, "
                f"predicted IoU {found['score']:.3f}"
            )
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


def _label_map(masks: list[NDArray[np.bool_]]) -> NDArray[np.uint16]:
    """1..N; where objects overlap the later one wins."""
    import numpy as np

    labels = np.zeros(masks[0].shape, np.uint16)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
    return labels


def _check_outputs(picture: Path, out: Path, overlay: Path | None) -> None:
    """Refuse what could not be written before anything is computed."""
    if out.suffix.lower() not in _MASK_SUFFIXES:
        raise ImageError(f"cannot write {out}: a mask is written as {', '.join(_MASK_SUFFIXES)}")
    if overlay is not None and overlay.suffix.lower() != ".png":
        raise ImageError(f"cannot write {overlay}: an overlay is written as .png")
    for path in filter(None, (out, overlay)):
        if not path.absolute().parent.is_dir():
            raise ImageError(f"cannot write {path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ImageError(f"cannot write {path}: it is a folder; give a file name")
        if path.exists() and picture.exists() and path.samefile(picture):
            raise ImageError(f"cannot write {path}: it is the input; give another name")
    if overlay is not None and out.absolute() == overlay.absolute():
        raise ImageError(f"cannot write {overlay}: the mask goes there; give another name")


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


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_THREADS}")
    return int(text)
