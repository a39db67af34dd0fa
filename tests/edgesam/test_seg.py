"""DICOM SEG: voxel for voxel by other readers, what it says of itself, and what is refused."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.uid
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from edgesam.affine import to_index, to_patient
from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError, VolumeError
from edgesam.formats.dicom.seg import write_seg
from edgesam.image import Image
from edgesam.labels import Label, Labels
from edgesam.origin import File, Origin, Part
from edgesam.volume import InMemory, Volume

pytest.importorskip("highdicom")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"

Stack = Callable[..., Volume]
Make = Callable[[NDArray[Any]], Labels]
Draw = Callable[..., NDArray[np.uint8]]


def by_highdicom(path: Path, volume: Volume) -> NDArray[Any]:
    """The labels, by highdicom's own reader, in the order of the volume's files."""
    import highdicom as hd

    assert volume.origin is not None
    seg = hd.seg.segread(path)
    headers = [
        pydicom.dcmread(part.file.path, stop_before_pixels=True) for part in volume.origin.parts
    ]
    if len({part.file for part in volume.origin.parts}) == 1 and "NumberOfFrames" in headers[0]:
        found = seg.get_pixels_by_source_frame(
            source_sop_instance_uid=headers[0].SOPInstanceUID,
            source_frame_numbers=[part.frame + 1 for part in volume.origin.parts],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
            ignore_spatial_locations=True,
        )
    else:
        found = seg.get_pixels_by_source_instance(
            source_sop_instance_uids=[header.SOPInstanceUID for header in headers],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
            ignore_spatial_locations=True,
        )
    return np.asarray(found)


def by_position(path: Path, volume: Volume) -> NDArray[Any]:
    """The labels, from pydicom's pixels and each frame's own position and orientation."""
    seg = pydicom.dcmread(path)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    found = np.zeros(volume.shape, np.uint8)
    shared = seg.SharedFunctionalGroupsSequence[0]
    across = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, right = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    assert np.allclose(volume.affine[:3, 1], across[3:] * down, atol=1e-5)
    assert np.allclose(volume.affine[:3, 2], across[:3] * right, atol=1e-5)
    slices = to_patient(volume.affine, [(i, 0, 0) for i in range(volume.shape[0])])
    for frame, group in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        at = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        distance = np.linalg.norm(slices - at, axis=1)
        assert distance.min() < 1e-3
        plane = found[int(distance.argmin())]
        if seg.SegmentationType == "BINARY":
            both = group if "SegmentIdentificationSequence" in group else shared
            number = both.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            assert not plane[frame > 0].any(), "a pixel in two segments"
            plane[frame > 0] = number
        else:
            plane[:] = frame
    return found


ORIENTATIONS = {
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 2.5)),
    "feet first": ((1, 0, 0, 0, 1, 0), (0, 0, -2.5)),
    "flipped": ((-1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (1.5, 0, 0)),
    "oblique": ((0.8, 0.6, 0, 0, 0, -1), (-1.8, 2.4, 0)),
    "tilted": ((1, 0, 0, 0, 0.96, -0.28), (0, 0, 3.0)),
}


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_every_voxel_comes_back(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, name: str, labelmap: bool
) -> None:
    across, step = ORIENTATIONS[name]
    volume = make_stack(across=across, step=step)
    array = blobs(volume.shape)
    path = tmp_path / "seg.dcm"
    write_seg(path, as_labels(array), volume, labelmap=labelmap)
    assert pydicom.dcmread(path).SegmentationType == ("LABELMAP" if labelmap else "BINARY")
    assert np.array_equal(by_highdicom(path, volume), array)
    assert np.array_equal(by_position(path, volume), array)


@pytest.mark.skipif(importlib.util.find_spec("gdcm") is None, reason="needs python-gdcm")
def test_gdcm_reads_the_same_bits(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    # BINARY only: GDCM 3.2 does not know the SOP class of label maps.
    gdcm: Any = importlib.import_module("gdcm")
    volume = make_stack((5, 12, 16), step=(0, 0, -2.5))  # downwards, as highdicom sorts frames
    array = blobs(volume.shape, count=1)
    write_seg(tmp_path / "seg.dcm", as_labels(array), volume)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "seg.dcm"))
    assert reader.Read()
    image = reader.GetImage()
    assert [image.GetDimension(axis) for axis in range(3)] == [16, 12, 3]
    buffer = image.GetBuffer().encode("utf-8", errors="surrogateescape")
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    assert np.array_equal(bits.reshape(3, 12, 16), array[1:-1])


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_simpleitk_places_it_the_same(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, name: str
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    across, step = ORIENTATIONS[name]
    if name == "tilted":
        pytest.skip("an ITK image has no room for shear")
    volume = make_stack(across=across, step=step)
    array = blobs(volume.shape, count=1)
    write_seg(tmp_path / "seg.dcm", as_labels(array), volume)
    read = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    found = np.zeros(volume.shape, np.uint8)
    for k, i, j in np.argwhere(sitk.GetArrayFromImage(read)).tolist():
        at = read.TransformIndexToPhysicalPoint((j, i, k))
        index = to_index(volume.affine, at)
        assert np.allclose(index, np.rint(index), atol=1e-3)
        found[tuple(np.rint(index).astype(int))] = 1
    assert np.array_equal(found, array)


def test_what_it_says_of_itself(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    assert volume.origin is not None
    write_seg(tmp_path / "a.dcm", as_labels(blobs(volume.shape)), volume)
    seg = pydicom.dcmread(tmp_path / "a.dcm")
    source = pydicom.dcmread(volume.origin.parts[0].file.path)
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[keyword].value == source[keyword].value
    assert (seg.Modality, seg.Manufacturer) == ("SEG", "edgesam")
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    assert "edgesam" in seg.SeriesDescription
    first, second = seg.SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == ("liver 1", "liver 2")
    assert first.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert first.TrackingUID != second.TrackingUID
    (algorithm,) = first.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion[0]) == ("edgesam", "0")
    for said in ("lite-medsam", "fp32", "onnxruntime:cpu", "a" * 64, "b" * 64, "window 40/400"):
        assert said in algorithm.AlgorithmParameters
    named = {
        image.ReferencedSOPInstanceUID
        for image in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert len(named) == volume.shape[0]
    assert source.SOPInstanceUID in named


def test_two_files_are_two_instances(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    for name in "ab":
        write_seg(tmp_path / name, labels, volume)
    first, second = (pydicom.dcmread(tmp_path / name) for name in "ab")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_without_provenance_only_edgesam_is_named(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = replace(as_labels(blobs(volume.shape)), provenance=None)
    write_seg(tmp_path / "a.dcm", labels, volume)
    segment = pydicom.dcmread(tmp_path / "a.dcm").SegmentSequence[0]
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "edgesam"
    assert "AlgorithmParameters" not in algorithm


@pytest.mark.parametrize("labelmap", [False, True])
def test_empty_frames_are_left_out_unless_wanted(
    tmp_path: Path, make_stack: Stack, as_labels: Make, labelmap: bool
) -> None:
    volume = make_stack()
    array = np.zeros(volume.shape, np.uint8)
    array[2, 3:5, 4:7] = 1
    for empty, count in ((False, 1), (True, 4)):
        path = tmp_path / f"{empty}.dcm"
        write_seg(path, as_labels(array), volume, labelmap=labelmap, empty_frames=empty)
        assert pydicom.dcmread(path).NumberOfFrames == count
        assert np.array_equal(by_position(path, volume), array)
        assert np.array_equal(by_highdicom(path, volume), array)


def test_an_empty_mask_is_refused_or_kept_with_its_frames(
    tmp_path: Path, make_stack: Stack
) -> None:
    volume = make_stack()
    labels = Labels(np.zeros(volume.shape, np.uint8), (Label("nothing"),))
    with pytest.raises(VolumeError, match=r"a\.dcm: the mask is empty"):
        write_seg(tmp_path / "a.dcm", labels, volume)
    assert not (tmp_path / "a.dcm").exists()
    write_seg(tmp_path / "a.dcm", labels, volume, empty_frames=True)
    assert pydicom.dcmread(tmp_path / "a.dcm").NumberOfFrames == 4


def test_one_slice_refers_to_its_own_file(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    image = volume.slice(2)
    array = blobs(volume.shape[1:])
    write_seg(tmp_path / "a.dcm", as_labels(array), image)
    expected = np.zeros(volume.shape, np.uint8)
    expected[2] = array
    assert np.array_equal(by_position(tmp_path / "a.dcm", volume), expected)


def test_a_picture_without_a_frame_of_reference(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    import highdicom as hd

    volume = make_stack(
        (1, 12, 10),
        FrameOfReferenceUID=None,
        SOPClassUID=pydicom.uid.UltrasoundImageStorage,
        Modality="US",
    )
    assert volume.origin is not None
    path = volume.origin.parts[0].file.path
    header = pydicom.dcmread(path)
    del header.ImagePositionPatient, header.ImageOrientationPatient
    header.save_as(path)
    array = blobs((12, 10))
    image = Image(np.zeros((12, 10), np.uint8), modality="US", origin=volume.origin)
    for labelmap in (False, True):
        write_seg(tmp_path / "a.dcm", as_labels(array), image, labelmap=labelmap)
        assert volume.origin is not None
        source = pydicom.dcmread(volume.origin.parts[0].file.path)
        found = hd.seg.segread(tmp_path / "a.dcm").get_pixels_by_source_instance(
            [source.SOPInstanceUID], combine_segments=True, ignore_spatial_locations=True
        )
        assert np.array_equal(found[0], array)


def with_frame_groups(header: Dataset, positions: list[Any], across: Any = None) -> None:
    """Puts functional groups in, orientation and pixel size with each frame."""
    groups = []
    for at in positions:
        position, orientation, measures, group = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(at)
        orientation.ImageOrientationPatient = across or [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [0.8, 0.6], 1
        group.PlanePositionSequence = [position]
        group.PlaneOrientationSequence = [orientation]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    header.PerFrameFunctionalGroupsSequence = groups
    header.SharedFunctionalGroupsSequence = [Dataset()]


def enhanced(path: Path, stack: Volume, order: list[int]) -> Path:
    """One multi-frame file with the stack's slices in that order."""
    assert stack.origin is not None
    headers = [pydicom.dcmread(stack.origin.parts[index].file.path) for index in order]
    made = headers[0]
    made.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.NumberOfFrames = len(order)
    made.Modality = "MR"
    with_frame_groups(made, [header.ImagePositionPatient for header in headers])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(made, keyword)
    made.PixelData = made.PixelData * len(order)
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("parts", [(1, 3, 0, 2), (3, 0)])
def test_frames_of_an_enhanced_file_in_any_order(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, parts: tuple[int, ...]
) -> None:
    stack = make_stack()
    path = enhanced(tmp_path / "enhanced.dcm", stack, [2, 0, 3, 1])
    position = dict(enumerate([2, 0, 3, 1]))
    array = blobs(stack.shape)
    array[:] = array[1]
    array[2, 4:] = 0
    array[0, :4] = 0
    places = [position[frame] for frame in parts]
    origin = Origin("dicom", tuple(Part(File(path), frame) for frame in parts))
    affine = np.array(stack.affine)
    affine[:3, 3] += affine[:3, 0] * places[0]
    affine[:3, 0] *= (places[-1] - places[0]) / (len(places) - 1)
    volume = replace(
        stack,
        voxels=InMemory(np.zeros((len(parts), 12, 10), np.uint8)),
        affine=affine,
        origin=origin,
    )
    write_seg(tmp_path / "a.dcm", as_labels(array[places]), volume)
    expected = np.zeros(stack.shape, np.uint8)
    expected[places] = array[places]
    assert np.array_equal(by_position(tmp_path / "a.dcm", stack), expected)
    assert np.array_equal(by_highdicom(tmp_path / "a.dcm", volume), array[places])


