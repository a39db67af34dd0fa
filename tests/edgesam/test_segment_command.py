"""``edgesam segment``: from a picture file and prompts to files, numbers and exit codes."""

from __future__ import annotations

import errno
import importlib
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgesam.engines
from edgesam.bundle import Bundle
from edgesam.commands import main
from edgesam.commands.prompts import SELECTIONS
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.formats import write_picture
from edgesam.home import home
from edgesam.mask import decode_rle, encode_rle
from edgesam.selection import Select

Capture = pytest.CaptureFixture[str]
Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]
Segment = Callable[..., int]

PULLED = home()  # read before any test gets a home of its own


class Telling(FakeEngine):
    """Its four masks differ: each is 20 logits less high than the one before, and judged so."""

    class Session(FakeSession):
        def all_four(
            self, side: ImageSide, prompts: Prompts
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            logits, iou = super().all_four(side, prompts)
            for token in range(4):
                logits[:, token, : 20 * token] = -10
            # The second of the three is judged best, the third has the stablest edge.
            logits[:, 1:3, 200] = 0.5
            iou[:] = (0.9, 0.92, 0.97, 0.5)
            return logits, iou

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return self.Session()


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


class TestSelect:
    @pytest.fixture(autouse=True)
    def telling(self, segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": Telling()})

    @pytest.mark.parametrize(
        ("words", "token"),
        [
            ((), 0),
            (("--select", "single"), 0),
            (("--select", "best"), 2),
            (("--select", "stability"), 3),
            (("--select", "0"), 1),
            (("--select=1",), 2),
            (("--select", "2"), 3),
        ],
    )
    def test_by_name_and_by_index(
        self, segment: Segment, out: Path, capsys: Capture, words: tuple[str, ...], token: int
    ) -> None:
        assert segment("--box", "0,0,100,80", "--json", *words) == 0
        (found,) = json.loads(capsys.readouterr().out)["objects"]
        assert found["score"] == (0.9, 0.92, 0.97, 0.5)[token]
        rows = np.flatnonzero(pixels(out).any(axis=1))
        assert abs(rows[0] - token * 20 / 256 * 100) <= 1

    def test_it_holds_for_every_box(self, segment: Segment, capsys: Capture) -> None:
        boxes = ("--box", "0,0,100,80", "--box", "10,10,50,50")
        assert segment(*boxes, "--select", "best", "--json") == 0
        found = json.loads(capsys.readouterr().out)["objects"]
        assert [o["score"] for o in found] == [0.97, 0.97]

    def test_the_choices_are_pythons(self) -> None:
        assert tuple(map(str, get_args(Select))) == SELECTIONS


class Confident(FakeEngine):
    """Sure of the first of its three masks only: a disk around each point."""

    class Session(FakeSession):
        def all_four(
            self, side: ImageSide, prompts: Prompts
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            logits, iou = super().all_four(side, prompts)
            iou[:] = (0.5, 0.97, 0.5, 0.5)
            return logits, iou

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return self.Session()


def disk(x: int, y: int, radius: int, size: tuple[int, int] = (80, 100)) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius * radius)


def record(mask: NDArray[np.bool_], iou: float = 0.98765432) -> dict[str, Any]:
    ys, xs = np.nonzero(mask)
    x, y = int(xs.min()), int(ys.min())
    return {
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "bbox": [x, y, int(xs.max()) - x, int(ys.max()) - y],
        "predicted_iou": iou,
        "point_coords": [[x + 0.5, y + 0.5]],
        "stability_score": 0.95123456,
        "crop_box": [0, 0, mask.shape[1], mask.shape[0]],
    }


class Everything:
    """In the place of edgesam.everything: gives what a test wants, remembers what it was asked."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.asked: dict[str, Any] = {}

    def __call__(
        self,
        sam: Any,
        image: Any,
        window: Any = None,
        *,
        progress: Callable[[int, int], None],
        **options: Any,
    ) -> list[dict[str, Any]]:
        self.asked = {"size": (image.height, image.width), "window": window, **options}
        progress(16, 1024)
        progress(1024, 1024)
        return list(self.found)


@pytest.fixture
def anything(monkeypatch: pytest.MonkeyPatch) -> Everything:
    fake = Everything()
    monkeypatch.setattr(importlib.import_module("edgesam.automatic"), "everything", fake)
    return fake


class TestEverything:
    def test_smaller_masks_lie_on_top_of_larger_ones(
        self, segment: Segment, out: Path, capsys: Capture, anything: Everything
    ) -> None:
        small, large, middle = disk(40, 40, 5), disk(40, 40, 30), disk(50, 40, 15)
        anything.found = [record(small), record(large), record(middle)]
        assert segment("--everything", "--json") == 0
        labels = pixels(out)
        expected = np.where(small, 3, np.where(middle, 2, np.where(large, 1, 0)))
        np.testing.assert_array_equal(labels, expected)
        assert labels.dtype == np.uint8
        report = json.loads(capsys.readouterr().out)
        for found, mask in zip(report["objects"], (large, middle, small), strict=True):
            assert set(found) == {
                "area",
                "bbox",
                "predicted_iou",
                "stability_score",
                "point",
                "rle",
            }
            whole = record(mask)
            np.testing.assert_array_equal(decode_rle(found["rle"]), mask)
            assert (found["area"], found["bbox"]) == (whole["area"], whole["bbox"])
            assert found["point"] == whole["point_coords"][0]
            assert (found["predicted_iou"], found["stability_score"]) == (0.9877, 0.9512)
        assert (report["width"], report["height"], report["mapping"]) == (100, 80, "as stored")
        assert set(report["milliseconds"]) == {"read", "load", "segment", "write"}

    def test_one_object_is_label_1(
        self, segment: Segment, out: Path, capsys: Capture, anything: Everything
    ) -> None:
        anything.found = [record(disk(40, 40, 5))]
        assert segment("--everything") == 0
        assert set(np.unique(pixels(out))) == {0, 1}
        assert "1 object of 81 pixels" in capsys.readouterr().out.splitlines()

    def test_nothing(
        self, segment: Segment, out: Path, capsys: Capture, anything: Everything
    ) -> None:
        assert segment("--everything") == 0
        assert not pixels(out).any()
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == "nothing was found; try more --points-per-side"
        assert segment("--everything", "--json") == 0
        assert json.loads(capsys.readouterr().out)["objects"] == []

    @pytest.mark.parametrize("count", [255, 256, 300])
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_many_objects_have_16_bits(
        self, segment: Segment, tmp_path: Path, anything: Everything, count: int, suffix: str
    ) -> None:
        anything.found = []
        for i in range(count):
            mask = np.zeros((80, 100), np.bool_)
            mask[2 * (i // 50), 2 * (i % 50)] = True
            anything.found.append(record(mask))
        out = tmp_path / f"labels{suffix}"
        assert segment("--everything", to=out) == 0
        labels = pixels(out)
        assert labels.max() == count
        assert labels.dtype.itemsize == (1 if count == 255 else 2)
        # Of equal areas the order is that in which they were found.
        assert (labels[0, 0], labels[0, 2], labels[2, 0]) == (1, 2, 51)

    def test_what_is_asked_and_what_a_person_reads(
        self, segment: Segment, out: Path, capsys: Capture, anything: Everything
    ) -> None:
        anything.found = [record(disk(40, 40, 5)), record(disk(40, 40, 30))]
        assert segment("--everything", "--points-per-side", 7) == 0
        assert anything.asked == {
            "size": (80, 100),
            "window": None,
            "points_per_side": 7,
            "output_mode": "coco_rle",
        }
        shown = capsys.readouterr()
        lines = shown.out.splitlines()
        assert lines[0] == "grey levels: as stored"
        assert lines[1] == (
            "2 objects: label 1 is the largest (2821 pixels), label 2 the smallest (81)"
        )
        assert lines[2] == f"mask:    {out}"
        assert "everything in 100 x 80 pixels" in shown.err
        assert "segmenting everything: 16 of 1024 points\n" in shown.err
        assert "segmenting everything: 1024 of 1024 points\n" in shown.err
        segment("--everything")
        assert anything.asked["points_per_side"] == 32

    def test_a_window_reaches_it(
        self, segment: Segment, tmp_path: Path, capsys: Capture, anything: Everything, noise: Noise
    ) -> None:
        deep = tmp_path / "deep.png"
        Image.fromarray(noise(80, 100).astype(np.uint16) * 16).save(deep)
        assert segment("--everything", "--window", "2048,4096", "--json", source=deep) == 0
        shown = capsys.readouterr()
        assert anything.asked["window"] == edgesam.Window(level=2048, width=4096)
        assert json.loads(shown.out)["mapping"].startswith("window 2048/4096")
        assert "segmenting" not in shown.err

    def test_the_overlay_shows_each_mask(
        self, segment: Segment, picture: Path, tmp_path: Path, anything: Everything
    ) -> None:
        anything.found = [record(disk(20, 40, 9)), record(disk(70, 40, 15))]
        overlay = tmp_path / "overlay.png"
        assert segment("--everything", "--overlay", overlay) == 0
        changed = (pixels(overlay)[::6, ::6] != pixels(picture)).any(axis=2)
        inside = disk(20, 40, 9) | disk(70, 40, 15)
        assert not changed[~inside].any()
        assert changed[inside].mean() > 0.95

    def test_masks_wait_as_run_lengths(
        self, segment: Segment, tmp_path: Path, anything: Everything, noise: Noise
    ) -> None:
        size = (1000, 1000)
        write_picture(tmp_path / "large.png", noise(*size, 3))
        anything.found = [record(disk(10 * i, 500, 300, size)) for i in range(100)]
        tracemalloc.start()
        try:
            words = ("--everything", "--json", "--overlay", tmp_path / "o.png")
            assert segment(*words, source=tmp_path / "large.png") == 0
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 50 * 1000 * 1000, "a hundred masks of a megabyte each"

    def test_over_an_engine_that_paints_points(
        self, segment: Segment, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": Confident()})
        assert segment("--everything", "--points-per-side", 3, "--json") == 0
        report = json.loads(capsys.readouterr().out)
        labels, objects = pixels(out), report["objects"]
        assert len(objects) == 9
        assert sorted(np.unique(labels)) == list(range(10))
        points = [[(x + 0.5) * 100 / 3, (y + 0.5) * 80 / 3] for y in range(3) for x in range(3)]
        np.testing.assert_allclose(sorted(o["point"] for o in objects), sorted(points))
        areas = [o["area"] for o in objects]
        assert areas == sorted(areas, reverse=True)
        for number, found in enumerate(objects, start=1):
            np.testing.assert_array_equal(decode_rle(found["rle"]), labels == number)

    @pytest.mark.parametrize("name", ["lite-medsam"])
    def test_a_model_that_takes_no_points(
        self,
        picture: Path,
        out: Path,
        make_bundle: Make,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": FakeEngine()})
        monkeypatch.setattr("edgesam.Sam.embed", None)
        words = ["segment", picture, "--model", make_bundle("box", model=name).path, "-o", out]
        assert main([*map(str, words), "--everything"]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(
            rf"edgesam: {name} was trained for a box and takes no point; .*: mobile-sam.*", last
        )
        assert not out.exists()

    @pytest.mark.weights
    def test_real_weights(
        self, tmp_path: Path, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two discs on a flat ground: both are found."""
        monkeypatch.setenv("EDGESAM_HOME", str(PULLED))
        grey = np.full((240, 320), 60, np.uint8)
        left, right = disk(90, 110, 70, grey.shape), disk(240, 120, 60, grey.shape)
        grey[left], grey[right] = 140, 220
        source = tmp_path / "discs.png"
        write_picture(source, np.stack([grey] * 3, axis=2))
        words = ["segment", source, "--model", "mobile-sam", "-o", out, "--json", "--everything"]
        code = main([*map(str, words), "--points-per-side", "4", "--threads", "1"])
        report = json.loads(capsys.readouterr().out)
        if report.get("error", {}).get("type") == "ModelNotFound":
            pytest.skip(report["error"]["message"])
        assert code == 0, report
        labels = pixels(out)
        assert labels.max() == len(report["objects"])
        for wanted in (left, right):
            ious = [
                (wanted & mask).sum() / (wanted | mask).sum()
                for mask in (decode_rle(found["rle"]) for found in report["objects"])
            ]
            assert max(ious) > 0.95
            assert (labels[wanted] > 0).mean() > 0.95
        assert labels[110, 90] != labels[120, 240]


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
            ["--box", "1,2,3,4", "--select", "oracle"],
            ["--box", "1,2,3,4", "--select", "3"],
            ["--box", "1,2,3,4", "--select", ""],
            ["--select", "best"],
            ["--box", "1,2,3,4", "--points-per-side", "8"],
            ["--everything", "--box", "1,2,3,4"],
            ["--everything", "--point", "1,2"],
            ["--everything", "--select", "single"],
            ["--everything", "--points-per-side", "0"],
            ["--everything", "--points-per-side", "257"],
            ["--everything", "--points-per-side", "1.5"],
        ],
    )
    def test_exit_2_and_nothing_written(
        self, segment: Segment, out: Path, capsys: Capture, words: list[str]
    ) -> None:
        assert segment(*words) == 2
        assert "usage:" in capsys.readouterr().err
        assert not out.exists()

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ([], "give a --box, a --point or --everything"),
            (
                ["--everything", "--select", "best"],
                "--everything asks everywhere: leave out --box, --point and --select",
            ),
            (
                ["--box", "1,2,3,4", "--points-per-side", "8"],
                "--points-per-side is for --everything",
            ),
        ],
    )
    def test_what_cannot_be_meant_together(
        self, segment: Segment, capsys: Capture, words: list[str], says: str
    ) -> None:
        assert segment(*words) == 2
        assert capsys.readouterr().err.endswith(f"edgesam segment: error: {says}\n")

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
            (["--box", "1,2,3,4", "--engine", "tensorflow"], "no engine is called"),
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

    @pytest.mark.parametrize("name", ["mask.jpg", "mask", "mask.png.bak"])
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
