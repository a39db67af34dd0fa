"""``edgesam segment STUDY`` and ``edgesam doctor STUDY``: which slice, and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
import edgesam.engines
from edgesam import Volume, roundtrip
from edgesam.affine import LPS_TO_RAS
from edgesam.bundle import Bundle
from edgesam.centroids import centroid, mask_centroid
from edgesam.commands import main
from edgesam.engines.fake import FakeEngine
from edgesam.labels import Labels
from edgesam.roundtrip import asymmetric_mask, round_trips

Capture = pytest.CaptureFixture[str]
MakeStack = Callable[..., Volume]
DICOM = ("seg", "labelmap", "rtstruct", "sr")
SECRET = "SECRET"
SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def stack(make_stack: MakeStack) -> Path:
    """A folder of six slices of 40 x 30 pixels, each higher than wide."""
    volume = make_stack((6, 40, 30), spacing=(2.0, 1.0))
    assert volume.origin is not None
    return volume.origin.parts[0].file.path.parent


@pytest.fixture
def segment(
    stack: Path,
    tmp_path: Path,
    make_bundle: Callable[..., Bundle],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., int]:
    """Runs the command with mobile-sam's profile over the engine that paints its prompts."""
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": FakeEngine()})
    bundle = make_bundle()

    def run(*options: object, source: Path = stack, out: str = "mask.png") -> int:
        words = ["segment", source, "--model", bundle.path, "-o", tmp_path / out, *options]
        return main([str(word) for word in words])

    return run


def fails(capsys: Capture, code: int, *said: str) -> None:
    """The command has ended, with one line that says this."""
    assert code in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    for words in said:
        assert words in error
    assert SECRET not in error


class TestWhichPicture:
    def test_a_slice(self, segment: Callable[..., int], tmp_path: Path, capsys: Capture) -> None:
        assert segment("--slice", 2, "--box", "5,10,20,30", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert report["picture"].startswith("slice 2 of Volume(CT, 6 x 40 x 30")
        measured = report["objects"][0]["measured"]
        assert measured["area_mm2"] == pytest.approx(2.0 * report["objects"][0]["area"])
        assert measured["volume_ml"] == pytest.approx(2.5 * measured["area_mm2"] / 1000)
        with Pillow.open(tmp_path / "mask.png") as mask:
            assert mask.size == (30, 40)

    def test_another_axis(self, segment: Callable[..., int], tmp_path: Path) -> None:
        options = ("--axis", "coronal", "--slice", 33, "--box", "5,1,20,4", "--overlay")
        assert segment(*options, tmp_path / "seen.png") == 0
        with Pillow.open(tmp_path / "mask.png") as mask:
            assert mask.size == (30, 6)
        with Pillow.open(tmp_path / "seen.png") as seen:
            width, height = seen.size
            assert height / width == pytest.approx(6 * 2.5 / 30, rel=0.02), "square pixels"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "choose a slice with --slice 0..5"),
            (("--slice", "6"), "there is no slice 6: this volume has 6, 0..5"),
            (("--slice", "-1"), "there is no slice -1"),
            (("--slice", "2", "--frame", "1"), "give one of them"),
            (("--axis", "coronal"), "--axis needs the --slice"),
            (("--series", "7", "--slice", "1"), "holds no such series"),
            (("--frame", "1"), "leave the frame out"),
        ],
    )
    def test_none_or_a_wrong_one(
        self,
        segment: Callable[..., int],
        tmp_path: Path,
        capsys: Capture,
        options: tuple[str, ...],
        said: str,
    ) -> None:
        try:
            code = segment("--box", "5,10,20,30", *options)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        fails(capsys, code, said)
        assert not (tmp_path / "mask.png").exists()

    def test_a_picture_has_no_slices(
        self, segment: Callable[..., int], tmp_path: Path, capsys: Capture
    ) -> None:
        Pillow.new("L", (30, 20)).save(tmp_path / "a.png")
        code = segment("--box", "5,5,9,9", "--slice", 1, source=tmp_path / "a.png")
        fails(capsys, code, "a.png: is not a volume: leave --slice out")

    def test_a_cine_needs_its_frame(
        self,
        segment: Callable[..., int],
        make_cine: Callable[..., Any],
        capsys: Capture,
        tmp_path: Path,
    ) -> None:
        cine = make_cine((5, 12, 16)).origin.parts[0].file.path
        code = segment("--box", "2,2,9,9", source=cine)
        fails(capsys, code, "has 5 frames; choose one with --frame 0..4")
        assert segment("--box", "2,2,9,9", "--frame", 3, source=cine) == 0
        assert "picture: frame 3 of Cine(US, 5 frames of 16 x 12" in capsys.readouterr().out
        words = ("--box", "2,2,9,9", "--frame", 3)
        code = segment(*words, source=cine, out="a.dcm")
        fails(capsys, code, "DICOM SEG needs a place in the patient", "a structured report (sr)")
        assert segment(*words, "--as", "sr", source=cine, out="a.dcm") == 0
        assert pydicom.dcmread(tmp_path / "a.dcm").Modality == "SR"


class TestWhatIsWritten:
    def test_the_mask_lies_where_it_was_drawn(
        self, segment: Callable[..., int], stack: Path, tmp_path: Path
    ) -> None:
        assert segment("--slice", 2, "--box", "5,10,20,30") == 0
        with Pillow.open(tmp_path / "mask.png") as picture:
            drawn = np.asarray(picture) > 0
        assert segment("--slice", 2, "--box", "5,10,20,30", out="mask.nii.gz") == 0
        volume, written = edgesam.read(stack), edgesam.read(tmp_path / "mask.nii.gz")
        assert isinstance(volume, Volume)
        assert isinstance(written, Volume)
        index = np.argwhere(written.array > 0)
        there = written.affine @ np.c_[index, np.ones(len(index))].T
        found = np.rint(np.linalg.inv(volume.affine) @ there)[:3].T.astype(int)
        back = np.zeros(volume.shape, np.bool_)
        back[tuple(found.T)] = True
        np.testing.assert_array_equal(back[2], drawn)
        assert not back[[0, 1, 3, 4, 5]].any()

    @pytest.mark.parametrize(
        ("out", "kind"),
        [
            ("a.dcm", None),
            ("a.dcm", "labelmap"),
            ("a.dcm", "rtstruct"),
            ("a.dcm", "sr"),
            ("a.nii", None),
            ("a.seg.nrrd", None),
            ("a.geojson", None),
            ("a.json", None),
            ("a.gif", None),
            ("a.png", "sheet"),
            ("a.tif", None),
        ],
    )
    def test_every_format(
        self, segment: Callable[..., int], tmp_path: Path, out: str, kind: str | None
    ) -> None:
        words = ("--slice", 1, "--box", "2,2,12,20", "--box", "15,15,28,38")
        named = ("--name", "liver", "--name", "left kidney")
        assert segment(*words, *named, *(("--as", kind) if kind else ()), out=out) == 0
        assert (tmp_path / out).stat().st_size > 0
        assert not list(tmp_path.glob(".edgesam-*"))

    def test_empty_frames(
        self, segment: Callable[..., int], tmp_path: Path, capsys: Capture
    ) -> None:
        for options, frames in (((), 1), (("--empty-frames",), 6)):
            assert segment("--slice", 1, "--box", "2,2,12,20", *options, out="a.dcm") == 0
            assert pydicom.dcmread(tmp_path / "a.dcm").NumberOfFrames == frames
        code = segment("--slice", 1, "--box", "2,2,12,20", "--empty-frames", out="a.nii")
        fails(capsys, code, "--empty-frames is for DICOM SEG")

    def test_names_become_terms(self, segment: Callable[..., int], tmp_path: Path) -> None:
        options = ("--slice", 1, "--box", "2,2,12,20", "--name", "left kidney")
        assert segment(*options, out="a.dcm") == 0
        seg = pydicom.dcmread(tmp_path / "a.dcm")
        (only,) = seg.SegmentSequence
        assert only.SegmentLabel == "left kidney"
        assert only.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Kidney"
        (made_by,) = only.SegmentationAlgorithmIdentificationSequence
        assert "mobile-sam" in str(made_by.AlgorithmParameters)

    @pytest.mark.parametrize(
        ("options", "out", "said"),
        [
            ((), "a.doc", "a mask is written as .png"),
            (("--as", "seg"), "a.png", "seg is written as .dcm"),
            (("--as", "what"), "a.dcm", "'what' is none of png, tiff, seg"),
            ((), "none/a.dcm", "does not exist"),
            (("--name", "a", "--name", "b"), "a.dcm", "give one --name for each object"),
            (("--name", "x" * 65), "a.dcm", "1 to 64 printable characters"),
            (("--name", " "), "a.dcm", "1 to 64 printable characters"),
            (("--name", "a\\b"), "a.dcm", "1 to 64 printable characters"),
        ],
    )
    def test_what_cannot_be_meant(
        self,
        segment: Callable[..., int],
        capsys: Capture,
        options: tuple[str, ...],
        out: str,
        said: str,
    ) -> None:
        try:
            code = segment("--slice", 1, "--box", "2,2,12,20", *options, out=out)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        fails(capsys, code, said)

    def test_dicom_of_what_is_none(
        self, segment: Callable[..., int], tmp_path: Path, capsys: Capture
    ) -> None:
        Pillow.new("L", (30, 20)).save(tmp_path / "a.png")
        code = segment("--box", "5,5,9,9", source=tmp_path / "a.png", out="a.dcm")
        fails(capsys, code, "seg refers to DICOM images, and the source is none")

    @pytest.mark.parametrize("out", ["003.dcm", "000.dcm"])
    def test_a_file_of_the_study_is_spared(
        self, segment: Callable[..., int], stack: Path, capsys: Capture, out: str
    ) -> None:
        before = (stack / out).read_bytes()
        code = segment("--slice", 1, "--box", "2,2,12,20", out=str(stack / out))
        fails(capsys, code, "it is a file of the source")
        assert (stack / out).read_bytes() == before

    @pytest.mark.parametrize(("out", "axis"), [("a.geojson", "sagittal"), ("a.json", "coronal")])
    def test_a_picture_across_slices_stays_whole(
        self, segment: Callable[..., int], tmp_path: Path, out: str, axis: str
    ) -> None:
        options = ("--axis", axis, "--slice", 12, "--box", "5,1,20,4")
        assert segment(*options, out=out) == 0
        written = json.loads((tmp_path / out).read_text("utf-8"))
        if out.endswith(".geojson"):
            (feature,) = written["features"]
            assert (feature["properties"]["axis"], feature["properties"]["slice"]) == (axis, 12)
        else:
            assert [image["file_name"] for image in written["images"]] == [f"{axis}-0012"]

    def test_a_missing_package(
        self, segment: Callable[..., int], capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edgesam.formats.writing.find_spec", lambda name: None)
        code = segment("--slice", 1, "--box", "2,2,12,20", out="a.dcm")
        fails(capsys, code, "needs the package highdicom", 'pip install "edgesam[dicom]"')


class TestOneSlice:
    """A DICOM file by itself knows its place: results of it lie there too."""

    @pytest.mark.parametrize("kind", ["nifti", "nrrd", "rtstruct"])
    def test_it_is_a_volume_of_one(self, make_stack: MakeStack, tmp_path: Path, kind: Any) -> None:
        stack = make_stack((3, 20, 16), across=(0.8, 0.6, 0, 0, 0, -1), step=(-1.5, 2.0, 0))
        assert stack.origin is not None
        alone = edgesam.read(stack.origin.parts[1].file.path)
        assert isinstance(alone, edgesam.Image)
        mask = np.zeros((20, 16), np.bool_)
        mask[3:9, 2:5] = mask[8, 2:14] = True
        path = tmp_path / f"one{ {'nifti': '.nii', 'nrrd': '.nrrd'}.get(kind, '.dcm') }"
        edgesam.write(path, mask, alone, kind=kind)
        assert alone.place is not None
        assert alone.place.affine is not None
        y, x = np.argwhere(mask).mean(axis=0)
        there = (alone.place.affine @ (x, y, 0, 1))[:3]
        np.testing.assert_allclose(centroid(path, kind, stack), there, atol=0.01)

    def test_a_picture_without_a_place(self, tmp_path: Path) -> None:
        Pillow.new("L", (30, 20)).save(tmp_path / "a.png")
        alone = edgesam.read(tmp_path / "a.png")
        with pytest.raises(edgesam.ImageError, match=r"needs a place in the patient.*\.geojson"):
            edgesam.write(tmp_path / "a.nii", np.ones((20, 30), np.bool_), alone)

    @pytest.mark.shared
    @pytest.mark.parametrize("kind", ["seg", "labelmap", "rtstruct", "nifti", "nrrd"])
    def test_a_siemens_slice(self, tmp_path: Path, kind: Any) -> None:
        file = SHARED / "dicom/mr_siemens/20180918Si_mr_0005/epi_pe_rl-00001.dcm"
        if not file.is_file():
            pytest.skip("../shared/data is not there")
        alone = edgesam.read(file)
        assert isinstance(alone, edgesam.Image)
        source = Volume.of_image(alone)
        mask = asymmetric_mask(source.shape)
        path = tmp_path / f"one{ {'nifti': '.nii', 'nrrd': '.nrrd'}.get(kind, '.dcm') }"
        edgesam.write(path, mask[0], alone, kind=kind)
        there = mask_centroid(mask, source.affine)
        np.testing.assert_allclose(centroid(path, kind, source), there, atol=0.05)


class TestRoundTrips:
    def test_everything_comes_back(self, make_stack: MakeStack) -> None:
        found = {trip.kind: trip for trip in round_trips(make_stack((7, 30, 24)))}
        assert set(found) == {*DICOM, "nifti", "nrrd", "geojson", "coco"}
        assert all(trip.close for trip in found.values()), found

    @pytest.mark.parametrize("flipped", [0, 1, 2])
    def test_a_flip_is_seen(
        self, make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch, flipped: int
    ) -> None:
        over = Labels.over

        def wrong(source: Any, written: Any, *more: Any) -> Labels:
            return over(source, np.flip(written, flipped), *more)

        monkeypatch.setattr(Labels, "over", wrong)
        assert not any(trip.close for trip in round_trips(make_stack((7, 30, 24))))

    @pytest.mark.parametrize("shape", [(7, 30, 24), (1, 12, 10), (3, 4, 5), (40, 9, 9)])
    def test_no_symmetry_leaves_the_mask_where_it_is(self, shape: tuple[int, int, int]) -> None:
        mask = asymmetric_mask(shape)
        centre = np.argwhere(mask).mean(axis=0)
        for axis in range(3):
            if shape[axis] > 1:
                turned = np.argwhere(np.flip(mask, axis)).mean(axis=0)
                assert np.abs(turned - centre).max() > 0.5

    def test_what_dicom_cannot_refer_to(self, noise: Callable[..., NDArray[np.uint8]]) -> None:
        volume = Volume.from_array(noise(6, 8, 10), LPS_TO_RAS)
        for trip in round_trips(volume):
            assert trip.close == (trip.kind not in DICOM)
            assert ("refers to DICOM" in trip.reason) == (trip.kind in DICOM)


class TestDoctor:
    def test_a_series(self, stack: Path, capsys: Capture) -> None:
        assert main(["doctor", str(stack)]) == 0
        shown = capsys.readouterr().out
        assert "ok       series: 1: CT, 6 slices of 40 x 30" in shown
        assert "pixel size: 1 x 2 mm (PixelSpacing)" in shown
        assert shown.count("came back") == 8
        assert "No problem found." in shown
        assert SECRET not in shown

    def test_one_slice(self, stack: Path, capsys: Capture) -> None:
        assert main(["doctor", str(stack / "003.dcm")]) == 0
        assert capsys.readouterr().out.count("came back") == 8

    def test_a_gap(self, stack: Path, capsys: Capture) -> None:
        (stack / "003.dcm").unlink()
        assert main(["doctor", str(stack), "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        problems = [f["text"] for f in report["findings"] if f["state"] == "problem"]
        assert len(problems) == 1
        assert "missing" in problems[0]

    def test_a_flipping_writer(
        self, stack: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any) -> NDArray[np.float64]:
            return np.array([1000.0, 0, 0])

        monkeypatch.setattr(roundtrip, "centroid", away)
        assert main(["doctor", str(stack)]) == 1
        assert "8 problems found." in capsys.readouterr().out

    def test_two_series(self, make_stack: MakeStack, tmp_path: Path, capsys: Capture) -> None:
        make_stack((3, 12, 10))
        make_stack((4, 12, 10))
        assert main(["doctor", str(tmp_path)]) == 0
        captured = capsys.readouterr()
        assert "choose one with --series N" in captured.out
        assert "came back" not in captured.out
        assert captured.err == ""
        assert main(["doctor", str(tmp_path), "--series", "2"]) == 0
        assert "came back" in capsys.readouterr().out

    def test_a_warning_is_a_finding(self, tmp_path: Path, capsys: Capture) -> None:
        nibabel = pytest.importorskip("nibabel")
        image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
        nibabel.save(image, tmp_path / "a.nii")
        assert main(["doctor", str(tmp_path / "a.nii"), "--json"]) == 0
        captured = capsys.readouterr()
        read = [f for f in json.loads(captured.out)["findings"] if f["check"] == "read"]
        assert [f["state"] for f in read] == ["note"]
        assert "swapped" in read[0]["text"]
        assert captured.err == ""

    def test_nothing_there(self, tmp_path: Path, capsys: Capture) -> None:
        fails(capsys, main(["doctor", str(tmp_path / "none")]), "no such file or folder")
