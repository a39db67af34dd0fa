"""RT Structure Sets: outlines that other readers fill to the same mask, references, refusals."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.uid
import pytest
from numpy.typing import NDArray

from edgesam.affine import to_index
from edgesam.cine import Cine
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.dicom.rtstruct import write_rtstruct
from edgesam.formats.dicom.study import read_study
from edgesam.labels import Code, Label, Labels
from edgesam.origin import Origin
from edgesam.provenance import Provenance
from edgesam.volume import Volume

Stack = Callable[..., Volume]
Make = Callable[[NDArray[Any]], Labels]
Draw = Callable[..., NDArray[np.uint8]]

ORIENTATIONS = {
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 2.5)),
    "feet first": ((1, 0, 0, 0, 1, 0), (0, 0, -2.5)),
    "flipped": ((-1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (1.5, 0, 0)),
    "oblique": ((0.8, 0.6, 0, 0, 0, -1), (-1.8, 2.4, 0)),
    "tilted": ((1, 0, 0, 0, 0.96, -0.28), (0, 0, 3.0)),
}


def filled(path: Path, number: int, volume: Volume) -> NDArray[np.bool_]:
    """The voxels whose centres lie inside an ROI's contours by the even-odd rule."""
    (roi,) = (
        item
        for item in pydicom.dcmread(path).ROIContourSequence
        if item.ReferencedROINumber == number
    )
    mask = np.zeros(volume.shape, np.bool_)
    ys, xs = np.mgrid[: volume.shape[1], : volume.shape[2]].astype(float)
    for contour in roi.get("ContourSequence", ()):
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        index = to_index(volume.affine, points)
        assert np.ptp(index[:, 0]) < 1e-4, "in one plane"
        part = int(np.rint(index[0, 0]))
        assert abs(index[0, 0] - part) < 1e-4
        for (y0, x0), (y1, x1) in zip(index[:, 1:], np.roll(index[:, 1:], -1, axis=0), strict=True):
            if y0 != y1:
                crosses = (min(y0, y1) < ys) & (ys <= max(y0, y1))
                mask[part] ^= crosses & (x0 + (ys - y0) * (x1 - x0) / (y1 - y0) < xs)
    return mask


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def centroid_error(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """In voxels, the longest of the three axes."""
    return float(np.abs(np.argwhere(one).mean(axis=0) - np.argwhere(other).mean(axis=0)).max())


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_every_voxel_comes_back(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, name: str
) -> None:
    across, step = ORIENTATIONS[name]
    volume = make_stack((6, 24, 20), across=across, step=step)
    array = blobs(volume.shape)
    path = tmp_path / "rt.dcm"
    write_rtstruct(path, as_labels(array), volume)
    for number in (1, 2):
        found = filled(path, number, volume)
        assert iou(found, array == number) == 1
        assert centroid_error(found, array == number) == 0


def by_rt_utils(folder: Path, path: Path, name: str) -> NDArray[np.bool_]:
    """(slices, rows, columns), by rt-utils and OpenCV; only for square slices and pixels."""
    rt_utils = pytest.importorskip("rt_utils")
    read = rt_utils.RTStructBuilder.create_from(
        dicom_series_path=str(folder), rt_struct_path=str(path)
    )
    mask: NDArray[np.bool_] = np.moveaxis(read.get_roi_mask_by_name(name), 2, 0).astype(bool)
    return mask


def test_rt_utils_reads_every_voxel(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack((6, 32, 32), (0.7, 0.7))
    array = blobs(volume.shape)
    array[2] = 1
    array[2, 4:20, 5:21] = 0
    array[2, 8:12, 8:12] = 1
    write_rtstruct(tmp_path / "rt.dcm", as_labels(array), volume)
    assert volume.origin is not None
    folder = volume.origin.parts[0].file.path.parent
    for number in (1, 2):
        found = by_rt_utils(folder, tmp_path / "rt.dcm", f"liver {number}")
        assert iou(found, array == number) >= 0.99
        assert centroid_error(found, array == number) < 0.1


def test_a_ring_is_one_contour_and_two_parts_are_two(
    tmp_path: Path, make_stack: Stack, as_labels: Make
) -> None:
    volume = make_stack()
    array = np.zeros(volume.shape, np.uint8)
    array[1, 2:7, 2:7] = 1
    array[1, 4, 4] = 0
    array[2, 2:4, 2:4] = array[2, 7:9, 2:4] = 1
    write_rtstruct(tmp_path / "rt.dcm", as_labels(array), volume)
    (roi,) = pydicom.dcmread(tmp_path / "rt.dcm").ROIContourSequence
    assert [contour.NumberOfContourPoints for contour in roi.ContourSequence] == [12, 4, 4]
    assert len(set(roi.ROIDisplayColor)) > 1


def test_what_it_says_of_itself_and_its_source(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    assert volume.origin is not None
    write_rtstruct(tmp_path / "rt.dcm", as_labels(blobs(volume.shape)), volume)
    made = pydicom.dcmread(tmp_path / "rt.dcm")
    sources = [pydicom.dcmread(part.file.path) for part in volume.origin.parts]
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert made[keyword].value == sources[0][keyword].value
    assert (made.Modality, made.Manufacturer) == ("RTSTRUCT", "edgesam")
    (frame,) = made.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    (study,) = frame.RTReferencedStudySequence
    assert study.ReferencedSOPInstanceUID == sources[0].StudyInstanceUID
    (series,) = study.RTReferencedSeriesSequence
    named = [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence]
    assert named == [source.SOPInstanceUID for source in sources]
    assert [roi.ROIName for roi in made.StructureSetROISequence] == ["liver 1", "liver 2"]
    for number, roi in enumerate(made.StructureSetROISequence, start=1):
        assert (roi.ROINumber, roi.ROIGenerationAlgorithm) == (number, "SEMIAUTOMATIC")
        assert "lite-medsam" in roi.ROIDescription
        assert "a" * 64 in made.StructureSetDescription
        observation = made.RTROIObservationsSequence[number - 1]
        assert observation.ReferencedROINumber == number
        assert observation.RTROIIdentificationCodeSequence[0].CodeMeaning == "Liver"
    for contour in made.ROIContourSequence[0].ContourSequence:
        (image,) = contour.ContourImageSequence
        part = named.index(image.ReferencedSOPInstanceUID)
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert np.allclose(points[:, 2], sources[part].ImagePositionPatient[2])
        assert all(len(str(value)) <= 16 for value in contour.ContourData)


def test_a_label_without_a_voxel_has_no_contours(tmp_path: Path, make_stack: Stack) -> None:
    volume = make_stack()
    array = np.zeros(volume.shape, np.uint8)
    array[1, 2, 3] = 2
    write_rtstruct(tmp_path / "rt.dcm", Labels(array, (Label("one"), Label("two"))), volume)
    first, second = pydicom.dcmread(tmp_path / "rt.dcm").ROIContourSequence
    assert "ContourSequence" not in first
    assert len(second.ContourSequence) == 1


def test_a_description_is_cut_to_what_dicom_holds(tmp_path: Path, make_stack: Stack) -> None:
    volume = make_stack()
    array = np.ones(volume.shape, np.uint8)
    made = Provenance("m" * 700, "fp32", "fake", "a" * 64, "b" * 64, "w" * 700)
    label = Label("liver", type=Code("1", "99TEST", "a long meaning"))
    write_rtstruct(tmp_path / "rt.dcm", Labels(array, (label,), made), volume)
    written = pydicom.dcmread(tmp_path / "rt.dcm")
    (roi,) = written.StructureSetROISequence
    assert (len(roi.ROIDescription), len(written.StructureSetDescription)) == (1024, 1024)
    assert roi.ROIDescription.startswith("a long meaning. edgesam ")


def test_a_contour_longer_than_64_kib(tmp_path: Path, make_stack: Stack, as_labels: Make) -> None:
    volume = make_stack((2, 64, 64))
    array = np.zeros(volume.shape, np.uint8)
    array[0, :, ::2] = array[0, ::2] = 1
    array[0, :, 0] = 1
    path = tmp_path / "rt.dcm"
    write_rtstruct(path, as_labels(array), volume)
    (roi,) = pydicom.dcmread(path).ROIContourSequence
    assert roi.ContourSequence[0].NumberOfContourPoints > 4000
    assert np.array_equal(filled(path, 1, volume), array == 1)


def test_a_patient_in_other_letters(tmp_path: Path, make_stack: Stack) -> None:
    volume = make_stack(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    array = np.ones(volume.shape, np.uint8)
    for name in ("liver", "肝臓"):
        write_rtstruct(tmp_path / "rt.dcm", Labels(array, (Label(name),)), volume)
        made = pydicom.dcmread(tmp_path / "rt.dcm")
        assert str(made.PatientName) == "Müller^Jörg"
        assert made.StructureSetROISequence[0].ROIName == name


# ------------------------------------------------------------------ refusals


def refused(path: Path, labels: Labels, source: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        write_rtstruct(path, labels, source)
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert not path.exists()


def test_sources_it_cannot_refer_to(
    tmp_path: Path, make_stack: Stack, make_cine: Callable[..., Cine], as_labels: Make, blobs: Draw
) -> None:
    path = tmp_path / "rt.dcm"
    volume = make_stack(FrameOfReferenceUID=None)
    labels = as_labels(blobs(volume.shape))
    refused(path, labels, volume, VolumeError, "no frame of reference")
    refused(path, labels, replace(volume, origin=None), VolumeError, r"\.nii\.gz, \.nrrd")
    assert volume.origin is not None
    fewer = Origin("dicom", volume.origin.parts[1:])
    refused(path, labels, replace(volume, origin=fewer), VolumeError, "from 3 images")
    refused(path, as_labels(blobs((5, 12, 16))), make_cine(), VolumeError, "for volumes")


def test_contours_need_millimetres_in_the_patient(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    path = tmp_path / "rt.dcm"
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    for source, says in (
        (None, "unknown spacing"),
        ("ImagerPixelSpacing", "spacing at the detector"),
    ):
        other = replace(volume, spacing_source=source)
        wanted = rf"patient millimetres.* has {says}.*\.nrrd or \.geojson"
        refused(path, labels, other, VolumeError, wanted)


@pytest.mark.parametrize("spacing", [None, "ImagerPixelSpacing"])
def test_a_series_as_read_without_pixel_spacing(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, spacing: str | None
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    assert volume.origin is not None
    for part in volume.origin.parts:
        header = pydicom.dcmread(part.file.path)
        if spacing:
            setattr(header, spacing, header.PixelSpacing)
        del header.PixelSpacing
        header.save_as(part.file.path)
    read = read_study(volume.origin.parts[0].file.path.parent)
    assert isinstance(read, Volume)
    refused(tmp_path / "rt.dcm", labels, read, VolumeError, "patient millimetres")


def test_what_is_not_dicom_is_said_before_its_spacing(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    nifti = replace(make_stack(), origin=None, spacing_source="affine")
    labels = as_labels(blobs(nifti.shape))
    refused(tmp_path / "rt.dcm", labels, nifti, VolumeError, "the source is none")


def test_masks_and_files_it_cannot_use(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    path = tmp_path / "rt.dcm"
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    refused(path, replace(labels, array=labels.array[1:]), volume, VolumeError, "what it lies on")
    refused(path, replace(labels, array=labels.array * np.uint8(0)), volume, VolumeError, "empty")
    named = replace(labels, labels=(labels.labels[0], Label("x" * 65)))
    refused(path, named, volume, VolumeError, "label 2 has 65 characters")
    refused(tmp_path / "no" / "rt.dcm", labels, volume, ImageError, "there is no folder")
    assert volume.origin is not None
    volume.origin.parts[1].file.path.unlink()
    refused(path, labels, volume, ImageError, r"001\.dcm: cannot be read again")


# ------------------------------------------------------------------ real studies, other tools


@pytest.mark.shared
def test_a_real_ct(
    tmp_path: Path, ct: Volume, ct_labels: NDArray[np.uint8], as_labels: Make
) -> None:
    path = tmp_path / "rt.dcm"
    labels = as_labels(ct_labels)
    write_rtstruct(path, labels, ct)
    for number in (1, 5, 9):
        found = filled(path, number, ct)
        assert iou(found, ct_labels == number) == 1
        assert centroid_error(found, ct_labels == number) == 0


@pytest.mark.shared
def test_rt_utils_reads_a_real_ct(
    tmp_path: Path, ct: Volume, ct_labels: NDArray[np.uint8], as_labels: Make
) -> None:
    write_rtstruct(tmp_path / "rt.dcm", as_labels(ct_labels), ct)
    assert ct.origin is not None
    folder = ct.origin.parts[0].file.path.parent
    for number in (1, 5, 9):
        found = by_rt_utils(folder, tmp_path / "rt.dcm", f"liver {number}")
        assert iou(found, ct_labels == number) >= 0.99
        assert centroid_error(found, ct_labels == number) < 0.1


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_dicom3tools_find_no_error(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    write_rtstruct(tmp_path / "rt.dcm", as_labels(blobs(volume.shape)), volume)
    said = subprocess.run(
        ["dciodvfy", "-new", str(tmp_path / "rt.dcm")], capture_output=True, text=True, check=False
    )
    assert "RTStructureSet" in said.stderr + said.stdout
    assert [line for line in said.stderr.splitlines() if "Error" in line] == []
