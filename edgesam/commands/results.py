"""Where ``edgesam segment`` puts what it found: checked before anything runs; computes nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgesam.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgesam.commands.chosen import Chosen
    from edgesam.commands.objects import Objects
    from edgesam.formats.writing import Kind
    from edgesam.labels import Source
    from edgesam.levels import Levels
    from edgesam.provenance import Provenance

_PICTURES = ("geojson", "coco", "sheet")  # of pictures, one by one
_SEPARATORS = (os.sep, "/") if os.altsep is None else (os.sep, os.altsep)


@dataclass(frozen=True)
class Output:
    """A mask's file.

    Attributes:
        path: of it.
        kind: what it holds; None to go by its suffix.
        names: of the objects; none for ``object 1`` and so on.
        empty_frames: keep slices without an object, in DICOM SEG.
    """

    path: Path
    kind: str | None = None
    names: tuple[str, ...] = ()
    empty_frames: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> Output:
        """What the command line asks for."""
        return cls(args.out, args.kind, tuple(args.name), args.empty_frames)

    @property
    def holds(self) -> Kind:
        """What kind of file it is.

        Raises:
            ImageError: no format has this suffix, or not the format that was asked for.
        """
        from edgesam.formats.writing import kind_of

        return kind_of(self.path, cast("Kind | None", self.kind))

    def check(self) -> None:
        """Refuse what could not be written, whatever the picture is.

        Raises:
            ImageError: it cannot be written.
        """
        if self.holds not in ("seg", "labelmap") and self.empty_frames:
            raise ImageError(f"cannot write {self.path}: --empty-frames is for DICOM SEG")
        check_place(self.path)

    def check_source(self, source: Source) -> None:
        """Refuse what cannot be written over that picture, volume or cine.

        Raises:
            ImageError: it cannot be written.
        """
        from edgesam.formats.writing import check_source

        check_source(self.path, self.holds, source)

    def write(
        self,
        labels: NDArray[Any],
        source: Source,
        provenance: Provenance,
        window: Levels | None,
    ) -> None:
        """Write booleans or labels of the source's size, whole or not at all.

        Raises:
            ImageError: it cannot be written. VolumeError: they do not lie on the source.
        """
        from edgesam import formats

        formats.write(
            self.path,
            labels,
            source,
            kind=self.holds,
            names=self.names or None,
            provenance=provenance,
            empty_frames=self.empty_frames,
            window=window,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, their formats, and the objects' names."""
    parser.add_argument(
        "-o",
        "--out",
        action=_Out,
        metavar="OUT",
        help="mask as .png or .tif (0/255 for one object, labels 1..N for several), .dcm (SEG), "
        ".nii, .nii.gz, .nrrd, .seg.nrrd, .geojson, .json (COCO) or .gif (to look at)",
    )
    parser.add_argument(
        "--as",
        dest="kind",
        metavar="KIND",
        help="what OUT holds: seg, labelmap, rtstruct or sr as .dcm; coco or geojson as .json; "
        "sheet as .png or .gif",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="of an object, once for each, for .dcm, .nrrd, .geojson, .json; one of DICOM's terms "
        "(liver, neoplasm) is coded, a side (left kidney) stays in the name alone",
    )
    parser.add_argument(
        "--empty-frames", action="store_true", help="keep slices without an object in DICOM SEG"
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        metavar="PNG",
        help="a picture to look at; small ones are enlarged, prompts are not in its pixels",
    )


class _Out(argparse.Action):
    """The path, and whether it was written as a folder's."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        namespace.out = Path(str(values))
        namespace.as_folder = str(values).endswith(_SEPARATORS)


def check(args: argparse.Namespace) -> None:
    """Refuse what could not be written before anything is computed."""
    picture, out, overlay = args.input, args.out, args.overlay
    Output.of(args).check()
    if overlay is not None and overlay.suffix.lower() != ".png":
        raise ImageError(f"cannot write {overlay}: an overlay is written as .png")
    if overlay is not None:
        check_place(overlay)
    for path in filter(None, (out, overlay)):
        if path.exists() and picture.exists() and path.samefile(picture):
            raise ImageError(f"cannot write {path}: it is the input; give another name")
    if overlay is not None and out.absolute() == overlay.absolute():
        raise ImageError(f"cannot write {overlay}: the mask goes there; give another name")


def check_place(path: Path) -> None:
    """Refuse a file that cannot be there.

    Raises:
        ImageError: its folder is missing, or it is a folder itself.
    """
    if not path.absolute().parent.is_dir():
        raise ImageError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ImageError(f"cannot write {path}: it is a folder; give a file name")


def write_mask(
    output: Output,
    found: Objects,
    picture: Chosen,
    provenance: Provenance,
    window: Levels | None,
) -> None:
    """Writes the mask file of one picture, or raises and leaves none."""
    from edgesam import formats
    from edgesam.labels import placed

    source, array, kind = picture.source, found.pixels, output.holds
    if kind in ("png", "tiff"):
        formats.write_mask(output.path, array)
        return
    if not (kind in _PICTURES and picture.across):
        array = placed(source, array, picture.image.place)
    else:
        source = picture.image  # in the volume it would be a line in each of its slices
    output.write(array, source, provenance, window)
