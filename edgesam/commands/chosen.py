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


@dataclass(frozen=True)
class Which:
    """Which picture of what is at a path.

    Attributes:
        path: of a file or folder.
        slice: of a volume.
        axis: across which.
        frame: of a multi-frame file.
        column: it is asked for by columns of a list, not by options: for messages.
    """

    path: Path
    slice: int | None = None
    axis: Axis | None = None
    frame: int | None = None
    column: bool = False

    def asked_by(self, name: str) -> str:
        """What a person writes to ask for another one."""
        return f"the column {name}:" if self.column else f"--{name}"

    def of(self, found: Image | Volume | Cine) -> Chosen:
        """That picture of what was read from the path.

        Raises:
            EdgeSamError: it cannot be read, or there is no such slice or frame, or several.
        """
        import edgesam

        if isinstance(found, edgesam.Volume):
            return self._of_volume(found)
        if self.slice is not None:
            leave = "leave the column slice empty" if self.column else "leave --slice out"
            raise ImageError(f"{self.path}: is not a volume: {leave}")
        if isinstance(found, edgesam.Cine):
            return self._of_cine(found)
        if self.frame not in (None, 0):
            raise ImageError(f"{self.path}: has no frame {self.frame}; it has one frame, number 0")
        return Chosen(found, found, "")

    def _of_volume(self, volume: Volume) -> Chosen:
        axis = self.axis
        if self.frame is not None:
            import edgesam

            image = edgesam.read(self.path, frame=self.frame)
            return Chosen(image, image, f"frame {self.frame}")
        if self.slice is None and volume.count(axis) > 1:
            last = volume.count() - 1
            raise ImageError(
                f"{self.path}: {volume}: choose a slice with {self.asked_by('slice')} 0..{last}"
            )
        index = self.slice or 0
        named = f" ({axis})" if axis else ""
        across = volume.plane(index, axis).axis != volume.stacked
        image = volume.slice(index, axis=axis)
        return Chosen(image, volume, f"slice {index}{named} of {volume}", across)

    def _of_cine(self, cine: Cine) -> Chosen:
        if self.frame is None and len(cine) > 1:
            raise ImageError(
                f"{self.path}: has {len(cine)} frames; choose one with "
                f"{self.asked_by('frame')} 0..{len(cine) - 1}"
            )
        index = self.frame or 0
        return Chosen(cine.frame(index), cine, f"frame {index} of {cine}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to segment."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        nargs="?",
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
    if args.input is None:
        args.usage("give an INPUT: a picture, a volume or a cine")
    if args.slice is not None and args.frame is not None:
        args.usage("a --slice is of a volume, a --frame of a multi-frame file: give one of them")
    if args.axis is not None and args.slice is None and not args.all_frames:
        args.usage("--axis needs the --slice across it")


def choose(args: argparse.Namespace) -> Chosen:
    """Reads, and takes the slice or frame that is meant.

    Raises:
        EdgeSamError: it cannot be read, or there is no such slice or frame, or several.
    """
    import edgesam

    found = edgesam.read(args.input, series=series_of(args))
    which = Which(args.input, args.slice, cast("Axis | None", args.axis), args.frame)
    return which.of(found)


def series_of(args: argparse.Namespace) -> int | str | None:
    """The number or SeriesInstanceUID that is asked for."""
    return series(args.series)


def series(text: str | None) -> int | str | None:
    """A number in words as a number, a SeriesInstanceUID as it is."""
    return int(text) if text and text.isdecimal() else text
