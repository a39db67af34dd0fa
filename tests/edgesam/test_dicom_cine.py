"""DICOM files of several frames: enhanced volumes, cines and their pace; and pixels' sizes."""

from __future__ import annotations

import logging
import math
import pickle
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.uid
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError, VolumeError
from edgesam.formats.dicom import image as dicom_image
from edgesam.formats.dicom.header import image_header
from edgesam.formats.dicom.image import image_of
from edgesam.formats.dicom.kept import keep_decoding
from edgesam.formats.dicom.reading import read_dicom
from edgesam.image import Image
from edgesam.origin import File, Part
from edgesam.place import Place, Region
from edgesam.volume import Volume
from edgesam.window import Window

FRAMES = (1000 * np.arange(6)[:, None, None] + np.arange(20).reshape(4, 5)).astype(np.uint16)

Pixels = npt.NDArray[Any]


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def one(**elements: Any) -> Sequence:
    return Sequence([item(**elements)])


def save(path: Path, frames: Pixels, **elements: Any) -> File:
    """A grey object of (N, H, W), or of one frame (H, W)."""
    dataset = item(
        SOPClassUID=pydicom.uid.SecondaryCaptureImageStorage,
        SOPInstanceUID="1.2.3.4",
        SeriesInstanceUID="1.2.3",
        PatientName="SECRET^NAME",
        Modality="US",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=frames.shape[-2],
        Columns=frames.shape[-1],
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
    )
    if frames.ndim == 3:
        dataset.NumberOfFrames = len(frames)
    dataset.PixelData = frames.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.update(item(**elements))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return File(path)


