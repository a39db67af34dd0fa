"""Where ``edgesam segment`` puts what it found: checked before anything runs; computes nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.errors import ImageError

if TYPE_CHECKING:
    from edgesam.commands.chosen import Chosen
    from edgesam.commands.objects import Objects
    from edgesam.levels import Levels
    from edgesam.provenance import Provenance


_PICTURES = ("geojson", "coco", "sheet")  # of pictures, one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, their formats, and the objects' names."""
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
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


def check(args: argparse.Namespace) -> None:
    """Refuse what could not be written before anything is computed."""
    from edgesam.formats.writing import kind_of

    picture, out, overlay = args.input, args.out, args.overlay
    if kind_of(out, args.kind) not in ("seg", "labelmap") and args.empty_frames:
        raise ImageError(f"cannot write {out}: --empty-frames is for DICOM SEG")
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


def write_mask(
    args: argparse.Namespace,
    found: Objects,
    picture: Chosen,
    provenance: Provenance,
    window: Levels | None,
) -> None:
    """Writes the mask file, or raises and leaves none."""
    from edgesam import formats
    from edgesam.formats.writing import kind_of
    from edgesam.labels import placed

    kind = kind_of(args.out, args.kind)
    if kind in ("png", "tiff"):
        formats.write_mask(args.out, found.pixels)
        return
    source, array = picture.source, found.pixels
    if not (kind in _PICTURES and picture.across):
        array = placed(source, array, picture.image.place)
    else:
        source = picture.image  # in the volume it would be a line in each of its slices
    formats.write(
        args.out,
        array,
        source,
        kind=args.kind,
        names=args.name or None,
        provenance=provenance,
        empty_frames=args.empty_frames,
        window=window,
    )
