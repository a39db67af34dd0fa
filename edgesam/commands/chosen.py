"""Which picture of a file or study ``edgesam segment`` means; decodes it, and computes nothing."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgesam.errors import ImageError

if TYPE_CHECKING:
    from edgesam.cine import Cine
    from edgesam.image import Image
    from edgesam.labels import Source
    from edgesam.volume import Axis, Volume

AXES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True)
class Chosen:
    """One picture, and what it is of.

    Attributes:
        image: the picture.
        source: the volume or cine that it belongs to, or the picture itself.
        told: where it is, in words.
        across: it is of a volume, but not along the axis that its slices are counted.
    """

    image: Image
    source: Source
    told: str
    across: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to segment."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        help="a DICOM file, folder, DICOMDIR or zip, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP",
    )
    parser.add_argument(
        "--series",
        metavar="N",
        help="of a folder with several: its number in the list that is shown without this",
    )
    parser.add_argument("--slice", type=int, metavar="Z", help="of a volume, from 0")
    parser.add_argument(
        "--axis",
        choices=AXES,
        help="which slices are meant (default: as a DICOM series was acquired, else axial)",
    )
    parser.add_argument("--frame", type=int, metavar="N", help="of a multi-frame file, from 0")


def check_usage(args: argparse.Namespace) -> None:
    """Ends with the usage if the options cannot be meant together."""
    if args.slice is not None and args.frame is not None:
        args.usage("a --slice is of a volume, a --frame of a multi-frame file: give one of them")
    if args.axis is not None and args.slice is None:
        args.usage("--axis needs the --slice across it")


def choose(args: argparse.Namespace) -> Chosen:
    """Reads, and takes the slice or frame that is meant.

    Raises:
        EdgeSamError: it cannot be read, or there is no such slice or frame, or several.
    """
    import edgesam

    series = int(args.series) if args.series and args.series.isdecimal() else args.series
    found = edgesam.read(args.input, series=series)
    if isinstance(found, edgesam.Volume):
        return _of_volume(args, found)
    if args.slice is not None:
        raise ImageError(f"{args.input}: is not a volume: leave --slice out")
    if isinstance(found, edgesam.Cine):
        return _of_cine(args, found)
    if args.frame not in (None, 0):
        raise ImageError(f"{args.input}: has no frame {args.frame}; it has one frame, number 0")
    return Chosen(found, found, "")


def _of_volume(args: argparse.Namespace, volume: Volume) -> Chosen:
    axis = cast("Axis | None", args.axis)
    if args.frame is not None:
        import edgesam

        image = edgesam.read(args.input, frame=args.frame)
        return Chosen(image, image, f"frame {args.frame}")
    if args.slice is None and volume.count(axis) > 1:
        last = volume.count() - 1
        raise ImageError(f"{args.input}: {volume}: choose a slice with --slice 0..{last}")
    index = args.slice or 0
    named = f" ({axis})" if axis else ""
    across = volume.plane(index, axis).axis != volume.stacked
    image = volume.slice(index, axis=axis)
    return Chosen(image, volume, f"slice {index}{named} of {volume}", across)


def _of_cine(args: argparse.Namespace, cine: Cine) -> Chosen:
    if args.frame is None and len(cine) > 1:
        raise ImageError(
            f"{args.input}: has {len(cine)} frames; choose one with --frame 0..{len(cine) - 1}"
        )
    index = args.frame or 0
    return Chosen(cine.frame(index), cine, f"frame {index} of {cine}")
