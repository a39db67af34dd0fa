"""What a study's order and geometry need of each slice, in a small record; decodes no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgesam.formats.dicom.element import text, whole
from edgesam.formats.dicom.grid import Grid, grid_of
from edgesam.formats.dicom.header import damaged, frame_count, transfer_syntax
from edgesam.formats.dicom.image import GREY, is_mosaic, modality_of
from edgesam.formats.dicom.lut import functional_group, value_type
from edgesam.origin import File, Part

if TYPE_CHECKING:
    from pydicom import Dataset

_ELEMENTS = (
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "TemporalPositionIdentifier",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


@dataclass(frozen=True)
class Slice:
    """One slice, or a whole file of frames that have no place of their own.

    Attributes:
        part: the file, and which of its frames.
        frames: how many pictures there are from that frame on.
        uid: the object's SOPInstanceUID, empty if it has none.
        series: SeriesInstanceUID, empty if it has none.
        series_number: to order series by, None if unknown.
        times: TemporalPositionIdentifier (in functional groups TemporalPositionIndex) and
            AcquisitionNumber, None where unknown.
        instance: InstanceNumber, or the frame's number in a file of several; None if unknown.
        modality: DICOM's code.
        size: rows and columns.
        grid: where it lies.
        dtype: numpy's name of the values' type in the modality's units.
        grey: it has one value for each pixel, and no palette.
        inverted: small values are bright.
        syntax: the transfer syntax' UID.
        mosaic: Siemens' tiles of all slices in one picture.
    """

    part: Part
    frames: int
    uid: str
    series: str
    series_number: int | None
    times: tuple[int | None, int | None]
    instance: int | None
    modality: str | None
    size: tuple[int, int]
    grid: Grid
    dtype: str
    grey: bool
    inverted: bool
    syntax: str
    mosaic: bool


def wanted_tags() -> list[int]:
    """The elements that :func:`slices_of` reads."""
    from pydicom.datadict import tag_for_keyword

    return [tag for name in _ELEMENTS if (tag := tag_for_keyword(name)) is not None]


def slices_of(file: File, header: Dataset) -> list[Slice]:
    """The slices of a file that is an image: one for each frame with a place in the patient.

    A file of several frames without places is one `Slice` of that many frames. To be called inside
    ``quiet("pydicom")``.

    Raises:
        ImageError: the header cannot be read, or has text where numbers belong.
    """
    count = frame_count(file, header)
    try:
        placed = count == 1 or any(
            functional_group(header, frame, "PlanePositionSequence") is not header
            for frame in (0, count - 1)
        )
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its functional groups cannot be read") from None
    if not placed:
        return [_slice(file, header, 0, count, count)]
    return [_slice(file, header, frame, count, 1) for frame in range(count)]


def _slice(file: File, header: Dataset, frame: int, count: int, frames: int) -> Slice:
    """The record of ``frames`` frames from ``frame`` on, of a file of ``count``."""
    grid = grid_of(header, frame, count, file)
    syntax, _ = transfer_syntax(file, header)
    try:
        interpretation = text(header, "PhotometricInterpretation")
        grey = interpretation in GREY
        content = functional_group(header, frame, "FrameContentSequence")
        return Slice(
            part=Part(file, frame),
            frames=frames,
            uid=text(header, "SOPInstanceUID"),
            series=text(header, "SeriesInstanceUID"),
            series_number=_whole(header, "SeriesNumber"),
            times=(
                _whole(content, "TemporalPositionIndex")
                or _whole(header, "TemporalPositionIdentifier"),
                _whole(content, "FrameAcquisitionNumber") or _whole(header, "AcquisitionNumber"),
            ),
            instance=frame if count > 1 and frames == 1 else _whole(header, "InstanceNumber"),
            modality=modality_of(header),
            size=(whole(header, "Rows") or 0, whole(header, "Columns") or 0),
            grid=grid,
            dtype=value_type(header, frame).name if grey else "uint8",
            grey=grey,
            inverted=interpretation == "MONOCHROME1",
            syntax=str(syntax),
            mosaic=is_mosaic(header),
        )
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its description of the pixels cannot be read") from None


def _whole(group: Dataset, name: str) -> int | None:
    """A whole number that only orders things: what is none counts as absent."""
    try:
        return whole(group, name)
    except Exception:  # not chained: pydicom's messages quote values
        return None
