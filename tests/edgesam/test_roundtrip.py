"""The proof that no mask was flipped: what it reads of files that are right, and of those not."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

import edgesam
from edgesam import Volume, roundtrip
from edgesam.affine import LPS_TO_RAS
from edgesam.centroids import KINDS, centroid
from edgesam.commands import main
from edgesam.formats.writing import Kind
from edgesam.roundtrip import Trip, round_trips
from edgesam.volume import InMemory

SHAPE = (12, 10, 8)
VOXELS: tuple[Kind, ...] = ("nifti", "nrrd", "geojson", "coco")
DIRECTIONS = "(0.5,0,0) (0,2,0) (0,0,3)"
SECRET = "SECRET"


def nrrd_file(path: Path, *fields: str) -> Path:
    """A source of zeros, with these fields of its place."""
    lines = ["type: uint8", "dimension: 3", "sizes: 12 10 8", "encoding: raw", *fields]
    path.write_bytes("\n".join(["NRRD0004", *lines, "", ""]).encode() + bytes(12 * 10 * 8))
    return path


def nifti_file(path: Path, shape: tuple[int, ...] = SHAPE, **fields: Any) -> Path:
    """The same, with these fields of the header."""
    nibabel: Any = pytest.importorskip("nibabel")
    affine = np.array([[0, -0.5, 0, 10], [2, 0, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.zeros(shape, np.uint8), affine)
    image.set_qform(affine, 1)
    image.header["vox_offset"] = 352
    for name, value in fields.items():
        image.header[name] = value
    path.write_bytes(image.header.binaryblock + bytes(4) + bytes(int(np.prod(shape))))
    return path


def trips(path: Path) -> dict[Kind, Trip]:
    volume = edgesam.read(path)
    assert isinstance(volume, Volume)
    return {trip.kind: trip for trip in round_trips(volume)}


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["doctor", str(path)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out


class TestFilesThatAreRight:
    """Each was called flipped, or ended in a traceback."""

    @pytest.mark.parametrize(
        "fields",
        [
            (f"space directions: {DIRECTIONS}", "space: LPS"),  # no origin
            (f"space directions: {DIRECTIONS}", "space dimension: 3", "space origin: (1,2,3)"),
            *(
                (f"space directions: {DIRECTIONS}", f"space: {space}", "space origin: (10,20,30)")
                for space in (
                    *("LPS", "ras", "LAS", "left-posterior-superior", "Right-Anterior-Superior"),
                    *("left-anterior-superior", "scanner-xyz", "3D-right-handed"),
                )
            ),
            *(
                (
                    f"space directions: {DIRECTIONS}",
                    "space: right-anterior-superior",
                    "space origin: (10,20,30)",
                    f'space units: "{unit}" "{unit}" "{unit}"',
                )
                for unit in ("um", "µm", "m", "nm", "inch", "cm", "mm", "")
            ),
            ("spacings: 0.5 2 3",),
            ("spacings: 0.5 -2 3", 'units: "um" "um" "um"'),
        ],
    )
    def test_nrrd(self, tmp_path: Path, fields: tuple[str, ...]) -> None:
        pytest.importorskip("nrrd")
        found = trips(nrrd_file(tmp_path / "v.nrrd", *fields))
        assert all(found[kind].close for kind in VOXELS), found

    @pytest.mark.parametrize("units", [0, 1, 2, 3, 7, 11])
    @pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1), (0, 0)])
    def test_nifti(self, tmp_path: Path, units: int, codes: tuple[int, int]) -> None:
        fields = {"xyzt_units": units, "sform_code": codes[0], "qform_code": codes[1]}
        found = trips(nifti_file(tmp_path / "v.nii", **fields))
        assert all(found[kind].close for kind in VOXELS), found

    @pytest.mark.parametrize("shape", [(12, 10), (12, 10, 8, 1)])
    def test_nifti_of_other_numbers_of_axes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        found = trips(nifti_file(tmp_path / "v.nii", shape))
        assert all(found[kind].close for kind in VOXELS), found


class TestFilesThatAreWrong:
    """What the proof is for: a header that says another place than the volume's."""

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            (b"left-posterior-superior", b"left-anterior-superior"),
            (b"left-posterior-superior", b"right-anterior-superior"),
            (b"space origin: (10.0", b"space origin: (11.0"),
            (b"space origin: (10.0", b'space units: "um" "um" "um"\nspace origin: (10.0'),
        ],
    )
    def test_nrrd(self, tmp_path: Path, right: bytes, wrong: bytes) -> None:
        pytest.importorskip("nrrd")
        path = tmp_path / "l.nrrd"
        affine = np.diag([0.5, 2, 3, 1])
        affine[:3, 3] = 10, 20, 30
        volume = Volume.from_array(np.zeros(SHAPE, np.uint8), affine)
        mask = roundtrip.asymmetric_mask(SHAPE)
        edgesam.write(path, mask, volume)
        there = centroid(path, "nrrd", volume)
        assert path.read_bytes().count(right) == 1
        path.write_bytes(path.read_bytes().replace(right, wrong))
        assert np.linalg.norm(centroid(path, "nrrd", volume) - there) > 0.9

    def test_nifti(self, tmp_path: Path) -> None:
        nibabel: Any = pytest.importorskip("nibabel")
        path = tmp_path / "l.nii.gz"
        volume = Volume.from_array(np.zeros(SHAPE, np.uint8), LPS_TO_RAS)
        edgesam.write(path, roundtrip.asymmetric_mask(SHAPE), volume)
        there = centroid(path, "nifti", volume)
        data = bytearray(gzip.decompress(path.read_bytes()))
        header = nibabel.Nifti1Header(bytes(data[:348]))
        header["xyzt_units"] = 3
        data[:348] = header.binaryblock
        path.write_bytes(gzip.compress(bytes(data)))
        assert np.allclose(centroid(path, "nifti", volume), there / 1000)


