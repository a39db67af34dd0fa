"""Studies of many DICOM files: which slices belong together, in what order, where; and lazily."""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.uid
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder

from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError, VolumeError
from edgesam.formats.dicom import image as dicom_image
from edgesam.formats.dicom import study
from edgesam.formats.dicom.problems import problems
from edgesam.formats.dicom.study import find_series, read_study
from edgesam.formats.quiet import quiet
from edgesam.image import Image
from edgesam.volume import Volume
from edgesam.window import Window

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
SECRET = "SECRET^NAME"

Pixels = npt.NDArray[Any]


def picture(number: int, rows: int = 6, columns: int = 8) -> Pixels:
    """Pixels that no other number and no other place has."""
    return (1000 * number + np.arange(rows * columns).reshape(rows, columns)).astype(np.int16)


def save(path: Path, number: int, height: float | None, **elements: Any) -> Path:
    """One CT slice of :func:`picture`, at ``height`` mm along an axial normal if not elsewhere."""
    pixels = elements.pop("pixels", picture(number))
    dataset = Dataset()
    dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.StudyInstanceUID = "1.2"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.PatientName = dataset.PatientID = SECRET
    dataset.SeriesDescription = dataset.ImageComments = dataset.ProtocolName = SECRET
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200101", "120000", "1"
    dataset.Modality = "CT"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    if height is not None:
        dataset.ImagePositionPatient = [-10, -20, height]
        dataset.ImageOrientationPatient = AXIAL
    dataset.PixelSpacing = [0.5, 0.75]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
        if value is None:
            delattr(dataset, name)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, heights: list[float], **elements: Any) -> Path:
    """Slices whose names and InstanceNumbers run against their positions."""
    for k, height in enumerate(heights):
        save(folder / f"{len(heights) - k:03d}.dcm", len(heights) - k, height, **elements)
    return folder


def volume(path: Path, **choice: Any) -> Volume:
    found = read_study(path, **choice)
    assert isinstance(found, Volume)
    return found


def refused(path: Path, words: str, error: type[EdgeSamError] = VolumeError, **choice: Any) -> str:
    """The one line that says why a study is not read; it names the path and no secret."""
    with pytest.raises(error, match=words) as caught:
        read_study(path, **choice)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert SECRET not in message
    assert caught.value.__cause__ is caught.value.__context__ is None
    return message


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose pixels were decoded."""
    names: list[str] = []
    decode = dicom_image.decode

    def count(file: Any, header: Any, index: int) -> Pixels:
        names.append(file.path.name)
        return decode(file, header, index)

    monkeypatch.setattr(dicom_image, "decode", count)
    return names


# ------------------------------------------------------------------ order and place


def test_slices_are_in_order_of_position_whatever_their_names(tmp_path: Path) -> None:
    ct = volume(series(tmp_path / "a", [30, 32.5, 35, 37.5]))
    assert ct.shape == (4, 6, 8)
    assert ct.array.dtype == np.int16
    for k in range(4):
        assert np.array_equal(ct.array[k], picture(4 - k))
        assert np.array_equal(ct.slice(k).pixels, picture(4 - k))
        assert ct.origin is not None
        assert ct.origin.parts[k].file.path.name == f"{4 - k:03d}.dcm"
    want = [[0, 0, 0.75, -10], [0, 0.5, 0, -20], [2.5, 0, 0, 30], [0, 0, 0, 1]]
    assert np.array_equal(ct.affine, want)
    assert (ct.modality, ct.spacing_source, ct.orientation) == ("CT", "PixelSpacing", "SPL")


def test_a_slice_knows_its_own_file_place_and_window(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", [1, 2, 3])
    save(folder / "002.dcm", 2, 2, WindowCenter="7", WindowWidth="70")
    ct = volume(folder)
    middle = ct.slice(1)
    assert middle.voi == Window(7, 70)
    assert ct.slice(0).voi is None
    assert ct.slice(3, axis="coronal").voi == Window(7, 70)  # of the slice in the middle
    assert middle.origin is not None
    assert [part.file.path.name for part in middle.origin.parts] == ["002.dcm"]
    assert middle.place is not None
    assert middle.place.affine is not None
    assert middle.place.affine[:3, 3].tolist() == [-10, -20, 2]
    alone = read_study(folder / "002.dcm")
    assert isinstance(alone, Image)
    assert alone.place is not None
    assert alone.place.affine is not None
    assert np.array_equal(alone.place.affine[:, [0, 1, 3]], middle.place.affine[:, [0, 1, 3]])


@pytest.mark.parametrize("turn", [CORONAL, SAGITTAL])
def test_other_orientations(tmp_path: Path, turn: list[int]) -> None:
    normal = np.cross(turn[:3], turn[3:])
    for k in range(3):
        save(
            tmp_path / f"{k}.dcm",
            k,
            0,
            ImageOrientationPatient=turn,
            ImagePositionPatient=list(map(float, 5 + 2.0 * k * normal)),
        )
    found = volume(tmp_path)
    assert np.array_equal(found.array[2], picture(2))
    assert np.allclose(found.affine[:3, 0], 2 * normal)
    assert np.allclose(found.affine[:3, 1], 0.5 * np.array(turn[3:]))
    assert np.allclose(found.affine[:3, 2], 0.75 * np.array(turn[:3]))


def test_orientations_that_headers_round_are_one_stack(tmp_path: Path) -> None:
    for k in range(4):
        turn = [1, 0.00003 * k, 0, 0, 1, 0]
        save(tmp_path / f"{k}.dcm", k, k, ImageOrientationPatient=turn)
    assert volume(tmp_path).shape[0] == 4


def test_gantry_tilt_shears_the_affine_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for k in range(5):
        save(tmp_path / f"{k}.dcm", k, 0, ImagePositionPatient=[-10, -20 + 0.5 * k, 2 * k])
    found = volume(tmp_path)
    assert found.affine[:3, 0].tolist() == [0, 0.5, 2]
    assert "gantry tilt of 14.04 degrees" in caplog.text
    (only,) = find_series(tmp_path)
    assert problems(only) == ["gantry tilt of 14.04 degrees: voxels are sheared"]


def test_slopes_that_differ_get_one_type_that_holds_all(tmp_path: Path) -> None:
    for k, slope in enumerate(("1", "0.5", "0.25")):
        save(tmp_path / f"{k}.dcm", k, k, RescaleSlope=slope, RescaleIntercept="0")
    found = volume(tmp_path)
    assert found.voxels.dtype == np.float32
    assert found.slice(0).pixels.dtype == found.array.dtype == np.float32
    for k, slope in enumerate((1, 0.5, 0.25)):
        assert np.array_equal(found.array[k], picture(k) * slope)


@pytest.mark.parametrize("honest", [True, False])
def test_float_pixels(tmp_path: Path, honest: bool) -> None:
    """A header that describes them as integers does not cost a digit."""
    for k in range(3):
        path = save(tmp_path / f"{k}.dcm", k, k, BitsAllocated=32)
        dataset = pydicom.dcmread(path)
        dataset.FloatPixelData = (picture(k) / np.float32(3)).astype(np.float32).tobytes()
        del dataset.PixelData
        if honest:
            del dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit
        dataset.save_as(path)
    found = volume(tmp_path)
    assert found.voxels.dtype == (np.float32 if honest else np.int32)
    for k in range(3):
        want = (picture(k) / np.float32(3)).astype(np.float32)
        assert np.array_equal(found.slice(k).pixels, want)
    assert np.array_equal(found.array[2], want)
    assert found.voxels.dtype == (np.float32 if honest else np.float64)


# ------------------------------------------------------------------ lazily


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path, decoded: list[str]) -> None:
    for k in range(200):
        save(tmp_path / f"{k:03d}", k, k, pixels=picture(k % 30, 64, 64))
    found = volume(tmp_path)
    assert decoded == []
    found.slice(3)
    assert decoded == ["003"]
    found.slice(5, axis="coronal")
    assert decoded[1:] == [f"{k:03d}" for k in range(200)]
    found.slice(7, axis="sagittal")
    assert np.array_equal(found.slice(9).pixels, picture(9, 64, 64))
    assert found.array is found.array
    assert len(decoded) == 201


def test_threads_may_share_a_volume(tmp_path: Path, decoded: list[str]) -> None:
    found = volume(series(tmp_path, [float(k) for k in range(12)]))
    start = threading.Barrier(4)

    def read(k: int) -> bool:
        start.wait(timeout=30)
        flat = found.slice(k, axis="coronal") if k == 3 else found.slice(k)
        return bool(np.array_equal(flat.pixels, found.array[k] if k != 3 else flat.pixels))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))
    assert len(decoded) <= 12 + 4  # the whole array once


def test_a_damaged_slice_is_named_when_it_is_read(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", [1, 2, 3])
    whole = (folder / "002.dcm").read_bytes()
    (folder / "002.dcm").write_bytes(whole[:-40])
    found = volume(folder)
    assert np.array_equal(found.slice(0).pixels, picture(3))
    for act in (lambda: found.slice(1), lambda: found.array):
        with pytest.raises(ImageError, match=r"002\.dcm: damaged") as caught:
            act()
        assert "\n" not in str(caught.value)
    (folder / "001.dcm").unlink()
    with pytest.raises(ImageError, match=r"001\.dcm"):
        found.slice(2)


# ------------------------------------------------------------------ what belongs together


def test_several_series_are_listed_and_chosen(tmp_path: Path) -> None:
    series(tmp_path / "x", [1, 2, 3])
    series(tmp_path / "y", [4, 5], SeriesInstanceUID="1.2.9", SeriesNumber=2, Modality="MR")
    message = refused(tmp_path, "holds 2 series")
    assert "1: CT, 3 slices of 6 x 8; 2: MR, 2 slices of 6 x 8" in message
    assert message.endswith("choose one with series=N or --series N")
    assert volume(tmp_path, series=2).modality == "MR"
    assert volume(tmp_path, series="1").shape[0] == 3
    assert volume(tmp_path, series="1.2.9").modality == "MR"
    for wrong in (0, 3, "1.2.4"):
        assert "1: CT" in refused(tmp_path, "no such series; there are", series=wrong)


def test_a_modality_that_is_no_code_is_not_shown(tmp_path: Path) -> None:
    series(tmp_path / "x", [1, 2, 3], Modality="SMITHJOHNSON")
    series(tmp_path / "y", [4, 5], SeriesInstanceUID="1.2.9")
    assert "unknown, 3 slices" in refused(tmp_path, "holds 2 series")


def test_a_localiser_of_three_orientations_is_three_stacks(tmp_path: Path) -> None:
    for n, turn in enumerate((AXIAL, CORONAL, SAGITTAL)):
        normal = np.cross(turn[:3], turn[3:])
        for k in range(3):
            save(
                tmp_path / f"{n}{k}",
                3 * n + k,
                0,
                ImageOrientationPatient=turn,
                ImagePositionPatient=list(map(float, 4 * k * normal)),
            )
    refused(tmp_path, "holds 3 series: .* 3: CT, 3 slices")
    assert volume(tmp_path, series=2).affine[:3, 1].tolist() == [0, 0, -0.5]
    assert problems(find_series(tmp_path)[0]) == [
        "mixed orientations in one DICOM series: 3 stacks"
    ]


def test_mixed_sizes_are_named(tmp_path: Path) -> None:
    series(tmp_path, [1, 2, 3])
    save(tmp_path / "scout", 99, 9, pixels=picture(1, 4, 4))
    assert "2: CT, 1 slice of 4 x 4" in refused(tmp_path, "holds 2 series: 1: CT, 3 slices")
    assert problems(find_series(tmp_path)[0]) == ["mixed sizes in one DICOM series: 4 x 4, 6 x 8"]


@pytest.mark.parametrize("by", ["AcquisitionNumber", "TemporalPositionIdentifier", None])
def test_phases_at_the_same_positions(tmp_path: Path, by: str | None) -> None:
    """Stored position by position, as the phases of a perfusion series often are."""
    for k in range(4):
        for phase in range(3):
            number = 3 * k + phase if by is None else 2 * k + 8 * phase + 1
            extra = {} if by is None else {by: phase + 1}
            save(tmp_path / f"{k}{phase}", number, k, pixels=picture(10 * phase + k), **extra)
    refused(tmp_path, "holds 3 series")
    for phase in range(3):
        found = volume(tmp_path, series=phase + 1)
        assert [int(p[0, 0]) // 1000 for p in found.array] == [10 * phase + k for k in range(4)]
    assert problems(find_series(tmp_path)[1]) == [
        "every position occurs 3 times: split into phases"
    ]


def test_some_positions_twice_is_a_fault(tmp_path: Path) -> None:
    series(tmp_path, [1, 2, 3, 4])
    save(tmp_path / "again", 9, 3)
    refused(tmp_path, "duplicate positions: 2 slices at 3 mm along the normal")


def test_copies_of_a_file_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series(tmp_path / "a", [1, 2, 3])
    (tmp_path / "copy").write_bytes((tmp_path / "a" / "002.dcm").read_bytes())
    assert volume(tmp_path).shape[0] == 3
    assert "1 copies of slices in other files were left out" in caplog.text


def test_files_with_one_uid_for_all_are_not_taken_for_copies(tmp_path: Path) -> None:
    assert volume(series(tmp_path, [1, 2, 3], SOPInstanceUID="1.2.3.4")).shape[0] == 3


@pytest.mark.parametrize(
    ("heights", "words"),
    [
        ([0, 2, 4, 8, 10], r"missing slices: 1 between slices 2 and 3 \(4 mm apart"),
        ([0, 2, 4, 7, 9], "unequal spacing: 3 mm between slices 2 and 3, elsewhere 2 mm"),
    ],
)
def test_gaps(tmp_path: Path, heights: list[float], words: str) -> None:
    folder = series(tmp_path, heights)
    assert "slices counted from 0" in refused(folder, words)
    (told,) = problems(find_series(folder)[0])
    assert told in refused(folder, words)


def test_without_positions_it_is_a_cine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(4):
        save(tmp_path / f"{9 - k}", k, None, Modality="OT")
    found = read_study(tmp_path)
    assert isinstance(found, Cine)
    assert (len(found), found.height, found.width, found.milliseconds) == (4, 6, 8, None)
    assert [int(image.pixels[0, 0]) for image in found] == [0, 1000, 2000, 3000]
    assert "no position in the patient" in caplog.text
    place = found.frame(2).place
    assert place is not None
    assert (place.frame, place.affine, place.regions[0].row) == (2, None, 0.5)


def test_without_spacing_millimetres_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = volume(series(tmp_path, [1, 2, 3], PixelSpacing=None))
    assert found.spacing_source is None
    assert np.array_equal(np.abs(found.affine), np.eye(4)[[2, 1, 0, 3]])
    assert found.slice(0).place is not None
    assert "unknown spacing" in repr(found)
    assert "no pixel spacing: the affine counts voxels" in caplog.text
    assert "no pixel spacing" in problems(find_series(tmp_path)[0])[0]


def test_polarities_do_not_mix(tmp_path: Path) -> None:
    series(tmp_path, [1, 2, 3], PhotometricInterpretation="MONOCHROME1")
    assert volume(tmp_path).slice(0).inverted
    save(tmp_path / "other", 9, 4)
    refused(tmp_path, "3 of 4 slices are MONOCHROME1")


def test_objects_without_pixels_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series(tmp_path / "a", [1, 2, 3])
    for name in ("rtstruct.dcm", "test-SR.dcm", "liver_1frame.dcm"):
        source = pydicom.data.get_testdata_file(name, download=False)
        (tmp_path / name).write_bytes(Path(str(source)).read_bytes())
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").touch()
    with caplog.at_level(logging.INFO):
        assert volume(tmp_path).shape[0] == 3
    assert "5 files that are no DICOM image were left out" in caplog.text


def test_siemens_mosaics_are_named_and_not_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for k in range(2):
        kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        save(tmp_path / f"{k}", k, 5, ImageType=kind, AcquisitionNumber=k)
    told = problems(find_series(tmp_path)[0])
    assert (
        told[-1]
        == "Siemens mosaic: tiles of one picture, not split; sizes across tiles mean nothing"
    )
    image = read_study(tmp_path, series=2)
    assert isinstance(image, Image)
    assert np.array_equal(image.pixels, picture(1))
    assert "Siemens mosaic" in caplog.text


# ------------------------------------------------------------------ what is refused


def test_folders_without_images(tmp_path: Path) -> None:
    refused(tmp_path, "holds no file", ImageError)
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "holds 1 files, but no DICOM image", ImageError)
    refused(tmp_path / "gone", "no such file or folder", ImageError)


def plant(path: Path, keyword: str) -> None:
    """Text where numbers belong: same length, another type."""
    data = path.read_bytes()
    tag = pydicom.datadict.tag_for_keyword(keyword)
    assert tag is not None
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    (length,) = struct.unpack_from("<H", data, at + 6)
    value = b"SECRET^NAME "
    new = data[at : at + 4] + b"LO" + struct.pack("<H", len(value)) + value
    path.write_bytes(data[:at] + new + data[at + 8 + length :])


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("ImagePositionPatient", "ImagePositionPatient is not 3 numbers"),
        ("ImageOrientationPatient", "ImageOrientationPatient is not 6 numbers"),
        ("PixelSpacing", "PixelSpacing is not 2 numbers"),
        ("Rows", "damaged"),
        ("BitsAllocated", "damaged"),
    ],
)
def test_text_where_numbers_belong(
    tmp_path: Path, keyword: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = series(tmp_path, [1, 2, 3])
    plant(folder / "002.dcm", keyword)
    with caplog.at_level(logging.DEBUG):
        message = refused(folder, words, ImageError)
    assert "002.dcm" in message
    assert SECRET not in caplog.text


def test_numbers_that_cannot_be_geometry(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", [1, 2, 3])
    save(folder / "002.dcm", 2, 2, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    refused(folder, r"002\.dcm: its ImageOrientationPatient is not two perpendicular", ImageError)
    save(folder / "002.dcm", 2, 2, PixelSpacing=[0, 0])
    refused(folder, "pixel sizes differ: slice 0 has 0.5 x 0.75 mm, slice 1 has none")


def test_nothing_of_the_header_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    series(tmp_path / "x", [1, 2, 4])
    series(tmp_path / "y", [1, 2, 3], SeriesInstanceUID="1.2.9", ImageType=["A", SECRET[:6]])
    series(tmp_path / "z", [1, 2, 3], SeriesInstanceUID="1.2.8", PixelSpacing=None)
    with caplog.at_level(logging.DEBUG):
        listed = find_series(tmp_path)
        told = [str(found) for found in listed] + [t for found in listed for t in problems(found)]
        told += [repr(read_study(tmp_path, series=number)) for number in (2, 3)]
        told.append(refused(tmp_path, "unequal spacing", series=1))
    assert SECRET not in " ".join(told)
    refused(tmp_path, "holds 3 series")
    assert SECRET not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_missing_decoder_is_reported_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = series(tmp_path, [1, 2])
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)
    decoder = get_decoder(pydicom.uid.JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"gdcm": ("python-gdcm>=3",)})
    (told,) = problems(find_series(folder)[0])
    assert "JPEG 2000 Image Compression (Lossless Only)" in told
    assert 'pip install "edgesam[codecs]"' in told
    with pytest.raises(ImageError, match=r"edgesam\[codecs\]"):
        volume(folder).slice(0)


# ------------------------------------------------------------------ archives and discs


def archive(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            packed.write(file, str(file.relative_to(folder)))
    return path


def test_an_archive_is_read_where_it_is(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", [1, 2, 3])
    (folder / "readme.txt").write_text("hello")
    path = archive(folder, tmp_path / "a.zip")
    before = sorted(tmp_path.rglob("*"))
    packed, plain = volume(path), volume(folder)
    assert np.array_equal(packed.array, plain.array)
    assert np.array_equal(packed.affine, plain.affine)
    assert packed.origin is not None
    assert [part.file.member for part in packed.origin.parts] == ["003.dcm", "002.dcm", "001.dcm"]
    assert sorted(tmp_path.rglob("*")) == before


def test_archives_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(series(tmp_path / "a", [1, 2, 3]), tmp_path / "a.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged or not a zip archive", ImageError)
    locked = bytearray(whole)
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = locked.find(mark)
        while at >= 0:
            locked[at + offset] |= 1
            at = locked.find(mark, at + 4)
    path.write_bytes(locked)
    refused(path, "is encrypted; unpack it with its password first", ImageError)
    path.write_bytes(whole.replace(b"\x08\x00", b"\x63\x00"))  # a compression nobody knows
    refused(path, "cannot be unpacked", ImageError)
    scrambled = bytearray(whole)
    scrambled[60:200] = bytes(140)
    path.write_bytes(scrambled)
    refused(path, "damaged", ImageError)
    path.write_bytes(whole)
    monkeypatch.setattr(study, "MOST_UNPACKED", 1000)
    refused(path, "limits against decompression bombs", ImageError)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A disc's DICOMDIR of three slices, beside a file that it does not name."""
    path = tmp_path / "disc" / "DICOMDIR"
    series(path.parent / "SE0", [1, 2, 3])
    records: list[dict[str, Any]] = [
        {"DirectoryRecordType": "PATIENT", "PatientName": SECRET, "PatientID": SECRET}
    ]
    for k in range(3):
        file = path.parent / "SE0" / f"{k + 1:03d}.dcm"
        file.rename(file.with_name(f"IM{k}"))
        records.append({"DirectoryRecordType": "IMAGE", "ReferencedFileID": ["SE0", f"IM{k}"]})
    directory = Dataset()
    directory.DirectoryRecordSequence = []
    for record in records:
        entry = Dataset()
        for name, value in record.items():
            setattr(entry, name, value)
        directory.DirectoryRecordSequence.append(entry)
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    directory.save_as(path, enforce_file_format=True)
    save(path.parent / "extra", 9, 9, SeriesInstanceUID="1.2.9")
    return path


def test_a_dicomdir_opens_what_it_names(disc: Path) -> None:
    found = volume(disc)
    assert np.array_equal(found.array, [picture(3), picture(2), picture(1)])
    refused(disc.parent, "holds 2 series")


def test_a_dicomdir_with_missing_files(disc: Path, caplog: pytest.LogCaptureFixture) -> None:
    named = sorted((disc.parent / "SE0").iterdir())
    named[0].unlink()
    assert volume(disc).shape[0] == 2
    assert "1 of the 3 files it names are missing" in caplog.text
    for path in named[1:]:
        path.unlink()
    refused(disc, "none of the 3 files that it names is there", ImageError)


def test_dicomdirs_that_are_refused(disc: Path) -> None:
    whole = disc.read_bytes()
    disc.write_bytes(b"garbage")
    refused(disc, "damaged or not a DICOMDIR; give the folder", ImageError)
    for size in (200, len(whole) - 100, len(whole) - 10):
        disc.write_bytes(whole[:size])
        refused(disc, "damaged or not a DICOMDIR; give the folder", ImageError)


def test_a_dicomdir_leads_nowhere_else(disc: Path) -> None:
    with quiet("pydicom"):  # which warns of such names
        dataset = pydicom.dcmread(disc)
        for record in dataset.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = ["..", "a", "001.dcm"]
        dataset.save_as(disc)
    refused(disc, "none of the 3 files", ImageError)


# ------------------------------------------------------------------ real studies


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the medical images in ../shared")
class TestShared:
    def test_ct_series(self) -> None:
        """The numbers are SimpleITK's 2.5.7 (ImageSeriesReader, GDCM)."""
        pytest.importorskip("gdcm")
        found = volume(SHARED / "ct_series")
        assert (found.shape, found.modality) == ((20, 512, 512), "CT")
        want = [
            [0, 0, 0.9765625, -249.51171875],
            [0, 0.9765625, 0, -437.51171875],
            [2, 0, 0, -804.5],
            [0, 0, 0, 1],
        ]
        assert np.array_equal(found.affine, want)
        values = found.array
        assert values.dtype == np.int16
        assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == "0d9f62d8433a424e"
        assert np.array_equal(found.slice(4).pixels, values[4])
        assert problems(find_series(SHARED / "ct_series")[0]) == []

    def test_ct_series_as_simpleitk_reads_it(self) -> None:
        pytest.importorskip("gdcm")
        reader = pytest.importorskip("SimpleITK").ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(SHARED / "ct_series")))
        theirs = reader.Execute()
        import SimpleITK

        found = volume(SHARED / "ct_series")
        assert np.array_equal(found.array, SimpleITK.GetArrayFromImage(theirs))
        for index in ((0, 0, 0), (3, 100, 7), (19, 511, 511)):
            point = theirs.TransformIndexToPhysicalPoint(index[::-1])
            assert np.allclose(found.affine @ (*index, 1), (*point, 1), atol=1e-6)

    def test_mr_siemens_is_two_mosaics_at_one_position(self) -> None:
        path = SHARED / "mr_siemens" / "20180918Si_mr_0003"
        refused(path, r"1: MR, 1 slice of 216 x 216 \(part 1 of 2 of its series\); 2: MR")
        first, second = (read_study(path, series=number) for number in (1, 2))
        assert isinstance(first, Image)
        assert isinstance(second, Image)
        assert not np.array_equal(first.pixels, second.pixels)
        assert problems(find_series(path)[0]) == [
            "every position occurs 2 times: split into phases",
            "Siemens mosaic: tiles of one picture, not split; sizes across tiles mean nothing",
        ]
