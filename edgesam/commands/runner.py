"""Which model runs, and how: from options to a Sam. Knows no picture."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgesam.models import DEFAULT_MODEL, MODELS, MOST_THREADS

if TYPE_CHECKING:
    from edgesam.sam import Sam


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, engine, device, variant, threads."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="M|BUNDLE",
        help=f"{', '.join(MODELS)}, or a bundle's folder (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--engine", default="auto", help="onnxruntime, openvino, tensorrt, or auto (default)"
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, gpu (Intel's, openvino), or auto (default)"
    )
    parser.add_argument("--variant", default="auto", help="of the bundle, or auto (default)")
    parser.add_argument("--threads", type=_threads, metavar="N", help="default: all cores")


def load(args: argparse.Namespace) -> Sam:
    """The model that is asked for; raises what :func:`edgesam.load` raises."""
    import edgesam

    return edgesam.load(
        args.model,
        engine=args.engine,
        device=args.device,
        variant=args.variant,
        threads=args.threads,
    )


def about(sam: Sam) -> dict[str, Any]:
    """What runs, ready for JSON."""
    return {
        "model": sam.model,
        "variant": sam.variant,
        "engine": sam.engine,
        "passport": None if sam.passport is None else sam.passport["mask_iou"],
    }


def whole(text: str, most: int) -> int:
    """A whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is something else, or above ``most``.
    """
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
    return int(text)


def _threads(text: str) -> int:
    return whole(text, MOST_THREADS)