def enhanced(
    path: Path, heights: list[float], times: list[int] | None = None, **elements: Any
) -> File:
    """An enhanced MR object: places and rescale per frame, directions and sizes shared."""
    own = Sequence()
    for k, height in enumerate(heights):
        group = item(
            PlanePositionSequence=one(ImagePositionPatient=[-10, -20, height]),
            PixelValueTransformationSequence=one(RescaleSlope=str(k + 1), RescaleIntercept="0"),
            FrameVOILUTSequence=one(WindowCenter=str(k), WindowWidth="100"),
        )
        if times:
            group.FrameContentSequence = one(TemporalPositionIndex=times[k])
        own.append(group)
    shared = item(
        PlaneOrientationSequence=one(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
        PixelMeasuresSequence=one(PixelSpacing=[0.5, 0.75], SliceThickness="3"),
    )
    described: dict[str, Any] = {
        "SOPClassUID": pydicom.uid.EnhancedMRImageStorage,
        "Modality": "MR",
        "BitsStored": 12,
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": own,
    }
    return save(path, FRAMES[: len(heights)], **{**described, **elements})


def across(x: float) -> Sequence:
    """A position along the normal of a sagittal plane."""
    return one(ImagePositionPatient=[x, -20, 30])


def sagittal(path: Path, places: list[float], **elements: Any) -> File:
    file = enhanced(path, [0.0] * len(places), **elements)
    dataset = pydicom.dcmread(path)
    for group, x in zip(dataset.PerFrameFunctionalGroupsSequence, places, strict=True):
        group.PlanePositionSequence = across(x)
    dataset.save_as(path)
    return file


def cine(file: File | Path) -> Cine:
    found = read_dicom(file)
    assert isinstance(found, Cine)
    return found


def image(file: File | Path, **choice: Any) -> Image:
    found = read_dicom(file, **choice)
    assert isinstance(found, Image)
    return found


def place(file: File | Path, **choice: Any) -> Place:
    found = image(file, **choice).place
    assert found is not None
    return found


# ------------------------------------------------------------------ enhanced volumes


def test_an_enhanced_object_is_a_volume(tmp_path: Path) -> None:
    """Its frames run against their positions: a sagittal normal points to -x."""
    file = sagittal(tmp_path / "a", [5.0, 7.0, 9.0, 11.0])
    found = read_dicom(file)
    assert isinstance(found, Volume)
    assert found.origin is not None
    assert [part.frame for part in found.origin.parts] == [3, 2, 1, 0]
    for k in range(4):
        assert np.array_equal(found.array[k], FRAMES[3 - k].astype(int) * (4 - k))
        assert found.slice(k).voi == Window(3 - k, 100)
    want = [[-2, 0, 0, 11], [0, 0, 0.75, -20], [0, -0.5, 0, 30], [0, 0, 0, 1]]
    assert np.array_equal(found.affine, want)
    assert (found.modality, found.spacing_source) == ("MR", "PixelSpacing")
    assert found.orientation == "RIP"


def test_one_frame_of_an_enhanced_object_knows_its_place(tmp_path: Path) -> None:
    file = sagittal(tmp_path / "a", [5.0, 7.0, 9.0])
    picture = image(file, frame=1)
    assert np.array_equal(picture.pixels, FRAMES[1] * 2)
    assert picture.origin is not None
    assert picture.origin.parts[0].frame == 1
    lies = place(file, frame=1)
    assert lies.affine is not None
    want = [[0, 0, -3, 7], [0.75, 0, 0, -20], [0, -0.5, 0, 30], [0, 0, 0, 1]]
    assert np.array_equal(lies.affine, want)
    assert lies.regions == (Region((0, 0, 4, 3), 0.5, 0.75, "PixelSpacing"),)
    assert (lies.thickness, lies.frame) == (3, None)


def test_phases_of_an_enhanced_object(tmp_path: Path) -> None:
    file = sagittal(tmp_path / "a", [5, 5, 7, 7, 9, 9], times=[2, 1, 2, 1, 2, 1])
    with pytest.raises(
        VolumeError, match=r"1: MR, 3 slices of 4 x 5 \(part 1 of 2 of its series\); 2: MR, 3"
    ):
        read_dicom(file)
    first = read_dicom(file, series=1)
    assert isinstance(first, Volume)
    assert first.origin is not None
    assert [part.frame for part in first.origin.parts] == [5, 3, 1]
    assert image(file, frame=2).pixels[0, 0] == 6000


def test_frames_missing_from_an_enhanced_object(tmp_path: Path) -> None:
    file = sagittal(tmp_path / "a", [5, 7, 9, 13, 15])
    with pytest.raises(VolumeError, match="missing slices: 1 between slices 1 and 2"):
        read_dicom(file)


def test_only_planes_that_are_asked_for_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[int] = []
    decode = dicom_image.decode

    def count(file: Any, header: Any, index: int) -> Pixels:
        frames.append(index)
        return decode(file, header, index)

    monkeypatch.setattr(dicom_image, "decode", count)
    volume = read_dicom(sagittal(tmp_path / "a", [5, 7, 9]))
    assert isinstance(volume, Volume)
    volume.slice(0)
    assert frames == [2]
    found = cine(save(tmp_path / "b", FRAMES))
    found.frame(4)
    assert frames == [2, 4]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_groups_are_one_line(tmp_path: Path, seed: int) -> None:
    """Bytes that are missing somewhere: an error of ours, or what is left is read."""
    file = sagittal(tmp_path / "a", [5, 7, 9])
    whole = file.path.read_bytes()
    start = whole.index(b"\x00\x52\x29\x92")
    holes = np.random.default_rng(seed).integers(start, len(whole) - 12, 12)
    refused = 0
    for at in holes:
        file.path.write_bytes(whole[:at] + whole[at + 1 + seed :])
        try:
            found = read_dicom(file)
            assert not isinstance(found, Volume) or found.array.ndim == 3
        except EdgeSamError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - what is left may be readable
            assert str(file) in str(error)  # noqa: PT017
            assert error.__cause__ is error.__context__ is None  # noqa: PT017
    assert refused > 0


# ------------------------------------------------------------------ cines


def test_frames_without_a_place_are_a_cine(tmp_path: Path) -> None:
    found = cine(save(tmp_path / "a", FRAMES, FrameTime="40"))
    assert (len(found), found.height, found.width) == (6, 4, 5)
    assert (found.milliseconds, found.modality) == (40, "US")
    assert found.origin is not None
    assert [part.frame for part in found.origin.parts] == list(range(6))
    for k, picture in enumerate(found):
        assert np.array_equal(picture.pixels, FRAMES[k])
        assert picture.place is not None
        assert (picture.place.frame, picture.place.regions) == (k, ())
        assert picture.origin is not None
        assert picture.origin.parts[0].frame == k
    with pytest.raises(ImageError, match=r"no frame 6: this cine has 6, 0\.\.5"):
        found.frame(6)


def written_by_people(text: str) -> dict[str, Any]:
    """Elements that may say who a patient is or what somebody thought, at any depth."""
    return {
        "PatientName": text,
        "PatientID": text,
        "PatientComments": text,
        "ReferringPhysicianName": text,
        "OperatorsName": text,
        "InstitutionName": text,
        "StudyDescription": text,
        "SeriesDescription": text,
        "ProtocolName": text,
        "ImageComments": text,
        "WindowCenterWidthExplanation": text,
        "OtherPatientIDsSequence": one(PatientID=text),
        "ReferencedImageSequence": one(ImageComments=text),
    }


def planted(file: File) -> File:
    """The file with secrets wherever some fit: in the preamble, meta, private elements, items."""
    dataset = pydicom.dcmread(file.path)
    dataset.update(item(**written_by_people("SECRET")))
    dataset.private_block(0x0009, "SECRET", create=True).add_new(1, "LO", "SECRET")
    dataset.file_meta.PrivateInformationCreatorUID = pydicom.uid.UID("1.2.3")
    dataset.file_meta.PrivateInformation = b"SECRET"
    dataset.preamble = b"SECRET".ljust(128)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(keyword, ()):
            group.FrameContentSequence = one(FrameComments="SECRET")
            group.update(item(**written_by_people("SECRET")))
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for inner in group.get(name, ()):
                    inner.update(item(**written_by_people("SECRET")))
    dataset.save_as(file.path)
    assert file.path.read_bytes().count(b"SECRET") > 12
    return file


def remembered(owner: object) -> bytes:
    """All that an object holds, but its locks."""
    held = {n: v for n, v in vars(owner).items() if type(v) is not type(threading.Lock())}
    return pickle.dumps(held)


def zipped(file: File) -> File:
    """The same as a member of an archive, which is unpacked into memory."""
    path = file.path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file.path, "member")
    return File(path, "member")


