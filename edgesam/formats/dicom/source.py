"""Reads again what a DICOM result says of its source images: identity and geometry, no pixels.

A patient's data is in the first header only, and no longer in memory than the result is being made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ImageError, VolumeError
from edgesam.formats.dicom.result import other_formats
from edgesam.image import Image
from edgesam.labels import Labels, Source, grid
from edgesam.origin import File, Origin

if TYPE_CHECKING:
    from pydicom import Dataset

_NAMED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1 and C.7.2.1): there, if empty.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)
# What is read of every file after the first.
_REFERENCE = (
    *_NAMED,
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images that slices or frames were read from.

    Attributes:
        headers: one for each file, in the order of their first use. The first is whole, with
            everything a result needs of patient and study; the others have identity and geometry.
        image: (P,) for each slice or frame, which of ``headers``.
        frame: (P,) for each, which frame of that file, from 0.
    """

    headers: tuple[Dataset, ...]
    image: tuple[int, ...]
    frame: tuple[int, ...]

    @property
    def multiframe(self) -> bool:
        """Whether any of the files has several frames."""
        return any(frames_in(header) > 1 for header in self.headers)

    @property
    def frame_of_reference(self) -> str | None:
        """The one that all images share, None if they have none or several."""
        found = {str(header.get("FrameOfReferenceUID") or "") for header in self.headers}
        return (found.pop() or None) if len(found) == 1 else None


def dicom_origin(path: Path, source: Source) -> Origin:
    """The files of a source that a DICOM result can refer to.

    Raises:
        VolumeError: it was not read from DICOM, or not each of its slices is a file or frame.
    """
    origin = source.origin
    if origin is None or origin.format != "dicom":
        raise VolumeError(
            f"cannot write {path}: this result refers to DICOM images, and the source is none; "
            f"{other_formats(source)}"
        )
    count = 1 if isinstance(source, Image) else grid(source)[0]
    if len(origin.parts) != count:
        raise VolumeError(
            f"cannot write {path}: the source has {count} slices or frames from "
            f"{len(origin.parts)} images; read the DICOM files again"
        )
    return origin


def read_source(path: Path, source: Source) -> SourceImages:
    """The headers of a source's images; to be called inside ``quiet("pydicom")``.

    Args:
        path: of the result, for messages.
        source: read from DICOM files.

    Raises:
        VolumeError: the source is not from DICOM. ImageError: a file has been moved, damaged or
            replaced since it was read.
    """
    origin = dicom_origin(path, source)
    number: dict[File, int] = {}
    headers: list[Dataset] = []
    for part in origin.parts:
        if part.file not in number:
            number[part.file] = len(headers)
            headers.append(_header(part.file, source, first=not headers))
        header = headers[number[part.file]]
        if part.frame >= frames_in(header):
            raise _changed(part.file)
    if len({str(header.StudyInstanceUID) for header in headers}) > 1:
        raise VolumeError(f"cannot write {path}: the source's images are of several studies")
    image = tuple(number[part.file] for part in origin.parts)
    return SourceImages(tuple(headers), image, tuple(part.frame for part in origin.parts))


def labels_by_part(path: Path, labels: Labels, source: Source) -> NDArray[Any]:
    """(P, rows, columns): the labels of each of the origin's slices or frames, as they are stored.

    Raises:
        VolumeError: the labels' shape is not the source's, or a label has no name.
    """
    array = labels.array
    if array.shape != grid(source):
        raise VolumeError(
            f"cannot write {path}: the mask is {array.shape}, what it lies on is {grid(source)}"
        )
    if array.size and int(array.max()) > len(labels.labels):
        raise VolumeError(
            f"cannot write {path}: the mask has label {int(array.max())}, and only "
            f"{len(labels.labels)} are named"
        )
    if isinstance(source, Image):
        plane = source.place.plane if source.place is not None else None
        return (array if plane is None else plane.voxels(array))[np.newaxis]
    return array


def frames_in(header: Dataset) -> int:
    """How many frames its file has."""
    return int(header.get("NumberOfFrames") or 1)


def _header(file: File, source: Source, first: bool) -> Dataset:
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    tags = None if first else [tag for tag in map(tag_for_keyword, _REFERENCE) if tag is not None]
    try:
        with file.open() as stream:
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags)
        # Elements are decoded at their first use: all that is looked at later fails here or never.
        found = int(header.Rows), int(header.Columns)
        named = all(header.get(keyword) for keyword in _NAMED)
        frames_in(header)
    except (AttributeError, TypeError, ValueError):
        raise _changed(file) from None
    except Exception:  # an OSError, or anything that a damaged file or archive brings up
        raise ImageError(
            f"{file}: cannot be read again, and the result must refer to it; put it back, "
            "or read the study again"
        ) from None
    if found != grid(source)[-2:]:
        raise _changed(file)
    if not named:
        raise ImageError(
            f"{file}: has no SOP class, or no UID of the image, its series or its study, so that "
            f"no DICOM result can refer to it; {other_formats(source)}"
        )
    if not header.get("FrameOfReferenceUID", True):
        del header.FrameOfReferenceUID  # there without a value: anonymised files have that
    if first:
        for keyword in _MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
        if header.PatientSex not in ("M", "F", "O"):  # all that the standard has; highdicom insists
            header.PatientSex = ""
    return header


def _changed(file: File) -> ImageError:
    return ImageError(f"{file}: is not the image any more that was read; read the study again")
