"""Writes DICOM Comprehensive SR after TID 1500 (PS3.16) with highdicom: outlines frame by frame.

For cines, whose frames have no place in the patient that a SEG could refer to, and for pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.formats.dicom.grid import AT_DETECTOR
from edgesam.formats.dicom.result import (
    NAME,
    SERIES_NUMBER,
    check_labels,
    made_by,
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
from edgesam.labels import Code, Labels
from edgesam.place import Place
from edgesam.volume import Volume
from edgesam_kernels.contours import Contour, contours, keyhole

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        ImageRegion,
        Measurement,
        MeasurementReport,
        PlanarROIMeasurementsAndQualitativeEvaluations,
    )


def write_sr(path: Path, labels: Labels, source: Cine | Image | Volume) -> None:
    """Writes the outline of every part of every label, with its area, as planar ROI measurements.

    Each is a closed POLYLINE in the frame's own pixels (0, 0 being the upper left corner of the
    upper left pixel, PS3.3 C.18.6.1.2). A hole is joined to its outline by a bridge without width
    ("keyhole"); parts of a label, and its frames, share one tracking identifier. The area counts
    the part's pixels: in mm2 where they all lie where the source knows its pixels' size in the
    patient (one region of an ultrasound picture), else in pixels: so too where the size is at the
    detector, which a number in mm2 could not say.

    Args:
        path: written whole or not at all.
        labels: (frames, rows, columns), or (rows, columns) over an image.
        source: read from DICOM.

    Raises:
        ImageError: highdicom is missing; the source's files are not there any more; the file cannot
            be written.
        VolumeError: the source is not from DICOM, or the labels do not fit it or the format.
    """
    dicom_origin(path, source)
    array = labels_by_part(path, labels, source)
    check_labels(path, labels)
    with writing(path, source, needs="highdicom"):
        from highdicom.sr import ComprehensiveSR
        from pydicom.uid import generate_uid

        images = read_source(path, source)
        used = {images.image[part] for part in np.flatnonzero(array.any(axis=(1, 2))).tolist()}
        report = ComprehensiveSR(
            # The first carries patient and study.
            evidence=[header for n, header in enumerate(images.headers) if n == 0 or n in used],
            content=_report(array, labels, source, images)[0],
            series_instance_uid=generate_uid(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=NAME,
            manufacturer_model_name=NAME,
            software_versions=version(),
            series_description="edgesam measurements",
        )
        set_characters(report, labels, images.headers[0])
        save(path, report)


def _report(
    array: NDArray[Any], labels: Labels, source: Cine | Image | Volume, images: SourceImages
) -> MeasurementReport:
    from highdicom.sr import (
        AlgorithmIdentification,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    said = "; ".join(f"{key} {value}" for key, value in made_by(labels.provenance).items())
    algorithm = AlgorithmIdentification(
        name=NAME,
        version=version(),
        parameters=[said] if said else None,  # one item: every group holds a copy
        family=codes.DCM.ArtificialIntelligence,
    )
    tracking = [generate_uid() for _ in labels.labels]
    groups = []
    for part in np.flatnonzero(array.any(axis=(1, 2))).tolist():
        place = _place(source, part)
        for number in np.unique(array[part]).tolist():
            for contour in contours(array[part] == number) if number else ():
                label = labels.labels[number - 1]
                groups.append(
                    _group(
                        TrackingIdentifier(uid=tracking[number - 1], identifier=label.name),
                        _region(keyhole(contour), images, part),
                        _area(contour, place),
                        (_concept(label.category), _concept(label.type)),
                        algorithm,
                    )
                )
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=generate_uid(), name=NAME, manufacturer_name=NAME, model_name=NAME
        ),
    )
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(
    tracking: Any,
    region: ImageRegion,
    area: Measurement,
    finding: tuple[CodedConcept, CodedConcept],
    algorithm: AlgorithmIdentification,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations

    category, kind = finding
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_region=region,
        finding_category=category,
        finding_type=kind,
        algorithm_id=algorithm,
        measurements=[area],
    )


def _region(ring: NDArray[np.float64], images: SourceImages, part: int) -> ImageRegion:
    """The outline in image coordinates, closed, on its image and frame."""
    from highdicom.sr import GraphicTypeValues, ImageRegion, SourceImageForRegion

    header = images.headers[images.image[part]]
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.vstack([ring, ring[:1]]) + 0.5,
        source_image=SourceImageForRegion(
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=header.SOPInstanceUID,
            referenced_frame_numbers=[images.frame[part] + 1] if frames_in(header) > 1 else None,
        ),
    )


def _area(contour: Contour, place: Place | None) -> Measurement:
    from highdicom.sr import CodedConcept, Measurement
    from pydicom.sr.codedict import codes

    pixels = round(sum(_enclosed(ring) for ring in (contour.outer, *contour.holes)))
    low, high = np.ceil(contour.outer.min(axis=0)), np.floor(contour.outer.max(axis=0))
    box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
    region = place.region(box) if place is not None else None
    if region is None or region.source in AT_DETECTOR:
        return Measurement(codes.SCT.Area, pixels, CodedConcept("{pixels}", "UCUM", "pixels"))
    value = pixels * region.row * region.column
    return Measurement(codes.SCT.Area, value, codes.UCUM.SquareMillimeter)


def _enclosed(ring: NDArray[np.float64]) -> float:
    """The area, of a hole negative."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _place(source: Cine | Image | Volume, part: int) -> Place | None:
    """Where the slice or frame has pixels of known size."""
    if isinstance(source, Image):
        return source.place
    if isinstance(source, Cine):
        return source.frame(part).place
    return source.slice(part).place


def _concept(code: Code) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