@pytest.mark.parametrize("archived", [False, True])
def test_nobodys_name_stays_in_memory_with_a_cine(tmp_path: Path, archived: bool) -> None:
    file = save(
        tmp_path / "a",
        FRAMES,
        FrameTime="40",
        PixelSpacing=[2, 3],
        RescaleSlope="2",
        RescaleIntercept="-7",
        WindowCenter="40",
        WindowWidth="400",
        SequenceOfUltrasoundRegions=Sequence([region((0, 0, 4, 3), 0.1, 0.2)]),
    )
    before = list(cine(file))
    file = planted(file)
    found = cine(zipped(file) if archived else file)
    assert found.milliseconds == 40
    for _ in range(2):  # before and after decoding
        kept = pickle.dumps(found)
        assert b"SECRET" not in kept
        assert b"SECRET" not in remembered(found.frames)
        assert len(kept) < 20_000
        for one_before, now in zip(before, found, strict=True):
            assert np.array_equal(now.pixels, one_before.pixels)
            assert (now.voi, now.modality) == (one_before.voi, one_before.modality)
            assert now.place is not None
            assert one_before.place is not None
            assert now.place.regions == one_before.place.regions
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.frame(3).pixels, before[3].pixels)


@pytest.mark.parametrize("archived", [False, True])
def test_nobodys_name_stays_in_memory_with_a_volume(tmp_path: Path, archived: bool) -> None:
    file = sagittal(tmp_path / "a", [5, 7, 9])
    want = read_dicom(file)
    assert isinstance(want, Volume)
    array, vois = want.array, [want.voxels.voi(0, k) for k in range(3)]
    file = planted(file)
    found = read_dicom(zipped(file) if archived else file)
    assert isinstance(found, Volume)
    assert b"SECRET" not in remembered(found.voxels)
    assert np.array_equal(found.array, array)
    assert np.array_equal(found.affine, want.affine)
    assert [found.voxels.voi(0, k) for k in range(3)] == vois
    assert found.slice(1).voi is not None
    assert b"SECRET" not in remembered(found.voxels)


