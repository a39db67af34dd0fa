"""``edgesam segment --all-frames``: every slice, frame or picture, into one file or a folder."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
import edgesam.engines
from edgesam import Cine, Prompt, Volume, Window
from edgesam.bundle import Bundle
from edgesam.commands import main
from edgesam.embedding import ImageSide
from edgesam.engines import Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.formats import write_picture
from edgesam.labels import Labels

Capture = pytest.CaptureFixture[str]
Noise = Callable[..., NDArray[np.uint8]]
Segment = Callable[..., int]
BOX = ("--box", "2,3,20,15")
SERIES = Path(__file__).parents[3] / "shared" / "data" / "dicom" / "ct_series"


class Seeing(FakeEngine):
    """Cuts each mask where the picture's brightness says."""

    def open(self, *_: Any, **__: Any) -> FakeSession:
        class Session(FakeSession):
            def all_four(
                self, side: ImageSide, prompts: Prompts
            ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
                logits, iou = super().all_four(side, prompts)
                logits[:, :, 20 + int(abs(side[0][0, 0, 0, 0]) * 3000) % 100 :] = -10
                return logits, iou

        return Session()


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def segment(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Segment:
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": Seeing()})

    def run(source: Path, out: str, *options: object) -> int:
        words = ["segment", source, "--all-frames", "--model", bundle.path, "-o"]
        return main([str(word) for word in [*words, f"{tmp_path}/{out}", *options]])

    return run


@pytest.fixture
def volume(tmp_path: Path, noise: Noise) -> Path:
    """Seven axial slices of 30 x 24 voxels as NIfTI, each of another brightness."""
    nibabel = pytest.importorskip("nibabel")
    array = noise(30, 24, 7).astype(np.int16) + np.arange(7, dtype=np.int16) ** 2 * 17
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.5, -1.0, 2.0, 1.0])), path)
    return path


@pytest.fixture
def cine(tmp_path: Path, noise: Noise) -> Path:
    """Five frames of 32 x 20 pixels."""
    frames = [Pillow.fromarray(noise(20, 32, seed=i) // (i + 1)) for i in range(5)]
    path = tmp_path / "cine.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


@pytest.fixture
def folder(tmp_path: Path, noise: Noise) -> Path:
    """Pictures of several sizes."""
    path = tmp_path / "pictures"
    path.mkdir()
    for number, name in enumerate(("a10.png", "a9.png", "b.png", "b.tif")):
        picture = noise(20 + number, 32, seed=number)
        Pillow.fromarray(picture // (number + 1)).save(path / name)
    return path


def pixels(path: Path) -> NDArray[Any]:
    with Pillow.open(path) as opened:
        return np.asarray(opened)


def serial(bundle: Bundle, source: Any, window: Any = None) -> list[edgesam.Mask]:
    """What a loop over the source gives."""
    pictures = source.slices(window) if isinstance(source, Volume) else source
    with edgesam.load(bundle.path) as sam:
        prompt = Prompt.box(2, 3, 20, 15)
        return [sam.segment(sam.embed(picture), prompt) for picture in pictures]


class TestOneFile:
    @pytest.mark.parametrize("out", ["a.nii.gz", "a.nii", "a.nrrd", "a.seg.nrrd"])
    def test_a_volume_as_a_serial_loop_makes_it(
        self, segment: Segment, volume: Path, bundle: Bundle, tmp_path: Path, out: str
    ) -> None:
        window = Window(100, 500)
        assert segment(volume, out, *BOX, "--window", "100,500") == 0
        source = edgesam.read(volume)
        masks = serial(bundle, source, window)
        assert len({mask.area for mask in masks}) > 3
        reference = tmp_path / f"serial-{out}"
        together = np.zeros(source.shape, np.bool_)
        for mask in masks:
            assert mask.place is not None
            assert mask.place.plane is not None
            mask.place.plane.of(together)[mask.array] = True
        made_by = masks[0].provenance
        edgesam.write(reference, together, source, provenance=made_by)
        assert (tmp_path / out).read_bytes() == reference.read_bytes()
        written = edgesam.read(tmp_path / out)
        assert isinstance(written, Volume)
        assert (written.array > 0).sum() == sum(mask.area for mask in masks)

    def test_across_another_axis(self, segment: Segment, volume: Path, tmp_path: Path) -> None:
        assert segment(volume, "a.nii", "--box", "2,1,20,5", "--axis", "coronal", "--json") == 0
        written = edgesam.read(tmp_path / "a.nii")
        assert isinstance(written, Volume)
        across = [axis for axis in range(3) if written.shape[axis] == written.count("coronal")]
        others = tuple(axis for axis in range(3) if axis != across[0])
        assert (written.array > 0).any(axis=others).all(), "each coronal plane holds something"

    @pytest.mark.parametrize("kind", ["seg", "labelmap", "rtstruct"])
    def test_a_series(
        self,
        segment: Segment,
        make_stack: Callable[..., Volume],
        tmp_path: Path,
        capsys: Capture,
        kind: str,
    ) -> None:
        pydicom = pytest.importorskip("pydicom")
        stack = make_stack((4, 30, 26))
        assert stack.origin is not None
        source = stack.origin.parts[0].file.path.parent
        options = (*BOX, "--as", kind, "--name", "liver", "--json")
        assert segment(source, "a.dcm", *options) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["objects"][0]["pictures"] == len(told["pictures"]) == 4
        area = sum(picture[0]["area"] for picture in told["pictures"])
        assert told["objects"][0]["pixels"] == area
        assert told["objects"][0]["volume_ml"] == pytest.approx(area * 0.8 * 0.6 * 2.5 / 1000)
        written = pydicom.dcmread(tmp_path / "a.dcm")
        if kind == "rtstruct":
            assert len(written.ROIContourSequence[0].ContourSequence) == 4
        else:
            assert written.NumberOfFrames == 4

    def test_several_objects(
        self,
        segment: Segment,
        cine: Path,
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        seen: list[Labels] = []
        over = Labels.over
        monkeypatch.setattr(Labels, "over", lambda *a: seen.append(over(*a)) or seen[-1])
        options = ("--box", "2,2,10,10", "--box", "8,8,30,18", "--name", "a", "--name", "b")
        assert segment(cine, "a.json", *options) == 0
        (labels,) = seen
        assert labels.array.shape == (5, 20, 32)
        assert [label.name for label in labels.labels] == ["a", "b"]
        assert set(np.unique(labels.array)) == {0, 1, 2}
        shown = capsys.readouterr().out.splitlines()
        assert shown[0].startswith("picture: Cine(")
        assert shown[2].startswith("object 1: found in 5 of 5 pictures, ")
        assert shown[4] == f"mask:    {tmp_path / 'a.json'}"

    def test_a_cine_as_a_serial_loop_makes_it(
        self, segment: Segment, cine: Path, bundle: Bundle, tmp_path: Path
    ) -> None:
        source = edgesam.read(cine)
        assert isinstance(source, Cine)
        masks = serial(bundle, source)
        assert len({mask.area for mask in masks}) > 2
        edgesam.write(
            tmp_path / "serial.json",
            np.stack([mask.array for mask in masks]),
            source,
            provenance=masks[0].provenance,
        )
        assert segment(cine, "a.json", *BOX) == 0
        mine, reference = (
            json.loads((tmp_path / name).read_text()) for name in ("a.json", "serial.json")
        )
        assert mine["annotations"] == reference["annotations"]
        assert len(mine["images"]) == len(reference["images"])

    def test_embeddings_are_not_kept(self, segment: Segment, tmp_path: Path, noise: Noise) -> None:
        nibabel = pytest.importorskip("nibabel")
        array = noise(20, 20, 60).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "long.nii")
        tracemalloc.start()
        try:
            assert segment(tmp_path / "long.nii", "a.nii", *BOX) == 0
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # 60 embeddings take 252 MB, and 12 MB a prepared picture of 1024 x 1024 x 3 float32.
        assert peak < 130e6

    def test_a_slice_that_fails_leaves_no_file(
        self,
        segment: Segment,
        make_stack: Callable[..., Volume],
        tmp_path: Path,
        capsys: Capture,
    ) -> None:
        stack = make_stack((4, 30, 26))
        assert stack.origin is not None
        file = stack.origin.parts[2].file.path
        file.write_bytes(file.read_bytes()[:-300])
        assert segment(file.parent, "a.nii.gz", *BOX) == 1
        assert not (tmp_path / "a.nii.gz").exists()
        assert str(file) in capsys.readouterr().err.splitlines()[-1]


class TestFolder:
    def test_a_volume(
        self, segment: Segment, volume: Path, bundle: Bundle, tmp_path: Path, capsys: Capture
    ) -> None:
        assert segment(volume, "masks/", *BOX, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["written"], told["skipped"], told["failed"]) == (7, 0, 0)
        for index, mask in enumerate(serial(bundle, edgesam.read(volume))):
            path = tmp_path / "masks" / f"{index:04}.png"
            np.testing.assert_array_equal(pixels(path) > 0, mask.array)
            facts = json.loads(path.with_name(f"{path.name}.json").read_text())
            assert facts["objects"][0]["area"] == mask.area
        assert len(list((tmp_path / "masks").iterdir())) == 14

    def test_going_on(
        self, segment: Segment, volume: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        assert segment(volume, "masks/", *BOX) == 0
        (tmp_path / "masks" / "0002.png").unlink()
        (tmp_path / "masks" / "0004.png.json").unlink()
        capsys.readouterr()
        assert segment(volume, "masks", *BOX) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[0] == "2 of 7 masks written, 5 there already"
        assert segment(volume, "masks", "--box", "2,3,20,16") == 0
        assert capsys.readouterr().out.splitlines()[0] == "7 of 7 masks written"

    def test_pictures_by_their_names(
        self, segment: Segment, folder: Path, bundle: Bundle, tmp_path: Path
    ) -> None:
        (folder / "b.tif").rename(folder / "B2.tif")
        assert segment(folder, "masks", *BOX) == 0
        names = {"a9.png", "a10.png", "b.png", "B2.png"}
        assert {path.name for path in (tmp_path / "masks").glob("*.png")} == names
        for source in folder.iterdir():
            (mask,) = serial(bundle, [edgesam.read(source)])
            written = pixels(tmp_path / "masks" / f"{source.stem}.png")
            np.testing.assert_array_equal(written > 0, mask.array)

    def test_pictures_whose_names_differ_in_their_suffix(
        self, segment: Segment, folder: Path, tmp_path: Path
    ) -> None:
        (folder / "a9.png").rename(folder / "b.png.bmp")
        assert segment(folder, "masks", *BOX) == 0
        names = {"a10.png.png", "b.png.png", "b.png.bmp.png", "b.tif.png"}
        assert {path.name for path in (tmp_path / "masks").glob("*.png")} == names

    def test_a_picture_that_fails_is_told_and_the_others_go_on(
        self, segment: Segment, folder: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        (folder / "a11.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        write_picture(folder / "small.png", np.zeros((2, 2, 3), np.uint8))
        assert segment(folder, "masks", "--box", "5,5,20,15") == 1
        shown = capsys.readouterr()
        assert shown.out.splitlines()[0] == "4 of 6 masks written, 2 failed"
        assert "picture 2: " in shown.err
        assert "a11.png" in shown.err
        assert "outside the picture" in shown.err

    def test_a_cine_and_one_picture(
        self, segment: Segment, cine: Path, folder: Path, tmp_path: Path
    ) -> None:
        assert segment(cine, "masks", *BOX) == 0
        assert len(list((tmp_path / "masks").glob("*.png"))) == 5
        assert segment(folder / "a9.png", "one/", *BOX) == 0
        assert [p.name for p in (tmp_path / "one").glob("*.png")] == ["0000.png"]

    def test_a_suffix_may_be_a_folders(self, segment: Segment, cine: Path, tmp_path: Path) -> None:
        assert segment(cine, "masks.v2/", *BOX) == 0
        assert segment(cine, "masks.v2", *BOX) == 0
        assert len(list((tmp_path / "masks.v2").glob("*.png"))) == 5


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--slice", "0"), "--all-frames takes every slice or frame"),
            (("--frame", "0"), "--all-frames takes every slice or frame"),
            (("--overlay", "a.png"), "--overlay is for one picture"),
            (("--as", "seg"), "a folder of masks holds PNG"),
            (("--empty-frames",), "a folder of masks holds PNG"),
            (("--name", "a", "--name", "b"), "one --name for each object"),
        ],
    )
    def test_usage(
        self,
        segment: Segment,
        volume: Path,
        tmp_path: Path,
        capsys: Capture,
        options: tuple[str, ...],
        said: str,
    ) -> None:
        assert segment(volume, "masks/", *BOX, *options) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "masks").exists()

    def test_everything(self, segment: Segment, volume: Path, capsys: Capture) -> None:
        assert segment(volume, "a.nii", "--everything") == 2
        assert "--everything is for one picture" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("which", "out", "options", "said"),
        [
            ("volume", "a.png", (), "it holds one picture, and here are 7; give a folder"),
            ("volume", "a.dcm", (), "refers to DICOM images"),
            ("volume", "none/a.nii", (), "does not exist"),
            ("volume", "none/masks/", (), "does not exist"),
            ("volume", "volume.nii.gz", (), "it is a file of the source"),
            ("volume", "volume.nii.gz/", (), "it is a file; give a folder"),
            ("volume", "a.nii", ("--box", "900,900,950,950"), "outside the picture"),
            ("cine", "a.nii", (), "needs a place in the patient"),
            ("cine", "a.json", ("--axis", "axial"), "leave --axis out"),
            ("folder", "a.nii", (), "pictures by themselves"),
            ("folder", "pictures", (), "it is the input"),
            ("nothing", "masks/", (), "no such file"),
        ],
    )
    def test_in_one_line(
        self,
        request: pytest.FixtureRequest,
        segment: Segment,
        tmp_path: Path,
        capsys: Capture,
        which: str,
        out: str,
        options: tuple[str, ...],
        said: str,
    ) -> None:
        nothing = tmp_path / "nothing"
        source = nothing if which == "nothing" else request.getfixturevalue(which)
        own = {"edgesam-home"}  # loading looks there for what tune found
        before = {path.name for path in tmp_path.iterdir()} | own
        assert segment(source, out, *(options if "--box" in options else (*BOX, *options))) == 1
        assert said in capsys.readouterr().err.splitlines()[-1]
        assert {path.name for path in tmp_path.iterdir()} | own == before


@pytest.mark.shared
def test_a_ct_series_with_real_graphs(lite_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    """Every slice of the NIfTI is what the single-slice command writes."""
    if not SERIES.is_dir():
        pytest.skip("../shared/data is not here")
    some = tmp_path / "some"
    some.mkdir()
    for file in sorted(SERIES.iterdir())[:3]:
        (some / file.name).write_bytes(file.read_bytes())
    common = ["--box", "107,196,275,374", "--window", "liver", "--model", str(lite_bundle)]
    words = ["segment", str(some), *common]
    assert main([*words, "--all-frames", "-o", str(tmp_path / "all.nii.gz")]) == 0
    whole = edgesam.read(tmp_path / "all.nii.gz")
    assert isinstance(whole, Volume)
    for index in (0, 2):
        out = str(tmp_path / f"{index}.nii.gz")
        assert main([*words, "--slice", str(index), "-o", out]) == 0
        one = edgesam.read(out)
        assert isinstance(one, Volume)
        (filled,) = np.unique(np.nonzero(one.array)[2])
        np.testing.assert_array_equal(whole.array[..., filled] > 0, one.array[..., filled] > 0)