class TestUnknownSpacing:
    def test_nothing_is_compared_in_millimetres(self) -> None:
        pytest.importorskip("nibabel")
        volume = Volume(InMemory(np.zeros(SHAPE, np.uint8)), np.eye(4), 2, spacing_source=None)
        found = {trip.kind: trip for trip in round_trips(volume)}
        assert set(found) == set(KINDS)
        for trip in found.values():
            assert (trip.millimetres, trip.close, trip.problem) == (None, False, False)
            assert ("unknown spacing: " in trip.reason) == (trip.kind in VOXELS)

    def test_a_series_without_pixel_spacing(
        self, make_stack: Callable[..., Volume], capsys: pytest.CaptureFixture[str]
    ) -> None:
        origin = make_stack((5, 12, 10)).origin
        assert origin is not None
        for part in origin.parts:
            file = dcmread(part.file.path)
            del file.PixelSpacing
            file.save_as(part.file.path)
        code, shown = told(origin.parts[0].file.path.parent, capsys)
        assert code == 0
        assert "No problem found." in shown
        assert "came back" not in shown
        (line,) = (line for line in shown.splitlines() if ": unknown spacing: it was" in line)
        assert line.startswith("note     write ")
        assert set(VOXELS) <= set(line.partition("write ")[2].partition(":")[0].split(", "))


class TestReadersThatFail:
    def test_a_package_that_only_the_proof_needs(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = nifti_file(tmp_path / "v.nii")
        monkeypatch.setitem(sys.modules, "nrrd", None)
        trip = trips(path)["nrrd"]
        assert (trip.millimetres, trip.close, trip.problem) == (None, False, False)
        assert 'pip install "edgesam[volumes]"' in trip.reason
        code, shown = told(path, capsys)
        assert code == 0
        assert "note     write nrrd: it was written" in shown

    @pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, MemoryError])
    def test_any_other_failure_is_a_problem_and_the_next_format_is_tried(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: type[Exception],
    ) -> None:
        path = nifti_file(tmp_path / "v.nii")

        def broken(path: Path, kind: Kind, source: Volume) -> NDArray[np.float64]:
            if kind == "nifti":
                raise error(f"{SECRET}\nand more")
            return centroid(path, kind, source)

        monkeypatch.setattr(roundtrip, "centroid", broken)
        trip = trips(path)["nifti"]
        assert (trip.millimetres, trip.close, trip.problem) == (None, False, True)
        code, shown = told(path, capsys)
        assert code == 1
        assert "problem  write nifti: could not be read back" in shown
        assert "ok       write geojson" in shown
        assert "1 problem found." in shown
        assert SECRET not in shown