@pytest.mark.parametrize(
    "name",
    [
        "examples_palette.dcm",
        "MR_small_bigendian.dcm",
        "SC_rgb_rle_2frame.dcm",
        "MR_small_implicit.dcm",
    ],
)
def test_what_is_kept_decodes_the_same(name: str) -> None:
    """Palettes, both byte orders, implicit types, colours: files of pydicom's wheel."""
    path = get_testdata_file(name, download=False)
    assert path is not None
    file = File(Path(str(path)))
    header = image_header(file)
    whole = image_of(Part(file), header)
    keep_decoding(file, header)
    assert len(header.dataset) < 35
    kept = image_of(Part(file), header)
    assert np.array_equal(kept.pixels, whole.pixels)
    assert kept.pixels.dtype == whole.pixels.dtype
    assert np.array_equal(kept.to_rgb8()[0], whole.to_rgb8()[0])


@pytest.mark.parametrize("implicit", [False, True])
def test_kept_tables_of_signed_values_decode_the_same(tmp_path: Path, implicit: bool) -> None:
    """Their descriptors' type follows from the pixels', which stands at the top of the header."""
    data = np.array([5, 10, 20, 40, 60000, 7], "<u2").tobytes()
    tables = [
        item(LUTDescriptor=[6, first, 16], LUTData=data, LUTExplanation="SECRET")
        for first in (-2, 0)
    ]
    file = save(
        tmp_path / "a",
        FRAMES[:2],
        PixelRepresentation=1,
        ModalityLUTSequence=Sequence(tables[:1]),
        VOILUTSequence=Sequence(tables[1:]),
    )
    if implicit:
        dataset = pydicom.dcmread(file.path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        dataset.save_as(file.path, implicit_vr=True, little_endian=True)
    found = cine(file)
    assert b"SECRET" not in pickle.dumps(found)
    want = image(file, frame=1)
    assert np.array_equal(found.frame(1).pixels, want.pixels)
    assert len(np.unique(want.pixels)) == 1
    assert np.array_equal(found.frame(0).pixels[0], [20, 40, 60000, 7, 7])
    assert np.array_equal(found.frame(0).to_rgb8()[0], image(file, frame=0).to_rgb8()[0])


def test_one_place_for_all_frames_is_nobodys(tmp_path: Path) -> None:
    file = save(
        tmp_path / "a",
        FRAMES,
        ImagePositionPatient=[1, 2, 3],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[2, 2],
    )
    last = cine(file).frame(5).place
    assert last is not None
    assert last.affine is None
    assert last.regions[0].row == 2
    assert place(file, frame=5).affine is None


@pytest.mark.parametrize(
    ("elements", "want"),
    [
        ({"FrameTime": "33.3", "CineRate": "10"}, 33.3),
        ({"FrameTimeVector": [0, 20, 30, 20, 30, 25]}, 25),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": "25"}, 40),
        ({"CineRate": "50"}, 20),
        ({"CineRate": "0"}, None),
        ({}, None),
    ],
)
def test_the_pace(tmp_path: Path, elements: dict[str, Any], want: float | None) -> None:
    assert cine(save(tmp_path / "a", FRAMES, **elements)).milliseconds == want


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    source = get_testdata_file("SC_rgb_rle_2frame.dcm", download=False)
    path.write_bytes(Path(str(source)).read_bytes()[:-300])
    found = cine(path)
    assert found.frame(0).pixels.shape == (100, 100, 3)
    with pytest.raises(ImageError, match="damaged"):
        found.frame(1)


def test_a_file_that_claims_too_many_frames(tmp_path: Path) -> None:
    for count in (2_000_000_000, -3):
        with pytest.raises(ImageError, match="number of frames cannot be right"):
            read_dicom(save(tmp_path / "a", FRAMES, NumberOfFrames=count))


# ------------------------------------------------------------------ how large pixels are


@pytest.mark.parametrize(
    ("elements", "source"),
    [
        ({"PixelSpacing": [2, 3], "ImagerPixelSpacing": [4, 6]}, "PixelSpacing"),
        ({"ImagerPixelSpacing": [2, 3]}, "ImagerPixelSpacing"),
        ({"NominalScannedPixelSpacing": [2, 3]}, "NominalScannedPixelSpacing"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [2, 3]}, "ImagerPixelSpacing"),
    ],
)
def test_spacing_and_what_says_it(tmp_path: Path, elements: dict[str, Any], source: str) -> None:
    found = place(save(tmp_path / "a", FRAMES[0], **elements))
    assert found.regions == (Region((0, 0, 4, 3), 2, 3, source),)
    assert math.isclose(found.pixel_aspect, 2 / 3)
    assert found.affine is None


def region(box: tuple[int, ...], x: float, y: float, units: tuple[int, int] = (3, 3)) -> Dataset:
    ends = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    dataset = item(**{f"RegionLocation{end}": value for end, value in zip(ends, box, strict=True)})
    dataset.PhysicalUnitsXDirection, dataset.PhysicalUnitsYDirection = units
    dataset.PhysicalDeltaX, dataset.PhysicalDeltaY = x, y
    return dataset


def test_ultrasound_regions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    regions = [
        region((0, 0, 2, 3), 0.01, -0.02),
        region((3, 0, 5, 4), 0.01, 0.02),  # counts the far edges
        region((0, 0, 2, 3), 0.01, 5, units=(4, 5)),  # seconds, Hertz
        region((0, 0, 60, 3), 0.07, 0.07),  # of a picture before it was cut
        region((0, 0, 2, 3), 0, 0),
    ]
    file = save(tmp_path / "a", FRAMES, SequenceOfUltrasoundRegions=Sequence(regions))
    want = (
        Region((0, 0, 2, 3), 0.2, 0.1, "UltrasoundRegion"),
        Region((3, 0, 4, 3), 0.2, 0.1, "UltrasoundRegion"),
    )
    last = cine(file).frame(5).place
    assert last is not None
    for found in (place(file, frame=5), last):
        assert found.regions == want
        assert found.frame == 5
        assert found.pixel_aspect == 2  # as both regions say
    assert "an ultrasound region reaches outside the picture: ignored" in caplog.text


def test_pixel_aspect_ratio(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Height first (PS3.3 C.7.6.3.1.7)."""
    assert place(save(tmp_path / "a", FRAMES[0], PixelAspectRatio=[3, 2])).pixel_aspect == 1.5
    assert image(save(tmp_path / "a", FRAMES[0], PixelAspectRatio=[0, 2])).place is None
    assert "PixelAspectRatio is not above zero" in caplog.text


def test_nothing_known(tmp_path: Path) -> None:
    assert image(save(tmp_path / "a", FRAMES[0])).place is None


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"PixelSpacing": [1]}, "PixelSpacing is not 2 numbers"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient is not 3 numbers"),
        ({"FrameTimeVector": "SECRET"}, "FrameTimeVector is not numbers"),
        ({"FrameTime": "SECRET"}, "FrameTime is not a number"),
        ({"SequenceOfUltrasoundRegions": one()}, "ultrasound regions"),
    ],
)
def test_sizes_that_are_no_numbers(
    tmp_path: Path, elements: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = save(tmp_path / "a", FRAMES if "Time" in str(elements) else FRAMES[0])
    dataset = pydicom.dcmread(file.path)
    for name, value in elements.items():
        tag = pydicom.datadict.tag_for_keyword(name)
        assert tag is not None
        vr = pydicom.datadict.dictionary_VR(tag)
        dataset.add_new(tag, "LO" if value == "SECRET" else vr, value)
        if vr == "SQ":
            value[0].add_new("PhysicalDeltaX", "LO", "SECRET")
    dataset.save_as(file.path)
    with caplog.at_level(logging.DEBUG), pytest.raises(EdgeSamError, match=words) as caught:
        read_dicom(file)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "SECRET" not in caplog.text + str(caught.value)
