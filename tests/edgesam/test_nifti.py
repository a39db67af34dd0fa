"""NIfTI: axes, affines, codes, units, values; there and back; and what is refused."""

from __future__ import annotations

import gzip
import logging
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from edgesam.affine import LPS_TO_RAS, to_patient
from edgesam.errors import EdgeSamError, ImageError, OutOfMemory, VolumeError
from edgesam.formats import is_study, read
from edgesam.formats.nifti import looks_like_nifti, read_nifti, write_nifti
from edgesam.image import Image
from edgesam.labels import Labels
from edgesam.origin import File, Origin, Part
from edgesam.provenance import Provenance
from edgesam.volume import InMemory, Volume

nib: Any = pytest.importorskip("nibabel")

SHARED = Path(__file__).parents[3] / "shared" / "data"
SHAPE = (5, 4, 3)
WAYS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
Affine = NDArray[np.float64]


def values(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def turned(way: tuple[tuple[int, ...], tuple[int, ...]] = WAYS[0]) -> Affine:
    """Voxels of 0.5, 2 and 3 mm along the axes in one of 48 ways."""
    axes, signs = way
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] @ np.diag(np.multiply(signs, (0.5, 2, 3)))
    affine[:3, 3] = -100.25, 40.5, 800
    return affine


def tilted(degrees: tuple[float, float, float]) -> Affine:
    affine = turned()
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = (a for a in range(3) if a != axis)
        rotation = np.eye(3)
        rotation[[first, second], [first, second]] = np.cos(angle)
        rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
        affine[:3, :3] = rotation @ affine[:3, :3]
    return affine


def save(path: Path, array: NDArray[Any], affine: Any = None, **fields: Any) -> Path:
    """With nibabel, sform and qform from the affine (RAS); then header fields, raw."""
    image = nib.Nifti1Image(array, turned() if affine is None else affine, dtype=array.dtype)
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    nib.save(image, path)
    return patch(path, **fields) if fields else path


def patch(path: Path, **fields: Any) -> Path:
    """Overwrites fields of a header, whatever that makes of it."""
    data = bytearray(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    )
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path