def test_one_time_of_an_enhanced_file_of_several(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    stack = make_stack()
    path = enhanced(tmp_path / "enhanced.dcm", stack, [0, 1, 2, 3, 0, 1, 2, 3])
    parts = tuple(Part(File(path), frame) for frame in range(4, 8))
    volume = replace(stack, origin=Origin("dicom", parts))
    array = blobs(stack.shape)
    write_seg(tmp_path / "a.dcm", as_labels(array), volume)
    assert np.array_equal(by_position(tmp_path / "a.dcm", stack), array)
    assert np.array_equal(by_highdicom(tmp_path / "a.dcm", volume), array)


def test_a_series_inside_a_zip(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    assert volume.origin is not None
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for part in volume.origin.parts:
            archive.write(part.file.path, part.file.path.name)
    parts = tuple(
        Part(File(tmp_path / "study.zip", part.file.path.name)) for part in volume.origin.parts
    )
    array = blobs(volume.shape)
    zipped = replace(volume, origin=Origin("dicom", parts))
    write_seg(tmp_path / "a.dcm", as_labels(array), zipped)
    assert np.array_equal(by_position(tmp_path / "a.dcm", volume), array)


def test_names_and_patients_in_other_letters(
    tmp_path: Path, make_stack: Stack, blobs: Draw
) -> None:
    for characters, patient, name in (
        ("ISO_IR 100", "Müller^Jörg", "liver"),
        ("ISO_IR 100", "Müller^Jörg", "肝臓"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "liver"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "foie à gauche"),
    ):
        volume = make_stack(SpecificCharacterSet=characters, PatientName=patient)
        array = blobs(volume.shape, count=1)
        write_seg(tmp_path / "a.dcm", Labels(array, (Label(name),)), volume)
        seg = pydicom.dcmread(tmp_path / "a.dcm")
        assert str(seg.PatientName) == patient
        assert seg.SegmentSequence[0].SegmentLabel == name


# ------------------------------------------------------------------ refusals


def refused(
    path: Path, labels: Labels, source: Any, kind: type[EdgeSamError], says: str, **options: Any
) -> None:
    """It is, in one line that names no patient, and with nothing written."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    with pytest.raises(kind, match=says) as caught:
        write_seg(path, labels, source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "SECRET" not in message
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)
    assert before == (sorted(path.parent.iterdir()) if path.parent.is_dir() else [])


def test_a_cine_is_sent_to_sr(
    tmp_path: Path, make_cine: Callable[..., Cine], as_labels: Make, blobs: Draw
) -> None:
    cine = make_cine()
    labels = as_labels(blobs((5, 12, 16)))
    refused(tmp_path / "a.dcm", labels, cine, ImageError, r"DICOM SR \(--as sr\)")


def test_files_without_a_frame_of_reference(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    for lost in (None, ""):
        for shape in ((4, 12, 10), (1, 12, 10)):
            volume = make_stack(shape, FrameOfReferenceUID=lost)
            labels = as_labels(np.ones(shape, np.uint8))
            refused(tmp_path / "a", labels, volume, ImageError, "--as sr")


def test_sources_that_are_not_dicom(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    for origin in (None, Origin("nifti", (Part(File(tmp_path / "a.nii")),))):
        other = replace(volume, origin=origin)
        refused(tmp_path / "a.dcm", labels, other, VolumeError, r"\.nii\.gz, \.nrrd")


def test_a_picture_is_sent_to_the_formats_of_pictures(
    tmp_path: Path, make_stack: Stack, as_labels: Make
) -> None:
    volume = make_stack((1, 12, 10))
    image = Image(np.zeros((12, 10), np.uint8), origin=volume.origin)
    labels = as_labels(np.ones((12, 10), np.uint8))
    advice = r"write \.png, \.geojson or \.json instead$"
    refused(tmp_path / "a.dcm", labels, replace(image, origin=None), VolumeError, advice)
    assert volume.origin is not None
    path = volume.origin.parts[0].file.path
    whole = path.read_bytes()
    header = pydicom.dcmread(path)
    header.StudyInstanceUID = ""
    header.save_as(path)
    refused(tmp_path / "a.dcm", labels, image, ImageError, rf"no UID.*{advice}")
    path.write_bytes(whole.replace(b"20200102", b"SECRETXX"))
    refused(tmp_path / "a.dcm", labels, image, ImageError, rf"cannot be carried over.*{advice}")


@pytest.mark.parametrize(
    "missing", [["PixelSpacing"], ["SliceThickness"], ["PixelSpacing", "SliceThickness"]]
)
def test_a_missing_measure_is_named(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw, missing: list[str]
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    assert volume.origin is not None
    for part in volume.origin.parts:
        header = pydicom.dcmread(part.file.path)
        for keyword in missing:
            delattr(header, keyword)
        header.save_as(part.file.path)
    says = rf"have no {' and no '.join(missing)}, which .*\.nii\.gz, \.nrrd"
    refused(tmp_path / "a.dcm", labels, volume, ImageError, says)


def test_a_missing_measure_of_an_enhanced_file_is_named(
    tmp_path: Path, make_stack: Stack, as_labels: Make, over_files: Stack
) -> None:
    stack = make_stack()
    path = enhanced(tmp_path / "mr.dcm", stack, [0, 1, 2, 3])
    volume = over_files([path], frames=4)
    header = pydicom.dcmread(path)
    for group in header.PerFrameFunctionalGroupsSequence:
        if "PixelMeasuresSequence" in group:
            del group.PixelMeasuresSequence
    if "PixelMeasuresSequence" in header.SharedFunctionalGroupsSequence[0]:
        del header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    header.save_as(path)
    labels = as_labels(np.ones(volume.shape, np.uint8))
    refused(tmp_path / "a.dcm", labels, volume, ImageError, "have no PixelSpacing, which")


def test_files_that_have_gone_or_changed(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    assert volume.origin is not None
    path = volume.origin.parts[2].file.path
    whole = path.read_bytes()
    path.unlink()
    refused(tmp_path / "a.dcm", labels, volume, ImageError, r"002\.dcm: cannot be read again")
    path.write_bytes(b"SECRET" * 100)
    refused(tmp_path / "a.dcm", labels, volume, ImageError, r"002\.dcm: ")
    path.write_bytes(whole)
    other = pydicom.dcmread(path)
    other.Rows = 6
    other.save_as(path)
    refused(tmp_path / "a.dcm", labels, volume, ImageError, "not the image any more")
    other.Rows, other.StudyInstanceUID = 12, ""
    other.save_as(path)
    refused(tmp_path / "a.dcm", labels, volume, ImageError, "no UID")
    other.StudyInstanceUID = pydicom.uid.generate_uid()
    other.save_as(path)
    refused(tmp_path / "a.dcm", labels, volume, VolumeError, "several studies")


def test_labels_that_do_not_fit(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    path = tmp_path / "a.dcm"
    smaller = replace(labels, array=labels.array[:, :5])
    refused(path, smaller, volume, VolumeError, r"\(4, 5, 10\), what it lies on is \(4, 12, 10\)")
    refused(path, replace(labels, labels=labels.labels[:1]), volume, VolumeError, "label 2, and")
    for name, says in (("x" * 65, "65 characters"), ("", "0 "), ("a\\b", "back"), ("a\nb", "cont")):
        named = replace(labels, labels=(labels.labels[0], Label(name)))
        refused(path, named, volume, VolumeError, f"label 2.*{says}")
    nothing = Labels(labels.array * np.uint8(0), ())
    refused(path, nothing, volume, VolumeError, "no label", empty_frames=True)


def test_folders_that_cannot_be_written(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    refused(tmp_path / "no" / "a.dcm", labels, volume, ImageError, "there is no folder")
    refused(tmp_path, labels, volume, ImageError, "is a folder")


def test_without_highdicom(
    tmp_path: Path,
    make_stack: Stack,
    as_labels: Make,
    blobs: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    monkeypatch.setattr("edgesam.formats.dicom.result.find_spec", lambda name: None)
    refused(tmp_path / "a", labels, volume, ImageError, r'pip install "edgesam\[dicom\]"')


def test_values_that_dicom_does_not_allow(
    tmp_path: Path,
    make_stack: Stack,
    as_labels: Make,
    blobs: Draw,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    volume = make_stack()
    labels = as_labels(blobs(volume.shape))
    assert volume.origin is not None
    path = volume.origin.parts[0].file.path
    path.write_bytes(path.read_bytes().replace(b"20200102", b"SECRETXX"))
    with caplog.at_level(logging.DEBUG):
        refused(tmp_path / "a.dcm", labels, volume, ImageError, "cannot be carried over")
    assert "SECRET" not in caplog.text
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err


def test_a_header_that_says_little_is_filled_with_nothing(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack(PatientSex="X")
    assert volume.origin is not None
    path = volume.origin.parts[0].file.path
    bare = pydicom.dcmread(path)
    for keyword in ("PatientID", "StudyDate", "StudyID", "ReferringPhysicianName"):
        delattr(bare, keyword)
    bare.save_as(path)
    write_seg(tmp_path / "a.dcm", as_labels(blobs(volume.shape)), volume)
    seg = pydicom.dcmread(tmp_path / "a.dcm")
    assert (seg.PatientID, seg.StudyDate) == ("", "")


def test_logs_are_silent_of_the_patient(
    tmp_path: Path,
    make_stack: Stack,
    as_labels: Make,
    blobs: Draw,
    caplog: pytest.LogCaptureFixture,
) -> None:
    volume = make_stack()
    with caplog.at_level(logging.DEBUG):
        write_seg(tmp_path / "a.dcm", as_labels(blobs(volume.shape)), volume)
    assert [record.name for record in caplog.records if record.name != "edgesam"] == []
    assert "SECRET" not in caplog.text


# ------------------------------------------------------------------ real studies


@pytest.mark.shared
@pytest.mark.parametrize("labelmap", [False, True])
def test_a_real_ct(
    tmp_path: Path, ct: Volume, ct_labels: NDArray[np.uint8], as_labels: Make, labelmap: bool
) -> None:
    assert ct_labels.max() > 10
    path = tmp_path / "seg.dcm"
    write_seg(path, as_labels(ct_labels), ct, labelmap=labelmap)
    assert np.array_equal(by_highdicom(path, ct), ct_labels)
    assert np.array_equal(by_position(path, ct), ct_labels)


@pytest.mark.shared
@pytest.mark.parametrize("labelmap", [False, True])
def test_a_real_enhanced_mr(
    tmp_path: Path,
    over_files: Callable[..., Volume],
    as_labels: Make,
    blobs: Draw,
    labelmap: bool,
) -> None:
    source = SHARED / "assorted" / "emri_small.dcm"
    if not source.is_file():
        pytest.skip("../shared/data is not here")
    header = pydicom.dcmread(source)
    with_frame_groups(header, [(0.0, 0.5 * frame, 2.0 * frame) for frame in range(10)])
    header.save_as(tmp_path / "emri.dcm")
    volume = over_files([tmp_path / "emri.dcm"], frames=10)
    array = blobs(volume.shape)
    path = tmp_path / "seg.dcm"
    write_seg(path, as_labels(array), volume, labelmap=labelmap)
    assert np.array_equal(by_highdicom(path, volume), array)
    assert np.array_equal(by_position(path, volume), array)
    # As it is, it has lost the functional groups that say where its frames lie.
    unplaced = Origin("dicom", tuple(Part(File(source), frame) for frame in range(10)))
    refused(path, as_labels(array), replace(volume, origin=unplaced), ImageError, r"\(--as sr\)")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_dicom3tools_find_no_error(
    tmp_path: Path, make_stack: Stack, as_labels: Make, blobs: Draw
) -> None:
    volume = make_stack()
    write_seg(tmp_path / "a.dcm", as_labels(blobs(volume.shape)), volume)
    said = subprocess.run(
        ["dciodvfy", "-new", str(tmp_path / "a.dcm")], capture_output=True, text=True, check=False
    )
    assert "Segmentation" in said.stderr + said.stdout
    assert [line for line in said.stderr.splitlines() if "Error" in line] == []
