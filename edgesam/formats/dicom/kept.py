"""Which elements of a file's header stay in memory while its frames are decoded one by one.

An allow-list of what decoding reads: whose pictures they are, and what people wrote, is not on it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from edgesam.formats.dicom.header import Header, damaged
from edgesam.origin import File

if TYPE_CHECKING:
    from pydicom import Dataset

_COLOURS = ("Red", "Green", "Blue")
# At the top of the header or in an item of a sequence, itself named here.
_ELEMENTS = (
    "TransferSyntaxUID",
    "Modality",
    "PixelPresentation",
    # PS3.3 C.7.6.3 and C.7.6.6
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    # C.11.1, C.11.2 and C.7.6.3.1.5
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "LUTDescriptor",
    "LUTData",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    # C.7.6.2, 10.7 and C.8.5.5
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SequenceOfUltrasoundRegions",
    "PhysicalUnitsXDirection",
    "PhysicalUnitsYDirection",
    "PhysicalDeltaX",
    "PhysicalDeltaY",
    "RegionLocationMinX0",
    "RegionLocationMinY0",
    "RegionLocationMaxX1",
    "RegionLocationMaxY1",
    # C.7.6.16
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)


def keep_decoding(file: File, header: Header) -> None:
    """Takes out of a header, in place, all that decoding frames does not read.

    To be called inside ``quiet("pydicom")``.

    Raises:
        ImageError: a sequence in it cannot be read.
    """
    dataset = header.dataset
    try:
        _prune(dataset)
        _prune(dataset.file_meta)
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its header cannot be read") from None
    dataset.preamble = None
    dataset.buffer = None  # pydicom's hold on the whole file, where that was a member of an archive


def _prune(group: Dataset) -> None:
    wanted = _tags()
    for tag in list(group.keys()):
        if tag not in wanted:
            del group[tag]
        elif wanted[tag]:
            for item in group[tag].value or ():
                _prune(item)


@cache
def _tags() -> dict[int, bool]:
    """Of the elements, and whether each is a sequence."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tags = [tag for name in _ELEMENTS if (tag := tag_for_keyword(name)) is not None]
    return {tag: dictionary_VR(tag) == "SQ" for tag in tags}
