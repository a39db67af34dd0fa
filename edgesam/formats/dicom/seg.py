"""Writes DICOM Segmentation objects (PS3.3 A.51 and A.87.2) with highdicom; knows no reader.

Segments refer frame by frame to the source images, whose grid they share: nothing is resampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.formats.dicom.lut import functional_group
from edgesam.formats.dicom.result import (
    NAME,
    SERIES_NUMBER,
    check_labels,
    colour,
    made_by,
    other_formats,
    save,
    set_characters,
    version,
    writing,
)
from edgesam.formats.dicom.source import (
    SourceImages,
    dicom_origin,
    frames_in,
    labels_by_part,
    read_source,
)
from edgesam.image import Image
from edgesam.labels import Labels, Source
from edgesam.volume import Volume

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

_FRAME_GROUPS = "PerFrameFunctionalGroupsSequence"
_SAME_DIRECTION = 1e-3  # slices of one series differ by no more than their headers' rounding


def write_seg(
    path: Path,
    labels: Labels,
    source: Volume | Image | Cine,
    *,
    labelmap: bool = False,
    empty_frames: bool = False,
) -> None:
    """Writes labels as a DICOM SEG, one segment for each.

    Patient and study are the source's. Each segment has the label's coded category and type, a
    tracking identifier of its own, and what made it: edgesam, its version, and of
    ``labels.provenance`` the model, variant, engine, both graphs' sha256 and the grey levels.

    Args:
        path: written whole or not at all.
        labels: (slices, rows, columns) over a volume or cine, (rows, columns) over an image.
        source: read from DICOM: single-frame files, one enhanced multi-frame file, or one image,
            which then needs no frame of reference.
        labelmap: a Label Map Segmentation, one number per pixel; else BINARY, one bit per pixel
            and segment, which more viewers read.
        empty_frames: keep the frames without any object, which some viewers need to place the
            others.

    Raises:
        ImageError: highdicom is missing; the source's files are not there any more, or cannot be
            referred to by a SEG (frames without a frame of reference); the file cannot be written.
        VolumeError: the source is not from DICOM, or the labels do not fit it or the format.
    """
    dicom_origin(path, source)
    frames = labels_by_part(path, labels, source)
    check_labels(path, labels, empty=empty_frames)
    with writing(path, source, needs="highdicom"):
        images = read_source(path, source)
        _check_places(path, source, images)
        _check_measures(path, source, images)
        enhanced = _FRAME_GROUPS in images.headers[0]
        if enhanced:
            _keep_frames(images)
        else:
            _share_orientation(images.headers)
        segmentation = _segmentation(images, frames, labels, labelmap, empty_frames)
        if "FrameOfReferenceUID" not in segmentation:  # type 2C: where it lies, in words
            segmentation.PatientOrientation = images.headers[0].get("PatientOrientation", "")
        if enhanced:
            _count_frames_as_stored(segmentation, images)
        set_characters(segmentation, labels, images.headers[0])
        save(path, segmentation)


def _segmentation(
    images: SourceImages,
    frames: NDArray[Any],
    labels: Labels,
    labelmap: bool,
    empty_frames: bool,
) -> Dataset:
    from highdicom.seg import Segmentation
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    model = f" by {labels.provenance.model}" if labels.provenance else ""
    return Segmentation(
        source_images=images.headers,
        pixel_array=frames,
        segmentation_type="LABELMAP" if labelmap else "BINARY",
        segment_descriptions=_descriptions(labels),
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=f"Segmentation{model}"[:64],
        omit_empty_frames=not empty_frames,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=f"edgesam segmentation{model}"[:64],
        specific_character_set=None,  # highdicom does not take all that there are
    )


def _descriptions(labels: Labels) -> list[SegmentDescription]:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    algorithm = AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=version(),
        parameters=made_by(labels.provenance) or None,
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=label.name,
            segmented_property_category=CodedConcept(
                label.category.value, label.category.scheme, label.category.meaning
            ),
            segmented_property_type=CodedConcept(
                label.type.value, label.type.scheme, label.type.meaning
            ),
            algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=generate_uid(),
            tracking_id=label.name,
            display_color=CIELabColor.from_rgb(*colour(number)),
        )
        for number, label in enumerate(labels.labels, start=1)
    ]


def _check_places(path: Path, source: Source, images: SourceImages) -> None:
    """Refuse several frames that no SEG can place."""
    several = len(images.headers) > 1
    if several and (images.multiframe or _FRAME_GROUPS in images.headers[0]):
        raise ImageError(
            f"cannot write {path}: the source is of several multi-frame files, which no DICOM SEG "
            f"of ours refers to; {other_formats(source)}"
        )
    placed = images.frame_of_reference is not None
    if images.multiframe:
        groups = images.headers[0].get(_FRAME_GROUPS) or ()
        placed = placed and len(groups) == frames_in(images.headers[0])
        placed = placed and all("PlanePositionSequence" in group for group in groups)
    # Those that have a position without a frame of reference are broken CT or MR images.
    one = not several and "ImagePositionPatient" not in images.headers[0]
    if not placed and (images.multiframe or not one):
        raise ImageError(
            f"cannot write {path}: the source's images have no frame of reference, or no position "
            "in it, which a DICOM SEG needs of them; write a DICOM SR (--as sr) instead"
        )


def _check_measures(path: Path, source: Source, images: SourceImages) -> None:
    """Refuse images in a frame of reference that do not say how large their voxels are."""
    header = images.headers[0]
    measures = functional_group(header, images.frame[0], "PixelMeasuresSequence")
    missing = [] if measures.get("PixelSpacing") else ["PixelSpacing"]
    if _FRAME_GROUPS not in header and "SliceThickness" not in header:  # empty is fine: type 2
        missing.append("SliceThickness")
    if images.frame_of_reference is not None and missing:
        raise ImageError(
            f"cannot write {path}: the source's images have no {' and no '.join(missing)}, which "
            f"a DICOM SEG needs of them; {other_formats(source)}"
        )


def _keep_frames(images: SourceImages) -> None:
    """Brings the header of a multi-frame file into the form that highdicom expects.

    It has the volume's frames only, in the volume's order: others may lie in the same places. What
    all of them have alike stands among the shared groups.
    """
    header = images.headers[0]
    groups = [header.PerFrameFunctionalGroupsSequence[frame] for frame in images.frame]
    header.PerFrameFunctionalGroupsSequence = groups
    header.NumberOfFrames = len(groups)
    shared = header.SharedFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword not in shared and all(g.get(keyword) == groups[0].get(keyword) for g in groups):
            setattr(shared, keyword, groups[0][keyword].value)


def _count_frames_as_stored(segmentation: Dataset, images: SourceImages) -> None:
    """Turns references to the frames that were kept into references to the file's."""
    counted = set()  # frames of several segments share an item
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence", ()):
            for source in derivation.SourceImageSequence:
                if id(source) not in counted:
                    counted.add(id(source))
                    kept = int(source.ReferencedFrameNumber) - 1
                    source.ReferencedFrameNumber = images.frame[kept] + 1


def _share_orientation(headers: tuple[Dataset, ...]) -> None:
    """Gives slices whose orientations differ by rounding that of the first, as highdicom wants."""
    first = headers[0].get("ImageOrientationPatient")
    for header in headers[1:] if first else ():
        if np.allclose(header.ImageOrientationPatient, first, atol=_SAME_DIRECTION, rtol=0):
            header.ImageOrientationPatient = first
