"""``edgesam segment``: from a picture file and prompts to files, numbers and exit codes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgesam.engines
from edgesam.bundle import Bundle
from edgesam.commands import main
from edgesam.engines.fake import FakeEngine
from edgesam.formats import write_picture
from edgesam.mask import decode_rle

Capture = pytest.CaptureFixture[str]
Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]
Segment = Callable[..., int]


@pytest.fixture
def picture(tmp_path: Path, noise: Noise) -> Path:
    """100 pixels wide, 80 high."""
    path = tmp_path / "picture.png"
    write_picture(path, noise(80, 100, 3))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mask.png"


@pytest.fixture
def segment(
    picture: Path, out: Path, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> Segment:
    """Runs the command with mobile-sam's profile over the engine that paints its prompts."""
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": FakeEngine()})
    bundle = make_bundle()

    def run(*options: object, source: Path = picture, to: Path = out) -> int:
        words = ["segment", source, "--model", bundle.path, "-o", to, *options]
        return main([str(word) for word in words])

    return run


def pixels(path: Path) -> NDArray[Any]:
    with Image.open(path) as opened:
        return np.asarray(opened)


class TestWithRealGraphs:
    def test_one_box(self, picture: Path, out: Path, lite_bundle: Path, capsys: Capture) -> None:
        words = ["segment", picture, "--model", lite_bundle, "-o", out, "--box", "10,10,90,70"]
        assert main([str(word) for word in [*words, "--json", "--threads", 1]]) == 0
        written, captured = pixels(out), capsys.readouterr()
        report = json.loads(captured.out)
        assert written.shape == (80, 100)
        assert written.dtype == np.uint8
        assert set(np.unique(written)) <= {0, 255}
        np.testing.assert_array_equal(decode_rle(report["objects"][0]["rle"]), written > 0)
        assert report["objects"][0]["area"] == np.count_nonzero(written)
        assert (report["width"], report["height"]) == (100, 80)
        assert report["engine"] == "onnxruntime:cpu"
        assert report["variant"] == "fp32"
        assert report["passport"] is None
        assert "no parity report" in captured.err

    def test_a_point_is_refused(
        self, picture: Path, out: Path, lite_bundle: Path, capsys: Capture
    ) -> None:
        words = ["segment", picture, "--model", lite_bundle, "-o", out, "--point", "10,10"]
        assert main([str(word) for word in words]) == 1
        assert "models that take a point: mobile-sam" in capsys.readouterr().err
        assert not out.exists()


class TestObjects:
    def test_one_box_is_0_and_255(self, segment: Segment, out: Path) -> None:
        assert segment("--box", "20,30,60,70") == 0
        mask = pixels(out)
        assert set(np.unique(mask)) == {0, 255}
        ys, xs = np.nonzero(mask)
        np.testing.assert_allclose(
            (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), (20, 30, 60, 70), atol=1
        )

    def test_several_boxes_are_a_label_map(self, segment: Segment, out: Path) -> None:
        boxes = ["5,5,25,25", "40,5,60,25", "15,15,45,40"]
        assert segment(*(word for box in boxes for word in ("--box", box))) == 0
        labels = pixels(out)
        assert set(np.unique(labels)) == {0, 1, 2, 3}
        assert (labels[10, 10], labels[10, 50], labels[30, 30]) == (1, 2, 3)
        assert labels[20, 20] == 3, "where objects overlap the later one wins"

    def test_points_are_one_object(self, segment: Segment, out: Path, capsys: Capture) -> None:
        words = ("--point", "20,30", "--point", "70,50,1", "--point", "99,1,0", "--json")
        assert segment(*words) == 0
        report = json.loads(capsys.readouterr().out)
        assert len(report["objects"]) == 1
        mask = pixels(out)
        assert mask[30, 20] == mask[50, 70] == 255
        assert mask[1, 99] == 0

    def test_points_and_one_box_are_one_object(self, segment: Segment, out: Path) -> None:
        assert segment("--box", "20,30,60,70", "--point", "90,10") == 0
        mask = pixels(out)
        assert mask[50, 40] == mask[10, 90] == 255

    def test_a_tiff(self, segment: Segment, tmp_path: Path) -> None:
        assert segment("--box", "20,30,60,70", to=tmp_path / "mask.TIF") == 0
        assert set(np.unique(pixels(tmp_path / "mask.TIF"))) == {0, 255}

    def test_what_a_person_reads(self, segment: Segment, out: Path, capsys: Capture) -> None:
        assert segment("--box", "20,30,60,70", "--box", "0,0,0.1,0.1") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "grey levels: as stored"
        assert lines[1].startswith("object 1: ")
        assert "predicted IoU 0.900" in lines[1]
        assert lines[2] == "object 2: nothing was found here"
        assert lines[3] == f"mask:    {out}"


