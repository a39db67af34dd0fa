"""Opens a DICOM file, or a series of them, as what it is: a picture, a volume or a cine.

Which slices belong together is known elsewhere (:mod:`edgesam.formats.dicom.series`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from edgesam.cine import Cine
from edgesam.errors import VolumeError
from edgesam.formats.dicom.cine import DicomFrames, milliseconds
from edgesam.formats.dicom.geometry import stacked_affine
from edgesam.formats.dicom.header import frame_count, image_header, looks_like_dicom
from edgesam.formats.dicom.image import image_of, is_mosaic
from edgesam.formats.dicom.kept import keep_decoding
from edgesam.formats.dicom.series import (
    MOSAIC,
    Series,
    choose_series,
    sort_series,
    stack_of_series,
)
from edgesam.formats.dicom.slice import slices_of
from edgesam.formats.dicom.voxels import DicomVoxels
from edgesam.formats.frame import choose_frame
from edgesam.formats.quiet import quiet
from edgesam.image import Image
from edgesam.origin import File, Origin, Part
from edgesam.volume import Volume

__all__ = ["looks_like_dicom", "open_series", "read_dicom"]

_log = logging.getLogger("edgesam")


def read_dicom(
    file: File | Path, *, frame: int | None = None, series: int | str | None = None
) -> Image | Volume | Cine:
    """What a DICOM file holds.

    Grey pixels are in the modality's units, with the file's own window or VOI LUT beside them;
    PALETTE COLOR and YBR become RGB. Only what is asked for is decoded.

    Args:
        file: one file, or one inside an archive.
        frame: from 0: that one as a picture by itself.
        series: of a multi-frame file with several stacks of slices: its number in the list that
            the error shows.

    Returns:
        An image of a file of one frame; a volume where several frames have their places in the
        patient (enhanced CT and MR, PS3.3 C.7.6.16); else a cine.

    Raises:
        ImageError: it is no image, is damaged, cannot be decoded, or has no such frame.
        VolumeError: its frames make no volume, or several.
    """
    source = File(file) if isinstance(file, Path) else file
    with quiet("pydicom"):
        header = image_header(source)
        count = frame_count(source, header.dataset)
        if frame is not None or count == 1:
            part = Part(source, choose_frame(frame, count, source))
            image = image_of(part, header)
            if is_mosaic(header.dataset):
                _log.warning("%s: %s", source, MOSAIC)
            return image
        found = sort_series(Path(str(source)), slices_of(source, header.dataset))
    return open_series(choose_series(Path(str(source)), found, series))


def open_series(series: Series) -> Image | Volume | Cine:
    """A series as what it is; of a volume or cine nothing is decoded yet.

    Raises:
        ImageError: a picture that cannot be decoded, or a file that is damaged.
        VolumeError: slices that make no volume; one line with all reasons.
    """
    for note in series.notes:
        _log.warning("%s: %s", series.path, note)
    first = series.slices[0]
    files = {piece.part.file for piece in series.slices}
    with quiet("pydicom"):
        if series.kind == "image":
            return image_of(first.part, image_header(first.part.file))
        one = image_header(first.part.file) if len(files) == 1 else None
        pace = milliseconds(one.dataset, first.part.file) if one is not None else None
        if one is not None:
            keep_decoding(first.part.file, one)
        if series.kind == "volume":
            return _volume(series, DicomVoxels(series.slices, one))
        parts = tuple(
            Part(piece.part.file, piece.part.frame + further)
            for piece in series.slices
            for further in range(piece.frames)
        )
    return Cine(
        DicomFrames(parts, one),
        height=first.size[0],
        width=first.size[1],
        milliseconds=pace,
        modality=series.modality,
        origin=Origin("dicom", parts),
    )


def _volume(series: Series, voxels: DicomVoxels) -> Volume:
    stack = stack_of_series(series)
    if stack is None or stack.faults:
        reasons = "; ".join(stack.faults if stack else ())
        raise VolumeError(f"{series.path}: makes no volume: {reasons} (slices counted from 0)")
    if stack.tilt:
        _log.warning(
            "%s: gantry tilt of %.2f degrees: the affine is sheared", series.path, stack.tilt
        )
    first = series.slices[0]
    if first.grid.source is None:
        _log.warning("%s: no pixel spacing: the affine counts voxels", series.path)
    return Volume(
        voxels,
        stacked_affine(first.grid, stack.step),
        stacked=0,
        as_stored=True,
        spacing_source=first.grid.source,
        inverted=first.inverted,
        modality=series.modality,
        origin=Origin("dicom", tuple(piece.part for piece in series.slices)),
    )
