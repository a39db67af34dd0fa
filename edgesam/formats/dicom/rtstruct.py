"""Writes RT Structure Sets (PS3.3 A.19) with pydicom alone; knows no reader.

Outlines run along the pixels' edges, drawn in by a hundredth of a pixel. Readers fill a polygon in
two ways: with the pixels whose centres are inside, for which that makes no difference; or, as
OpenCV's fillPoly does (rt-utils, and what is built on it), from rounded corners with the outline's
own pixels included. A corner between pixels would there be rounded away from the mask as often as
into it; drawn in, it rounds to the mask's own pixel, and both ways give the mask back exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesam.affine import to_patient
from edgesam.errors import VolumeError
from edgesam.formats.dicom.grid import IN_PATIENT
from edgesam.formats.dicom.result import (
    NAME,
    SERIES_NUMBER,
    check_labels,
    colour,
    made_by,
    save,
    set_characters,
    version,
    writing,
)
from edgesam.formats.dicom.source import (
    SourceImages,
    dicom_origin,
    labels_by_part,
    read_source,
)
from edgesam.labels import Labels
from edgesam.volume import Volume
from edgesam_kernels.contours import contours, keyhole

if TYPE_CHECKING:
    from pydicom import Dataset

_INSET = 0.01  # pixels
_LONGEST = 1024  # characters of DICOM's ST (PS3.5 6.2)
_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # retired, and what the reference is still to hold
# Of the Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).
_INHERITED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)


def write_rtstruct(path: Path, labels: Labels, source: Volume) -> None:
    """Writes labels as closed planar contours in patient millimetres, one ROI for each.

    Every part of a label in a slice is a contour of its own; a hole is joined to the outline by a
    bridge without width ("keyhole"). Pixels that touch only at a corner are of two parts.

    Args:
        path: written whole or not at all.
        labels: (slices, rows, columns).
        source: read from DICOM, with a spacing in the patient; its images must share a frame of
            reference.

    Raises:
        ImageError: the source's files are not there any more; the file cannot be written.
        VolumeError: the source is not from DICOM, or has no PixelSpacing or no frame of reference;
            or the labels do not fit it or the format.
    """
    if not isinstance(source, Volume):
        raise VolumeError(f"cannot write {path}: RTSTRUCT is for volumes; write a DICOM SEG or SR")
    dicom_origin(path, source)
    _check_spacing(path, source)
    array = labels_by_part(path, labels, source)
    check_labels(path, labels)
    with writing(path, source):
        images = read_source(path, source)
        frame_of_reference = images.frame_of_reference
        if frame_of_reference is None:
            raise VolumeError(
                f"cannot write {path}: the source's images share no frame of reference, which "
                "RTSTRUCT needs; write NIfTI or NRRD (.nii.gz, .nrrd) instead"
            )
        dataset = _structure_set(images, labels, frame_of_reference)
        for number in range(1, len(labels.labels) + 1):
            _add_roi(dataset, number, labels, frame_of_reference)
            dataset.ROIContourSequence.append(
                _roi_contour(number, array == number, images, source.affine)
            )
        save(path, dataset)


def _check_spacing(path: Path, source: Volume) -> None:
    """Refuse what has no patient millimetres: contours have no other unit (PS3.3 C.8.8.6)."""
    if source.spacing_source != IN_PATIENT:
        found = "unknown spacing"
        if source.spacing_source is not None:
            found = f"spacing at the detector ({source.spacing_source})"
        raise VolumeError(
            f"cannot write {path}: RT structures need patient millimetres, and this series has "
            f"{found}; write .nrrd or .geojson instead"
        )


def _structure_set(images: SourceImages, labels: Labels, frame_of_reference: str) -> Dataset:
    """Everything but the ROIs."""
    from datetime import datetime

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    meta = FileMetaDataset()
    # Implicit, because a long contour is more than an explicit decimal string may hold (64 KiB).
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = Dataset()
    dataset.file_meta = meta
    header = images.headers[0]
    for keyword in _INHERITED:
        if keyword in header:
            setattr(dataset, keyword, header[keyword].value)
    set_characters(dataset, labels, header)
    now = datetime.now()
    dataset.InstanceCreationDate = dataset.StructureSetDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.StructureSetTime = now.strftime("%H%M%S")
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = "edgesam structure set"
    dataset.OperatorsName = ""
    dataset.Manufacturer = dataset.ManufacturerModelName = NAME
    dataset.SoftwareVersions = version()
    dataset.InstanceNumber = 1
    dataset.FrameOfReferenceUID = frame_of_reference
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    dataset.StructureSetLabel = "SEGMENTATION"
    dataset.StructureSetName = "edgesam segmentation"
    dataset.StructureSetDescription = _made_by(labels)
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_referenced(images, frame_of_reference)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    return dataset


def _referenced(images: SourceImages, frame_of_reference: str) -> Dataset:
    """The frame of reference, with every source image in it."""
    from pydicom import Dataset

    item, study, series = Dataset(), Dataset(), Dataset()
    first = images.headers[0]
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [_image(images, part) for part in range(len(images.image))]
    study.ReferencedSOPClassUID = _STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item.FrameOfReferenceUID = frame_of_reference
    item.RTReferencedStudySequence = [study]
    return item


def _image(images: SourceImages, part: int) -> Dataset:
    from pydicom import Dataset

    header = images.headers[images.image[part]]
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if images.multiframe:
        item.ReferencedFrameNumber = images.frame[part] + 1
    return item


def _add_roi(dataset: Dataset, number: int, labels: Labels, frame_of_reference: str) -> None:
    """What a label is, without its contours."""
    from pydicom import Dataset

    label = labels.labels[number - 1]
    roi, observation, code = Dataset(), Dataset(), Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = frame_of_reference
    roi.ROIName = label.name
    roi.ROIDescription = f"{label.type.meaning}. {_made_by(labels)}"[:_LONGEST]
    roi.ROIGenerationAlgorithm = "SEMIAUTOMATIC"
    dataset.StructureSetROISequence.append(roi)
    code.CodeValue = label.type.value
    code.CodingSchemeDesignator = label.type.scheme
    code.CodeMeaning = label.type.meaning
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIIdentificationCodeSequence = [code]
    observation.RTROIInterpretedType = ""
    observation.ROIInterpreter = ""
    dataset.RTROIObservationsSequence.append(observation)


def _roi_contour(
    number: int, mask: NDArray[np.bool_], images: SourceImages, affine: NDArray[np.float64]
) -> Dataset:
    """The contours of one label: (slices, rows, columns) bool."""
    from pydicom import Dataset

    found: list[Dataset] = []
    for part in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        for contour in contours(mask[part], inset=_INSET):
            ring = keyhole(contour)
            index = np.column_stack([np.full(len(ring), part), ring[:, 1], ring[:, 0]])
            item = Dataset()
            item.ContourNumber = len(found) + 1
            item.ContourImageSequence = [_image(images, part)]
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(ring)
            item.ContourData = _decimals(to_patient(affine, index))
            found.append(item)
    roi = Dataset()
    roi.ReferencedROINumber = number
    roi.ROIDisplayColor = list(colour(number))
    if found:
        roi.ContourSequence = found
    return roi


def _decimals(points: NDArray[Any]) -> list[str]:
    """Coordinates as decimal strings of at most 16 bytes, to 0.01 micrometres."""
    return [f"{value:.5f}" for value in points.ravel().tolist()]


def _made_by(labels: Labels) -> str:
    said = [f"{key} {value}" for key, value in made_by(labels.provenance).items()]
    return "; ".join([f"{NAME} {version()}", *said])[:_LONGEST]