class TestJson:
    def test_one_object_on_standard_output(
        self, segment: Segment, out: Path, capsys: Capture
    ) -> None:
        assert segment("--box", "20,30,60,70", "--json") == 0
        text = capsys.readouterr().out
        assert text.count("\n") == 1
        report = json.loads(text)
        assert report["mask"] == str(out)
        assert report["overlay"] is None
        found = report["objects"][0]
        assert found["score"] == 0.9
        assert found["rle"]["size"] == [80, 100]
        np.testing.assert_array_equal(decode_rle(found["rle"]), pixels(out) > 0)
        assert set(report["milliseconds"]) == {"read", "load", "embed", "segment", "write"}

    def test_errors_too(self, segment: Segment, tmp_path: Path, capsys: Capture) -> None:
        assert segment("--box", "200,200,300,300", "--json") == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["type"] == "PromptError"
        assert "outside the picture of 100 x 80 pixels" in error["message"]


class TestUsage:
    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["--box", "1,2,3,4", "--box", "5,6,7,8", "--point", "1,1"],
            ["--box", "1,2,3"],
            ["--box", "1,2,3,4,5"],
            ["--box", "a,b,c,d"],
            ["--box", ""],
            ["--box", "1 2 3 4"],
            ["--point", "1"],
            ["--point", "1,2,3,4"],
            ["--point", "x,y"],
            ["--box", "1,2,3,4", "--threads", "0"],
            ["--box", "1,2,3,4", "--threads", "99999999999999999999"],
            ["--box", "1,2,3,4", "--frame", "first"],
        ],
    )
    def test_exit_2_and_nothing_written(
        self, segment: Segment, out: Path, capsys: Capture, words: list[str]
    ) -> None:
        assert segment(*words) == 2
        assert "usage:" in capsys.readouterr().err
        assert not out.exists()

    def test_out_is_required(self, picture: Path) -> None:
        assert main(["segment", str(picture), "--box", "1,2,3,4"]) == 2

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--box", "9,9,1,1"], "inverted"),
            (["--box", "1,1,1,9"], "empty"),
            (["--box", "nan,1,5,9"], "finite"),
            (["--point", "inf,1"], "finite"),
            (["--point", "1,1,2"], "labels must be 1"),
            (["--point", "500,1"], "outside"),
            (["--box=-9,-9,-1,-1"], "outside"),
            (["--box", "1,2,3,4", "--engine", "tensorrt"], "no engine is called"),
            (["--box", "1,2,3,4", "--variant", "int8"], "no variant 'int8'"),
            (["--box", "1,2,3,4", "--window", "40,400"], "colour"),
            (["--box", "1,2,3,4", "--window", "no-such"], "no-such"),
        ],
    )
    def test_exit_1_in_one_line(
        self, segment: Segment, out: Path, capsys: Capture, words: list[str], says: str
    ) -> None:
        assert segment(*words) == 1
        err = capsys.readouterr().err.rstrip("\n").splitlines()
        assert err[-1].startswith("edgesam: ")
        assert says in err[-1]
        assert not out.exists()