def some_labels(shape: tuple[int, ...], highest: int = 3) -> Labels:
    """Not the same from any side."""
    array = np.zeros(shape, np.uint8 if highest < 256 else np.uint16)
    array[0, 0, 0], array[-1, 0, 0], array[-1, -1, 0] = 1, 2, highest
    array[shape[0] // 2 :, 1:, -1] = 1
    return Labels(array, ())


def refusal(path: Path) -> str:
    """What is said of a file when it is opened, or at the latest when it is used."""
    with pytest.raises(EdgeSamError) as caught:
        read_nifti(path).slice(0)
    message = str(caught.value)
    assert isinstance(caught.value, (ImageError, VolumeError, OutOfMemory))
    assert "\n" not in message
    assert str(path.parent) in message
    assert caught.value.__cause__ is None
    return message


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "|".join(r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)


class TestReading:
    @pytest.mark.parametrize("way", WAYS)
    def test_axes_and_affine_are_the_file_s(self, tmp_path: Path, way: Any) -> None:
        path = save(tmp_path / "v.nii", values(), turned(way))
        volume = read_nifti(path)
        assert np.array_equal(volume.array, values())
        assert np.allclose(LPS_TO_RAS @ volume.affine, turned(way), rtol=1e-6)
        assert volume.orientation == "".join(nib.aff2axcodes(turned(way)))
        assert volume.stacked == way[0].index(2)
        assert volume.origin == Origin("nifti", (Part(File(path)),))
        assert (volume.as_stored, volume.spacing_source) == (False, "sform")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize(
        "dtype", [*(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f4", "f8"]
    )
    @pytest.mark.parametrize("order", "<>")
    def test_values_keep_their_type(
        self, tmp_path: Path, suffix: str, dtype: str, order: str
    ) -> None:
        image = nib.Nifti1Image(values(dtype), turned(), nib.Nifti1Header(endianness=order))
        image.header.set_data_dtype(dtype)
        nib.save(image, tmp_path / f"v{suffix}")
        volume = read_nifti(tmp_path / f"v{suffix}")
        assert volume.voxels.dtype == np.dtype(dtype)
        for axis in range(3):
            plane = volume.voxels.plane(axis, 1)
            assert plane.dtype == np.dtype(dtype)
            assert np.array_equal(plane, values().take(1, axis))
        assert volume.array.dtype == np.dtype(dtype)
        assert np.array_equal(volume.array, values())
        assert np.array_equal(volume.voxels.plane(1, 2), values()[:, 2])

    @pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.hdr"])
    @pytest.mark.parametrize("version", [1, 2])
    def test_versions_and_pairs(self, tmp_path: Path, name: str, version: int) -> None:
        pair, kind = name.endswith(".hdr"), "Pair" if name.endswith(".hdr") else "Image"
        nib.save(getattr(nib, f"Nifti{version}{kind}")(values(), turned()), tmp_path / name)
        assert np.array_equal(read_nifti(tmp_path / name).slice(1).pixels.shape, (4, 5))
        assert np.array_equal(read_nifti(tmp_path / name).array, values())
        if pair:
            assert np.array_equal(read_nifti(tmp_path / "v.img").array, values())
        head = (tmp_path / name).read_bytes()
        head = gzip.decompress(head) if name.endswith(".gz") else head
        assert looks_like_nifti(head[:348])
        assert not looks_like_nifti(head[1:])

    @pytest.mark.parametrize(
        ("header", "data"),
        [
            *(("v.hdr", "v.img"), ("v.hdr.gz", "v.img.gz"), ("v.hdr", "v.img.gz")),
            *(("v.hdr.gz", "v.img"), ("V.HDR", "V.IMG")),
        ],
    )
    @pytest.mark.parametrize("version", [1, 2])
    def test_a_pair_by_either_name(
        self, tmp_path: Path, header: str, data: str, version: int
    ) -> None:
        nib.save(getattr(nib, f"Nifti{version}Pair")(values(), turned()), tmp_path / "p.hdr")
        for made, name in (("p.hdr", header), ("p.img", data)):
            octets = (tmp_path / made).read_bytes()
            (tmp_path / made).unlink()
            (tmp_path / name).write_bytes(gzip.compress(octets) if "gz" in name else octets)
        for name in (header, data):
            volume = read(tmp_path / name)
            assert isinstance(volume, Volume)
            assert np.array_equal(volume.array, values())
            assert not is_study(tmp_path / name)

    def test_the_voxels_that_were_asked_for(self, tmp_path: Path) -> None:
        nib.save(nib.Nifti1Pair(values(), turned()), tmp_path / "p.hdr")
        other = values()[::-1].tobytes("F")
        (tmp_path / "p.img.gz").write_bytes(gzip.compress(other))
        assert np.array_equal(read(tmp_path / "p.img").array, values())
        assert np.array_equal(read(tmp_path / "p.img.gz").array, values()[::-1])

    def test_an_img_that_is_no_pair_s(self, tmp_path: Path) -> None:
        """What is in the file decides, unless a NIfTI header stands beside it."""
        Pillow.new("L", (5, 4)).save(tmp_path / "p.img", "PNG")
        for beside in (b"", b"ENVI\nsamples = 5", bytes(348)):
            (tmp_path / "p.hdr").write_bytes(beside)
            assert isinstance(read(tmp_path / "p.img"), Image)
        (tmp_path / "p.hdr").unlink()
        (tmp_path / "p.hdr.gz").write_bytes(b"\x1f\x8b cut")
        assert isinstance(read(tmp_path / "p.img"), Image)
        nib.save(nib.Nifti1Pair(values(), turned()), tmp_path / "q.hdr")
        (tmp_path / "q.img").unlink()
        with pytest.raises(ImageError, match="no such file"):
            read(tmp_path / "q.img")

    def test_content_decides_not_the_name(self, tmp_path: Path) -> None:
        save(tmp_path / "v.nii.gz", values())
        (tmp_path / "v.nii.gz").rename(tmp_path / "renamed.nii")
        assert np.array_equal(read_nifti(tmp_path / "renamed.nii").array, values())

    def test_a_picture_is_one_slice_and_trailing_ones_are_none(self, tmp_path: Path) -> None:
        path = save(tmp_path / "v.nii", values(shape=(5, 4)))
        assert read_nifti(path).shape == (5, 4, 1)
        patch(path, qform_code=1, sform_code=0, pixdim=[1, 0.5, 2, 0, 0, 0, 0, 0])
        assert read_nifti(path).slice(0).pixels.shape == (4, 5)
        path = save(tmp_path / "w.nii", values(), dim=[5, *SHAPE, 1, 1, 1, 1])
        assert np.array_equal(read_nifti(path).array, values())

    def test_nan_is_named_when_its_slice_is_used(self, tmp_path: Path) -> None:
        array = values(np.float32)
        array[2, 2, 1] = np.nan
        volume = read_nifti(save(tmp_path / "v.nii.gz", array))
        assert volume.slice(0).pixels.shape == (4, 5)
        with pytest.raises(ImageError, match="NaN"):
            volume.slice(1)


class TestScaling:
    @pytest.mark.parametrize(
        ("stored", "slope", "intercept", "dtype"),
        [
            ("u1", 1, 0, "u1"),
            ("u1", 0, 5, "u1"),  # 0 means none
            ("u1", np.nan, 0, "u1"),
            ("u1", 2, -10, "i2"),
            ("i2", 1, -1024, "i4"),
            ("u2", 1, -1024, "i4"),
            ("u4", 3, 0, "i8"),
            ("u8", 2, 0, "f8"),
            ("u1", 0.5, 0, "f4"),
            ("i2", 1, 0.25, "f4"),
            ("i4", 0.5, 0, "f8"),
            ("f4", 2, 0, "f8"),
        ],
    )
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_types_and_values(
        self, tmp_path: Path, suffix: str, stored: str, slope: float, intercept: float, dtype: str
    ) -> None:
        path = save(tmp_path / f"v{suffix}", values(stored), scl_slope=slope, scl_inter=intercept)
        volume = read_nifti(path)
        assert volume.voxels.dtype == np.dtype(dtype)
        none = slope == 0 or np.isnan(slope)
        expected = values("f8") * (1 if none else slope) + (0 if none else intercept)
        assert volume.slice(1).pixels.dtype == np.dtype(dtype)
        assert np.array_equal(volume.voxels.plane(0, 3), expected[3])
        assert volume.array.dtype == np.dtype(dtype)
        assert np.array_equal(volume.array, expected)

    def test_the_ends_of_a_type_do_not_wrap(self, tmp_path: Path) -> None:
        array = values()
        array[0, 0, 0], array[1, 0, 0] = -32768, 32767
        volume = read_nifti(save(tmp_path / "v.nii", array, scl_slope=1, scl_inter=-1024))
        assert (volume.array[0, 0, 0], volume.array[1, 0, 0]) == (-33792, 31743)

    def test_a_slope_without_a_number_for_its_intercept(self, tmp_path: Path) -> None:
        path = save(tmp_path / "v.nii", values(), scl_slope=2, scl_inter=np.inf)
        assert "damaged" in refusal(path)


class TestPlace:
    def test_the_sform_goes_first_and_disagreement_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = save(tmp_path / "v.nii", values())
        read_nifti(path)
        assert said(caplog) == ""
        patch(path, qoffset_x=-97.25)
        assert read_nifti(path).affine[0, 3] == 100.25
        assert "differ by up to 3 mm" in said(caplog)

    def test_what_a_quaternion_cannot_say_is_no_disagreement(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An LPS array turned by a hair: a half turn is where 32-bit quaternions are worst."""
        array = np.zeros((512, 512, 2), np.uint8)
        for degrees in np.linspace(0.005, 0.1, 20):
            affine = LPS_TO_RAS @ tilted((degrees, degrees / 3, degrees / 7))
            read_nifti(save(tmp_path / "v.nii", array, affine))
        assert said(caplog) == ""

    def test_a_qform_alone(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = save(tmp_path / "v.nii", values(), tilted((10, 20, 30)), sform_code=0, srow_x=0)
        volume = read_nifti(path)
        assert volume.spacing_source == "qform"
        assert np.allclose(LPS_TO_RAS @ volume.affine, tilted((10, 20, 30)), atol=1e-4)
        # Some writers leave qfac 0 or sizes negative; nibabel takes them as these.
        pixdim = [0, -0.5, 2, 3, 1, 1, 1, 1]
        again = read_nifti(patch(path, pixdim=pixdim))
        assert np.allclose(again.affine, volume.affine)
        assert said(caplog) == ""

    def test_a_left_handed_qform(self, tmp_path: Path) -> None:
        left_handed = turned(((0, 1, 2), (-1, 1, 1)))
        path = save(tmp_path / "v.nii", values(), left_handed, sform_code=0)
        assert np.allclose(LPS_TO_RAS @ read_nifti(path).affine, left_handed)

    def test_neither_is_a_guess_that_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = save(tmp_path / "v.nii", values(), sform_code=0, qform_code=0)
        volume = read_nifti(path)
        assert volume.spacing == (0.5, 2, 3)
        assert volume.spacing_source == "pixdim"
        assert "no orientation" in said(caplog)
        assert np.allclose(LPS_TO_RAS @ volume.affine, nib.load(path).affine)

    def test_neither_and_no_sizes(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        fields = {"sform_code": 0, "qform_code": 0, "pixdim": [1, 0, 0, 0, 1, 1, 1, 1]}
        volume = read_nifti(save(tmp_path / "v.nii", values(), **fields))
        assert volume.spacing_source is None
        assert volume.spacing == (1, 1, 1)
        assert volume.slice(0).place.region((0, 0, 1, 1)) is None
        assert "no spacing" in said(caplog)

    @pytest.mark.parametrize(("units", "scale"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1)])
    def test_units_become_millimetres(self, tmp_path: Path, units: int, scale: float) -> None:
        volume = read_nifti(save(tmp_path / "v.nii", values(), xyzt_units=units))
        expected = np.diag([scale, scale, scale, 1]) @ turned()
        assert np.allclose(LPS_TO_RAS @ volume.affine, expected, rtol=1e-6)

    def test_a_sheared_sform_is_kept(self, tmp_path: Path) -> None:
        affine = turned()
        affine[1, 2] = 0.7
        rows = {f"srow_{name}": row for name, row in zip("xyz", affine, strict=False)}
        path = save(tmp_path / "v.nii", values(), qform_code=0, **rows)
        assert np.allclose(LPS_TO_RAS @ read_nifti(path).affine, affine, rtol=1e-6)


class TestLaziness:
    def test_opening_and_slicing_a_large_file_takes_a_slice_of_memory(self, tmp_path: Path) -> None:
        """256 MB, of which the disk holds next to nothing."""
        path = save(tmp_path / "v.nii", values(), dim=[3, 512, 512, 512, 1, 1, 1, 1])
        with path.open("r+b") as stream:
            stream.truncate(352 + 2 * 512**3)
        tracemalloc.start()
        try:
            volume = read_nifti(path)
            assert not volume.slice(400).pixels.any()
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()

    def test_a_gzipped_file_is_read_once_by_all_threads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume = read_nifti(save(tmp_path / "v.nii.gz", values()))
        opened: list[str] = []
        gzip_open = gzip.open

        def count(path: Any, *args: Any) -> Any:
            opened.append(str(path))
            time.sleep(0.05)  # for the others to come
            return gzip_open(path, *args)

        monkeypatch.setattr(gzip, "open", count)
        with ThreadPoolExecutor(8) as pool:
            slices = list(pool.map(lambda n: volume.slice(n % 3).pixels, range(48)))
        assert len(opened) == 1
        for number, pixels in enumerate(slices):
            # Up is the front, left the patient's right: this file is RAS.
            assert np.array_equal(pixels, values()[::-1, ::-1, number % 3].T)

    def test_threads_share_an_uncompressed_file(self, tmp_path: Path) -> None:
        volume = read_nifti(save(tmp_path / "v.nii", values()))
        with ThreadPoolExecutor(8) as pool:
            planes = list(pool.map(lambda n: volume.voxels.plane(0, n % 5), range(50)))
        assert all(np.array_equal(plane, values()[n % 5]) for n, plane in enumerate(planes))

    def test_the_file_is_not_held_open(self, tmp_path: Path) -> None:
        path = save(tmp_path / "v.nii", values())
        volume = read_nifti(path)
        volume.slice(0)
        path.unlink()
        with pytest.raises(ImageError, match="cannot be opened") as caught:
            volume.slice(1)
        assert str(path) in str(caught.value)

    def test_what_was_read_cannot_be_changed_by_one_of_its_users(self, tmp_path: Path) -> None:
        volume = read_nifti(save(tmp_path / "v.nii.gz", values()))
        with pytest.raises(ValueError, match="read-only"):
            volume.array[0, 0, 0] = 1

    def test_a_volume_larger_than_memory_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume = read_nifti(save(tmp_path / "v.nii.gz", values()))
        monkeypatch.setattr("edgesam.formats.file_voxels.available_memory", lambda: 100)
        with pytest.raises(OutOfMemory, match="of memory"):
            volume.slice(0)


class TestWriting:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("way", WAYS)
    def test_over_a_nifti_file(self, tmp_path: Path, way: Any, suffix: str) -> None:
        source = read_nifti(save(tmp_path / "v.nii", values(), turned(way)))
        labels = some_labels(SHAPE)
        write_nifti(tmp_path / f"l{suffix}", labels, source)
        theirs = nib.load(tmp_path / f"l{suffix}")
        assert np.array_equal(np.asarray(theirs.dataobj), labels.array)
        assert np.array_equal(theirs.affine, nib.load(tmp_path / "v.nii").affine)
        ours = read_nifti(tmp_path / f"l{suffix}")
        assert np.array_equal(ours.array, labels.array)
        assert np.array_equal(ours.affine, source.affine)
        assert ours.voxels.dtype == np.uint8

    @pytest.mark.parametrize("way", WAYS)
    def test_over_an_array(self, tmp_path: Path, way: Any) -> None:
        source = Volume.from_array(values(), turned(way))
        labels = some_labels(SHAPE)
        write_nifti(tmp_path / "l.nii.gz", labels, source)
        ours = read_nifti(tmp_path / "l.nii.gz")
        assert np.array_equal(ours.array, labels.array)
        assert np.allclose(ours.affine, source.affine, rtol=1e-6, atol=1e-6)

    @settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*[st.floats(-180, 180)] * 3), st.floats(-0.4, 0.4))
    @example((0.0, 0.0, 0.0), 0.017578125)
    def test_oblique_and_sheared(
        self, tmp_path: Path, angles: tuple[float, float, float], shear: float
    ) -> None:
        affine = tilted(angles)
        affine[:3, 2] += shear * affine[:3, 1]
        source = Volume.from_array(values(), affine)
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), source)
        ours = read_nifti(tmp_path / "l.nii")
        # NIfTI-1 has 32-bit floats: 1e-6 of a coordinate.
        assert np.abs(ours.affine - affine).max() < 1e-6 * np.abs(affine).max()
        assert np.array_equal(ours.array, some_labels(SHAPE).array)
        theirs = nib.load(tmp_path / "l.nii")
        if theirs.header["qform_code"]:  # both forms then say the same, for readers of either
            apart = theirs.get_qform() - theirs.get_sform()
            corners = np.array([*product(*((0, size - 1) for size in SHAPE), [1])])
            assert np.linalg.norm(apart @ corners.T, axis=0).max() < 0.0501
        assert shear == 0 or abs(shear) < 0.1 or theirs.header["qform_code"] == 0

    @pytest.mark.parametrize("tilt", [0, 0.3])
    def test_over_dicom_slices_axes_are_column_row_slice(self, tmp_path: Path, tilt: float) -> None:
        array = values(shape=(3, 4, 5))
        affine = np.zeros((4, 4))  # (slice, row, column) to LPS: axial, feet first
        affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -3, 0.8, 0.7, 1
        affine[1, 0] = tilt
        affine[:3, 3] = 10, 20, 30
        parts = tuple(Part(File(Path(f"{n}.dcm"))) for n in range(3))
        source = Volume(InMemory(array), affine, as_stored=True, origin=Origin("dicom", parts))
        labels = some_labels((3, 4, 5))
        write_nifti(tmp_path / "l.nii.gz", labels, source)
        ours = read_nifti(tmp_path / "l.nii.gz")
        assert np.array_equal(ours.array, labels.array.transpose(2, 1, 0))
        for index in ((0, 0, 0), (2, 1, 3), (1, 3, 4)):
            assert np.allclose(
                to_patient(ours.affine, index[::-1]), to_patient(affine, index), atol=1e-5
            )
        header = nib.load(tmp_path / "l.nii.gz").header
        assert header["sform_code"] == 1
        assert header["qform_code"] == (0 if tilt else 1)  # a quaternion cannot say a tilt

    def test_what_the_file_says_of_its_place_is_kept(self, tmp_path: Path) -> None:
        path = save(
            tmp_path / "v.nii",
            values(),
            **{"sform_code": 4, "qform_code": 2, "qoffset_x": 7, "xyzt_units": 3, "toffset": 5},
        )
        source = read_nifti(path)
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), source)
        theirs, kept = nib.load(tmp_path / "l.nii").header, nib.load(path).header
        for field in ("sform_code", "qform_code", "xyzt_units", "pixdim", "dim"):
            assert np.array_equal(theirs[field], kept[field])
        assert np.array_equal(theirs.get_sform(), kept.get_sform())
        assert np.array_equal(theirs.get_qform(), kept.get_qform())
        assert np.array_equal(read_nifti(tmp_path / "l.nii").affine, source.affine)

    @pytest.mark.parametrize("codes", [(0, 0), (0, 1), (1, 0)])
    def test_codes_are_not_made_up(self, tmp_path: Path, codes: tuple[int, int]) -> None:
        path = save(tmp_path / "v.nii", values(), sform_code=codes[0], qform_code=codes[1])
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), read_nifti(path))
        header = nib.load(tmp_path / "l.nii").header
        assert (header["sform_code"], header["qform_code"]) == codes
        assert np.array_equal(read_nifti(tmp_path / "l.nii").affine, read_nifti(path).affine)

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("version", [1, 2])
    def test_the_version_is_kept_and_the_byte_order_is_little(
        self, tmp_path: Path, version: int, order: str
    ) -> None:
        header = getattr(nib, f"Nifti{version}Header")(endianness=order)
        image = getattr(nib, f"Nifti{version}Image")(values(), turned(), header)
        nib.save(image, tmp_path / "v.nii")
        source = read_nifti(tmp_path / "v.nii")
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), source)
        theirs = nib.load(tmp_path / "l.nii")
        assert type(theirs) is type(image)
        assert theirs.header.endianness == "<"
        assert np.array_equal(theirs.affine, turned())

    def test_nothing_else_of_the_header_is_copied(self, tmp_path: Path) -> None:
        secret = {"descrip": b"SECRET", "aux_file": b"SECRET", "db_name": b"SECRET"}
        source = read_nifti(save(tmp_path / "v.nii", values(), intent_name=b"SECRET", **secret))
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), source)
        assert b"SECRET" not in (tmp_path / "l.nii").read_bytes()

    def test_a_volume_that_was_moved_lies_where_it_was_moved(self, tmp_path: Path) -> None:
        source = read_nifti(save(tmp_path / "v.nii", values()))
        moved = Volume(source.voxels, np.diag([2.0, 2, 2, 1]), 2, origin=source.origin)
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), moved)
        assert np.array_equal(read_nifti(tmp_path / "l.nii").affine, moved.affine)

    def test_unknown_spacing_stays_unknown(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = Volume(InMemory(values()), np.eye(4), 2, spacing_source=None)
        write_nifti(tmp_path / "l.nii", some_labels(SHAPE), source)
        header = nib.load(tmp_path / "l.nii").header
        assert (header["sform_code"], header["qform_code"], header["xyzt_units"]) == (0, 0, 0)
        again = read_nifti(tmp_path / "l.nii")
        assert again.spacing_source is None
        assert "unknown spacing" in repr(again)
        write_nifti(tmp_path / "m.nii", some_labels(SHAPE), again)
        assert read_nifti(tmp_path / "m.nii").spacing_source is None

    def test_others_open_unknown_spacing(self, tmp_path: Path) -> None:
        source = Volume(InMemory(values()), np.eye(4), 2, spacing_source=None)
        write_nifti(tmp_path / "l.nii.gz", some_labels(SHAPE), source)
        theirs = nib.load(tmp_path / "l.nii.gz")
        assert np.array_equal(np.asarray(theirs.dataobj), some_labels(SHAPE).array)
        assert theirs.header.get_zooms() == (1, 1, 1)
        itk = pytest.importorskip("SimpleITK")
        image = itk.ReadImage(str(tmp_path / "l.nii.gz"))
        assert np.array_equal(itk.GetArrayFromImage(image).T, some_labels(SHAPE).array)
        assert image.GetSpacing() == (1, 1, 1)

    @pytest.mark.parametrize(("highest", "dtype"), [(3, "u1"), (255, "u1"), (256, "<u2")])
    def test_the_smallest_integers(self, tmp_path: Path, highest: int, dtype: str) -> None:
        source = Volume.from_array(values(), turned())
        wide = Labels(some_labels(SHAPE, highest).array.astype(np.uint16), ())
        write_nifti(tmp_path / "l.nii", wide, source)
        theirs = nib.load(tmp_path / "l.nii")
        assert theirs.get_data_dtype() == np.dtype(dtype)
        assert np.asarray(theirs.dataobj).max() == highest

    def test_the_same_labels_give_the_same_bytes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Volume.from_array(values(), turned())
        write_nifti(tmp_path / "a.nii.gz", some_labels(SHAPE), source)
        later = time.time() + 1e6
        monkeypatch.setattr(time, "time", lambda: later)
        write_nifti(tmp_path / "b.nii.gz", some_labels(SHAPE), source)
        data = (tmp_path / "a.nii.gz").read_bytes()
        assert data == (tmp_path / "b.nii.gz").read_bytes()
        assert data[:2] == b"\x1f\x8b"

    def test_the_maker_is_named(self, tmp_path: Path) -> None:
        made = Provenance("lite-medsam", "fp32", "e", "0" * 64, "1" * 64, "as stored")
        labels = Labels(some_labels(SHAPE).array, (), made)
        write_nifti(tmp_path / "l.nii", labels, Volume.from_array(values(), turned()))
        assert nib.load(tmp_path / "l.nii").header["descrip"] == b"edgesam lite-medsam fp32"

    @pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3, 1)])
    def test_the_file_s_own_axes_are_kept(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        source = read_nifti(save(tmp_path / "v.nii", values(shape=shape)))
        write_nifti(tmp_path / "l.nii", some_labels(source.shape), source)
        assert nib.load(tmp_path / "l.nii").shape == shape

    def test_large_axes_need_the_second_version(self, tmp_path: Path) -> None:
        shape = (40_000, 2, 1)
        source = Volume.from_array(np.zeros(shape, np.uint8), turned())
        write_nifti(tmp_path / "l.nii.gz", some_labels(shape), source)
        assert np.array_equal(read_nifti(tmp_path / "l.nii.gz").array, some_labels(shape).array)

    def test_refusals_leave_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = Volume.from_array(values(), turned())

        def refused(path: Path, labels: Labels) -> str:
            with pytest.raises(EdgeSamError) as caught:
                write_nifti(path, labels, source)
            assert "\n" not in str(caught.value)
            return str(caught.value)

        labels = some_labels(SHAPE)
        assert "(5, 4, 4)" in refused(tmp_path / "l.nii", some_labels((5, 4, 4)))
        assert ".nii" in refused(tmp_path / "l.img", labels)
        assert "no folder" in refused(tmp_path / "missing" / "l.nii", labels)

        def denied(self: Path, *args: Any) -> None:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", denied)
            assert "not permitted" in refused(tmp_path / "l.nii", labels)
        assert list(tmp_path.glob("*.nii*")) == []
        assert list(tmp_path.glob(".edgesam*")) == []


class TestRefusals:
    def test_no_nibabel(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "v.nii", values())
        monkeypatch.setitem(sys.modules, "nibabel", None)
        assert 'pip install "edgesam[volumes]"' in refusal(path)
        with pytest.raises(ImageError, match=r"edgesam\[volumes\]"):
            write_nifti(path, some_labels(SHAPE), Volume.from_array(values(), turned()))

    def test_series_and_vectors(self, tmp_path: Path) -> None:
        message = refusal(save(tmp_path / "v.nii", values(shape=(5, 4, 3, 2))))
        assert "(5, 4, 3, 2)" in message
        assert "save one of its volumes" in message
        assert "(5, 4, 1, 1, 3)" in refusal(save(tmp_path / "v.nii", values(shape=(5, 4, 1, 1, 3))))
        assert "one axis" in refusal(save(tmp_path / "v.nii", values(), dim=[1, 60] + [1] * 6))

    @pytest.mark.parametrize("code", [1, 32, 128, 1792, 2304, 7777])
    def test_voxels_that_are_no_numbers(self, tmp_path: Path, code: int) -> None:
        assert "complex, colours" in refusal(save(tmp_path / "v.nii", values(), datatype=code))

    @pytest.mark.parametrize(
        "fields",
        [
            {"srow_x": [0, 0, 0, 5]},
            {"srow_x": [np.nan, 0, 0, 5]},
            {"srow_x": [0, 2, 0, 0]},
            {"sform_code": 0, "pixdim": [1, 1, 0, 1, 1, 1, 1, 1]},
            {"sform_code": 0, "quatern_b": 2},
            {"sform_code": 0, "quatern_b": np.nan},
        ],
    )
    def test_affines_that_cannot_be(self, tmp_path: Path, fields: dict[str, Any]) -> None:
        path = save(tmp_path / "v.nii", values(), **fields)
        with pytest.raises(VolumeError):
            read_nifti(path)
        refusal(path)

    def test_a_broken_qform_beside_an_sform_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        volume = read_nifti(save(tmp_path / "v.nii", values(), quatern_b=2))
        assert volume.spacing_source == "sform"
        assert "no rotation" in said(caplog)

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize(
        "dim",
        [
            [3, 10_000, 10_000, 10_000, 1, 1, 1, 1],
            [3, 32767, 32767, 32767, 1, 1, 1, 1],
            [3, -5, 4, 3, 1, 1, 1, 1],
            [3, 5, 0, 3, 1, 1, 1, 1],
            [0, 5, 4, 3, 1, 1, 1, 1],
            [-3, 5, 4, 3, 1, 1, 1, 1],
            [3, 6, 4, 3, 1, 1, 1, 1],
        ],
    )
    def test_sizes_that_are_not_there(self, tmp_path: Path, dim: list[int], suffix: str) -> None:
        path = save(tmp_path / f"v{suffix}", values(), dim=dim)
        tracemalloc.start()
        try:
            refusal(path)
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_every_cut(self, tmp_path: Path, suffix: str) -> None:
        whole = save(tmp_path / f"v{suffix}", values()).read_bytes()
        for size in range(len(whole)):
            path = tmp_path / f"cut{suffix}"
            path.write_bytes(whole[:size])
            refusal(path)

    def test_every_gzipped_byte_but_the_header_s_is_guarded(self, tmp_path: Path) -> None:
        """A changed byte is refused, or changes nothing: gzip's header holds no pixels."""
        whole = save(tmp_path / "v.nii.gz", values()).read_bytes()
        path = tmp_path / "w.nii.gz"
        for at in range(len(whole)):
            changed = bytearray(whole)
            changed[at] ^= 0x55
            path.write_bytes(changed)
            with suppress(EdgeSamError):
                assert np.array_equal(read_nifti(path).array, values())
                assert at < 20

    def test_what_is_no_nifti(self, tmp_path: Path) -> None:
        path = tmp_path / "v.nii"
        for data in (b"", b"\0" * 352, b"\x1f\x8b", gzip.compress(b"text")):
            path.write_bytes(data)
            refusal(path)
        assert "damaged" in refusal(save(path, values(), vox_offset=0))
        refusal(save(path, values(), vox_offset=np.nan))
        refusal(save(path, values(), vox_offset=1e12))
        save(path, values(), magic=b"nix")
        assert "no NIfTI header" in refusal(path)
        assert "No such file" in refusal(tmp_path / "missing.nii")
        refusal(tmp_path)

    def test_a_header_without_its_voxels(self, tmp_path: Path) -> None:
        nib.save(nib.Nifti1Pair(values(), turned()), tmp_path / "v.hdr")
        (tmp_path / "v.img").unlink()
        assert "there is no v.img beside it" in refusal(tmp_path / "v.hdr")

    @settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=8))
    def test_any_header_is_read_or_refused(
        self, tmp_path: Path, changes: list[tuple[int, int]]
    ) -> None:
        data = bytearray(save(tmp_path / "v.nii", values()).read_bytes())
        for at, byte in changes:
            data[at] = byte
        (tmp_path / "w.nii").write_bytes(data)
        with suppress(EdgeSamError):  # nothing else may come
            volume = read_nifti(tmp_path / "w.nii")
            for index in range(volume.count()):
                volume.slice(index)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
class TestShared:
    @pytest.mark.parametrize(
        ("image", "label"),
        [
            ("volumes/example_ct_sm.nii.gz", "volumes/example_seg.nii.gz"),
            ("volumes/t1w.nii.gz", "volumes/t1w_seg-manual.nii.gz"),
            ("volumes/t2.nii.gz", "volumes/t2_seg-manual.nii.gz"),
        ],
    )
    def test_labels_line_up_and_go_round(self, tmp_path: Path, image: str, label: str) -> None:
        source, truth = read_nifti(SHARED / image), read_nifti(SHARED / label)
        assert np.array_equal(source.affine, truth.affine)
        assert source.orientation == {"t2.nii.gz": "PSR"}.get(Path(image).name, "RAS")
        labels = Labels.over(source, truth.array)
        write_nifti(tmp_path / "l.nii.gz", labels, source)
        again = read_nifti(tmp_path / "l.nii.gz")
        assert np.array_equal(again.array, truth.array)
        assert np.array_equal(again.affine, source.affine)
        theirs = nib.load(tmp_path / "l.nii.gz")
        assert np.array_equal(theirs.affine, nib.load(SHARED / image).affine)

    def test_the_values_are_nibabel_s(self) -> None:
        for path in sorted((SHARED / "volumes").glob("*.nii.gz")):
            assert np.array_equal(read_nifti(path).array, np.asarray(nib.load(path).dataobj))

    def test_the_labels_of_a_dicom_series(self, tmp_path: Path) -> None:
        truth = read_nifti(SHARED / "dicom" / "example_seg_dicom.nii.gz")
        assert (truth.shape, truth.orientation, truth.stacked) == ((512, 512, 20), "LAS", 2)
        write_nifti(tmp_path / "l.nii.gz", Labels.over(truth, truth.array), truth)
        again = read_nifti(tmp_path / "l.nii.gz")
        assert np.array_equal(again.array, truth.array)
        assert np.array_equal(again.affine, truth.affine)


class TestSimpleItk:
    """ITK's own reader of NIfTI: world LPS, array (slice, row, column) of the file's axes."""

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("dicom", [False, True])
    def test_the_same_values_at_the_same_millimetres(
        self, tmp_path: Path, way: Any, dicom: bool
    ) -> None:
        itk = pytest.importorskip("SimpleITK")
        source = Volume.from_array(values(), turned(way))
        if dicom:
            parts = tuple(Part(File(Path(f"{n}.dcm"))) for n in range(SHAPE[0]))
            source = Volume(source.voxels, source.affine, origin=Origin("dicom", parts))
        labels = some_labels(SHAPE)
        write_nifti(tmp_path / "l.nii.gz", labels, source)
        image = itk.ReadImage(str(tmp_path / "l.nii.gz"))
        for index in np.ndindex(*SHAPE):
            point = to_patient(source.affine, index)
            found = image.TransformPhysicalPointToIndex([float(c) for c in point])
            assert image[found] == labels.array[index]