class TestPlaces:
    @pytest.fixture
    def nothing_computed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise AssertionError("something was read or loaded")

        monkeypatch.setattr(edgesam, "read", fail)
        monkeypatch.setattr(edgesam, "load", fail)

    def test_a_missing_folder(
        self, segment: Segment, tmp_path: Path, capsys: Capture, nothing_computed: None
    ) -> None:
        missing = tmp_path / "no" / "such"
        assert segment("--box", "1,2,3,4", to=missing / "mask.png") == 1
        assert f"the folder {missing} does not exist" in capsys.readouterr().err
        assert segment("--box", "1,2,3,4", "--overlay", missing / "o.png") == 1
        assert f"the folder {missing} does not exist" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["mask.jpg", "mask.dcm", "mask", "mask.png.bak"])
    def test_a_suffix_that_is_not_written(
        self,
        segment: Segment,
        tmp_path: Path,
        capsys: Capture,
        nothing_computed: None,
        name: str,
    ) -> None:
        assert segment("--box", "1,2,3,4", to=tmp_path / name) == 1
        assert ".png, .tif, .tiff" in capsys.readouterr().err
        assert segment("--box", "1,2,3,4", "--overlay", tmp_path / "o.tif") == 1
        assert "an overlay is written as .png" in capsys.readouterr().err

    def test_the_input_is_not_overwritten(
        self, segment: Segment, picture: Path, capsys: Capture, nothing_computed: None
    ) -> None:
        before = picture.read_bytes()
        same = picture.parent / "." / ".." / picture.parent.name / picture.name
        for words in [{"to": picture}, {"to": same}]:
            assert segment("--box", "1,2,3,4", **words) == 1
            assert "it is the input" in capsys.readouterr().err
        assert segment("--box", "1,2,3,4", "--overlay", picture) == 1
        assert picture.read_bytes() == before

    def test_mask_and_overlay_are_two_files(
        self, segment: Segment, out: Path, capsys: Capture, nothing_computed: None
    ) -> None:
        assert segment("--box", "1,2,3,4", "--overlay", out) == 1
        assert "the mask goes there" in capsys.readouterr().err

    @pytest.mark.parametrize("content", [None, b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
    def test_an_input_that_is_no_picture(
        self, segment: Segment, tmp_path: Path, out: Path, capsys: Capture, content: bytes | None
    ) -> None:
        source = tmp_path / "source.png"
        if content is not None:
            source.write_bytes(content)
        assert segment("--box", "1,2,3,4", source=source) == 1
        assert str(source) in capsys.readouterr().err
        assert not out.exists()

    def test_a_model_that_is_not_here(self, picture: Path, out: Path, capsys: Capture) -> None:
        assert main(["segment", str(picture), "--box", "1,2,3,4", "-o", str(out)]) == 1
        assert "run: edgesam pull lite-medsam" in capsys.readouterr().err

    def test_an_overlay_that_fails_does_not_lose_the_mask(
        self, segment: Segment, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr("edgesam.overlay.draw_overlay", fail)
        assert segment("--box", "20,30,60,70", "--overlay", tmp_path / "o.png") == 1
        assert pixels(out).any()

    def test_a_prompt_is_refused_before_the_picture_is_embedded(
        self, segment: Segment, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr("edgesam.Sam.embed", None)
        assert segment("--box", "5000,5000,6000,6000") == 1
        assert "is outside the picture" in capsys.readouterr().err

    def test_the_overlay(self, segment: Segment, tmp_path: Path, capsys: Capture) -> None:
        overlay = tmp_path / "overlay.png"
        assert segment("--box", "20,30,60,70", "--overlay", overlay) == 0
        drawn = pixels(overlay)
        assert drawn.shape == (80 * 6, 100 * 6, 3)
        assert f"overlay: {overlay}" in capsys.readouterr().out

    def test_an_earlier_result_is_replaced(self, segment: Segment, out: Path) -> None:
        out.write_bytes(b"earlier")
        assert segment("--box", "20,30,60,70") == 0
        assert pixels(out).shape == (80, 100)
        assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []

    @pytest.mark.parametrize("step", ["pathlib.Path.replace", "os.fsync"])
    def test_an_earlier_result_stays_when_the_disk_is_full(
        self,
        segment: Segment,
        out: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
    ) -> None:
        out.write_bytes(b"earlier")

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(step, full)
        assert segment("--box", "20,30,60,70") == 1
        assert "no space left" in capsys.readouterr().err
        assert out.read_bytes() == b"earlier"
        assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []
