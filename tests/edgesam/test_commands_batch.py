"""``edgesam segment --batch``: masks and sidecars of a list, and going on where a run has ended."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
import edgesam.engines
from edgesam import OutOfMemory, Prompt, Volume
from edgesam.bundle import Bundle
from edgesam.commands import main
from edgesam.embedding import ImageSide
from edgesam.engines import Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.formats import write_picture

Capture = pytest.CaptureFixture[str]
Noise = Callable[..., NDArray[np.uint8]]
Files = dict[str, tuple[int, str]]
BOX = '"10,10,60,50"'


class Seeing(FakeEngine):
    """Cuts each mask where the picture's brightness says, and counts the pictures it encodes."""

    encoded = 0

    def open(self, *_: Any, **__: Any) -> FakeSession:
        engine = self

        class Session(FakeSession):
            def encode(self, *args: Any) -> NDArray[np.float32]:
                engine.encoded += 1
                return super().encode(*args)

            def all_four(
                self, side: ImageSide, prompts: Prompts
            ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
                logits, iou = super().all_four(side, prompts)
                logits[:, :, 60 + int(abs(side[0][0, 0, 0, 0]) * 3000) % 100 :] = -10
                return logits, iou

        return Session()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Seeing:
    made = Seeing()
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": made})
    return made


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def batch(tmp_path: Path, bundle: Bundle, engine: Seeing) -> Callable[..., int]:
    """Writes a list with these lines below the header and runs it."""

    def run(*lines: str, header: str = "image,output,box", words: tuple[object, ...] = ()) -> int:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "list.csv").write_text("\n".join([header, *lines]), "utf-8")
        command = ["segment", "--batch", tmp_path / "list.csv", "--model", bundle.path, *words]
        return main([str(word) for word in command])

    return run


@pytest.fixture
def pictures(tmp_path: Path, noise: Noise) -> list[str]:
    """Lines for six pictures, each other."""
    for number in range(6):
        write_picture(tmp_path / f"{number}.png", noise(64, 80, 3, seed=number))
    return [f"{number}.png,out/{number}.png,{BOX}" for number in range(6)]


def files(folder: Path) -> Files:
    """Modification time and content of each."""
    return {
        path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }


def pixels(path: Path) -> NDArray[Any]:
    with Pillow.open(path) as opened:
        return np.asarray(opened)


def report(capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def sidecar(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(f"{path.name}.json").read_text("utf-8"))
    return found


class TestMasks:
    def test_as_a_serial_loop_makes_them(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path, bundle: Bundle
    ) -> None:
        assert batch(*pictures) == 0
        assert len(files(tmp_path / "out")) == 12
        shapes = set()
        with edgesam.load(bundle.path) as sam:
            for number in range(6):
                embedding = sam.embed(edgesam.read(tmp_path / f"{number}.png"))
                mask = sam.segment(embedding, Prompt.box(10, 10, 60, 50))
                written = pixels(tmp_path / "out" / f"{number}.png")
                np.testing.assert_array_equal(written, mask.array * np.uint8(255))
                shapes.add(mask.area)
        assert len(shapes) > 3, "the pictures differ, and so do their masks"

    def test_rows_of_one_picture_share_its_embedding(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path, engine: Seeing
    ) -> None:
        lines = ['0.png,out/a.png,"1,1,9,9"', '0.png,out/b.png,"20,20,40,40"', pictures[1]]
        assert batch(*lines, '0.png,out/c.png,"1,1,9,9"') == 0
        assert engine.encoded == 3
        assert (pixels(tmp_path / "out/a.png") != pixels(tmp_path / "out/b.png")).any()
        np.testing.assert_array_equal(
            pixels(tmp_path / "out/a.png"), pixels(tmp_path / "out/c.png")
        )

    def test_a_window_of_a_row(
        self, batch: Callable[..., int], tmp_path: Path, noise: Noise, engine: Seeing
    ) -> None:
        Pillow.fromarray(noise(64, 80).astype(np.uint16) * 16).save(tmp_path / "deep.png")
        header = "image,output,box,window"
        lines = [f'deep.png,out/a.png,{BOX},"2000,100"', f"deep.png,out/b.png,{BOX},"]
        assert batch(*lines, header=header, words=("--window", "1000,4000")) == 0
        assert engine.encoded == 2
        assert sidecar(tmp_path / "out/a.png")["mapping"] == "window 2000/100"
        assert sidecar(tmp_path / "out/b.png")["mapping"] == "window 1000/4000"

    def test_points_and_a_selection(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path
    ) -> None:
        line = '0.png,out/a.png,"30,20,1;50,40,0"'
        assert batch(line, header="image,output,points", words=("--select", "best")) == 0
        found = sidecar(tmp_path / "out/a.png")
        prompt = {"box": None, "points": [[30.0, 20.0, 1], [50.0, 40.0, 0]]}
        assert found["request"]["prompts"] == [prompt]
        assert found["request"]["select"] == "best"

    def test_slices_of_a_series_are_found_once(
        self,
        batch: Callable[..., int],
        make_stack: Callable[..., Volume],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stack = make_stack((4, 40, 30))
        assert stack.origin is not None
        folder = stack.origin.parts[0].file.path.parent
        opened = []
        read = edgesam.read
        monkeypatch.setattr(edgesam, "read", lambda *a, **k: opened.append(a) or read(*a, **k))
        lines = [f'{folder.name},out/{z}.nii.gz,"2,2,20,30",{z},liver' for z in range(4)]
        assert batch(*lines, header="image,output,box,slice,name") == 0
        assert len(opened) == 1
        for z in range(4):
            written = read(tmp_path / f"out/{z}.nii.gz")
            assert isinstance(written, Volume)
            assert [i for i in range(4) if (written.array[..., i] > 0).any()] == [z]
            assert sidecar(tmp_path / f"out/{z}.nii.gz")["request"]["names"] == ["liver"]


class TestResume:
    def test_nothing_is_done_twice(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        tmp_path: Path,
        engine: Seeing,
        capsys: Capture,
    ) -> None:
        assert batch(*pictures) == 0
        assert capsys.readouterr().out == "6 of 6 masks written\n"
        before = files(tmp_path / "out")
        assert batch(*pictures) == 0
        assert capsys.readouterr().out == "0 of 6 masks written, 6 there already\n"
        assert engine.encoded == 6
        assert files(tmp_path / "out") == before
        assert batch(*pictures[::-1], words=("--json",)) == 0
        assert report(capsys)["skipped"] == 6

    @pytest.mark.parametrize(
        "change",
        [
            lambda out: (out / "3.png").unlink(),
            lambda out: (out / "3.png.json").unlink(),
            lambda out: (out / "3.png").write_bytes((out / "2.png").read_bytes()),
            lambda out: (out / "3.png.json").write_bytes((out / "2.png.json").read_bytes()),
            lambda out: (out / "3.png.json").write_bytes(b"{"),
            lambda out: write_picture(out.parent / "3.png", np.full((64, 80, 3), 200, np.uint8)),
        ],
        ids=["no mask", "no sidecar", "another mask", "another's sidecar", "cut", "new picture"],
    )
    def test_what_does_not_agree_is_done_anew(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        tmp_path: Path,
        engine: Seeing,
        change: Callable[[Path], object],
    ) -> None:
        assert batch(*pictures) == 0
        before = files(tmp_path / "out")
        change(tmp_path / "out")
        assert batch(*pictures) == 0
        assert engine.encoded == 7
        after = files(tmp_path / "out")
        assert {name for name in before if before[name][0] != after[name][0]} <= {
            "3.png",
            "3.png.json",
        }
        assert batch(*pictures) == 0
        assert engine.encoded == 7

    @pytest.mark.parametrize(
        ("header", "line", "words"),
        [
            ("image,output,box", '0.png,out/0.png,"10,10,60,51"', ()),
            ("image,output,box,points", f'0.png,out/0.png,{BOX},"20,20"', ()),
            ("image,output,box,name", f"0.png,out/0.png,{BOX},liver", ()),
            ("image,output,box", f"0.png,out/0.png,{BOX}", ("--select", "best")),
        ],
    )
    def test_another_request(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        engine: Seeing,
        header: str,
        line: str,
        words: tuple[str, ...],
    ) -> None:
        assert batch(pictures[0]) == 0
        assert batch(line, header=header, words=words) == 0
        assert engine.encoded == 2
        assert batch(line, header=header, words=words) == 0
        assert engine.encoded == 2

    def test_another_model(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        engine: Seeing,
        make_bundle: Callable[..., Bundle],
    ) -> None:
        assert batch(pictures[0]) == 0
        other = make_bundle("other", content="other")
        for _ in range(2):
            assert batch(pictures[0], words=("--model", other.path)) == 0
        assert engine.encoded == 2

    def test_what_a_killed_run_left_half_written(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        old, young = (tmp_path / "out" / f".edgesam-{name}.tmp" for name in ("aa", "bb"))
        for path in (old, young):
            path.write_bytes(b"half")
        os.utime(old, (1, 1))
        assert batch(*pictures) == 0
        assert not old.exists()
        assert young.exists(), "another process may be writing it"


CHILD = """
import random, sys, time
import edgesam.engines, edgesam.atomic
from pathlib import Path
from edgesam.commands import main
sys.path.insert(0, sys.argv[1])
from test_commands_batch import Seeing

edgesam.engines.ENGINES = {"fake": Seeing()}
replace = Path.replace
def slowly(self, target):
    time.sleep(random.random() / 50)
    found = replace(self, target)
    print(Path(target).name, flush=True)
    time.sleep(random.random() / 50)
    return found
Path.replace = slowly
sys.exit(main(sys.argv[2:]))
"""


class TestKilled:
    @pytest.fixture
    def many(self, tmp_path: Path, noise: Noise) -> list[str]:
        lines = []
        for number in range(12):
            write_picture(tmp_path / f"{number}.png", noise(64, 80, 3, seed=number))
            for box in ("1,1,30,30", "10,20,70,60"):
                lines.append(f'{number}.png,out/{len(lines)}.png,"{box}"')
        return lines

    def child(self, tmp_path: Path, bundle: Bundle) -> subprocess.Popen[str]:
        words = ["segment", "--batch", tmp_path / "list.csv", "--model", bundle.path]
        command = [sys.executable, "-c", CHILD, Path(__file__).parent, *words]
        return subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_at_any_moment_and_then_resumed(
        self,
        batch: Callable[..., int],
        many: list[str],
        tmp_path: Path,
        bundle: Bundle,
        engine: Seeing,
        capsys: Capture,
    ) -> None:
        out = tmp_path / "out"
        assert batch(*many) == 0
        wanted = {path.name: path.read_bytes() for path in out.glob("*.png")}
        for path in out.iterdir():
            path.unlink()
        chance = random.Random(5)
        done: Files = {}
        for after in (1, 4, 9, 6):
            process = self.child(tmp_path, bundle)
            assert process.stdout is not None
            for _ in range(after):
                process.stdout.readline()
            time.sleep(chance.random() / 25)
            process.kill()
            process.communicate()
            now = files(out)
            for name, stamp in done.items():
                assert now[name] == stamp, "what was done is not done again"
            for name in now:
                if name.endswith(".png"):
                    assert (out / name).read_bytes() == wanted[name], "whole, if it is there"
                    if f"{name}.json" in now:
                        digest = sidecar(out / name)["mask"]["sha256"]
                        assert digest == now[name][1]
            done = {
                name: stamp
                for name, stamp in now.items()
                if {name.removesuffix(".json"), f"{name.removesuffix('.json')}.json"} <= set(now)
            }
        assert 0 < len(done) < 2 * len(many)
        capsys.readouterr()
        assert batch(*many, words=("--json",)) == 0
        told = report(capsys)
        assert (told["skipped"], told["failed"]) == (len(done) // 2, 0)
        assert told["written"] == len(many) - len(done) // 2
        now = files(out)
        assert all(now[name] == stamp for name, stamp in done.items())
        assert {p.name: p.read_bytes() for p in out.glob("*.png")} == wanted
        assert {p.name for p in out.glob("*.json")} == {f"{name}.json" for name in wanted}
        for path in out.glob(".edgesam-*.tmp"):
            os.utime(path, (1, 1))
        assert batch(*many) == 0
        assert len(list(out.iterdir())) == 2 * len(many), "nothing else"

    def test_interrupted(
        self,
        batch: Callable[..., int],
        many: list[str],
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        replace = Path.replace

        def interrupt(self: Path, target: Path) -> Path:
            if Path(target).name == "3.png.json":
                raise KeyboardInterrupt
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", interrupt)
            assert batch(*many) == 130
        err = capsys.readouterr().err
        assert "3 of 24 masks written; the same command goes on from here" in err
        assert set(files(tmp_path / "out")) == {
            *(f"{n}.png" for n in range(4)),
            *(f"{n}.png.json" for n in range(3)),
        }
        assert batch(*many) == 0
        assert capsys.readouterr().out == "21 of 24 masks written, 3 there already\n"


class TestFailures:
    def test_the_others_go_on(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path, capsys: Capture
    ) -> None:
        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        lines = [
            f"none.png,out/a.png,{BOX}",
            pictures[0],
            '1.png,out/b.png,"500,500,600,600"',
            '1.png,out/1.png,"1,1,20,20"',
            f"broken.png,out/c.png,{BOX}",
            f"0.png,out/d.dcm,{BOX}",
            pictures[2],
        ]
        assert batch(*lines) == 1
        shown = capsys.readouterr()
        assert shown.out == "3 of 7 masks written, 4 failed\n"
        told = [line for line in shown.err.splitlines() if "list.csv, line" in line]
        wanted = ("no such file", "outside", "broken", "refers to DICOM")
        for line, said in zip(sorted(told), wanted, strict=True):
            assert said in line
        assert [int(re.findall(r"line (\d+):", line)[0]) for line in sorted(told)] == [2, 4, 6, 7]
        assert set(files(tmp_path / "out")) == {
            name for n in (0, 1, 2) for name in (f"{n}.png", f"{n}.png.json")
        }

    def test_as_json(self, batch: Callable[..., int], pictures: list[str], capsys: Capture) -> None:
        assert batch(f"none.png,out/a.png,{BOX}", *pictures, words=("--json",)) == 1
        shown = capsys.readouterr()
        assert "none" not in shown.err
        told = json.loads(shown.out)
        assert (told["total"], told["written"], told["failed"]) == (7, 6, 1)
        (failure,) = told["failures"]
        assert (failure["line"], failure["type"]) == (2, "ImageError")
        assert "none.png: no such file" in failure["message"]
        assert (told["model"], told["engine"]) == ("mobile-sam", "fake:cpu")

    @pytest.mark.parametrize(
        ("header", "line", "said"),
        [
            ("image,output,box", f"stack,out/a.png,{BOX}", "slice with the column slice: 0..3"),
            ("image,output,box,slice", f"0.png,out/a.png,{BOX},1", "leave the column slice empty"),
            ("image,output,box,slice", f"stack,out/a.png,{BOX},4", "there is no slice 4"),
            ("image,output,box,frame", f"0.png,out/a.png,{BOX},3", "has no frame 3"),
            ("image,output,box,series", f"stack,out/a.png,{BOX},3", "holds no such series"),
            ("image,output,box,window", f"0.png,out/a.png,{BOX},lung", "is in colour"),
        ],
    )
    def test_what_only_the_picture_can_say(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        make_stack: Callable[..., Volume],
        tmp_path: Path,
        capsys: Capture,
        header: str,
        line: str,
        said: str,
    ) -> None:
        stack = make_stack((4, 80, 70))
        assert stack.origin is not None
        stack.origin.parts[0].file.path.parent.rename(tmp_path / "stack")
        assert batch(line, header=header) == 1
        assert said in capsys.readouterr().err

    def test_a_picture_too_large_to_encode(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
    ) -> None:
        encode = edgesam.Sam.encode
        calls = []

        def sometimes(self: Any, *args: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise OutOfMemory("no room")
            return encode(self, *args)

        monkeypatch.setattr(edgesam.Sam, "encode", sometimes)
        assert batch(*pictures, words=("--json",)) == 1
        told = report(capsys)
        assert [(f["line"], f["type"]) for f in told["failures"]] == [(3, "OutOfMemory")]
        assert told["written"] == 5
        assert batch(*pictures) == 0
        assert capsys.readouterr().out == "1 of 6 masks written, 5 there already\n"

    def test_a_mistake_in_the_program_is_no_failure_of_a_row(
        self, batch: Callable[..., int], pictures: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(*_: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(edgesam.Sam, "encode", wrong)
        with pytest.raises(ZeroDivisionError):
            batch(*pictures)

    def test_a_full_disk_ends_the_run(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
        engine: Seeing,
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert batch(*pictures) == 1
        assert "no space left on the disk" in capsys.readouterr().err.splitlines()[-1]
        assert files(tmp_path / "out") == {}
        assert engine.encoded < 6

    def test_a_wrong_list_is_told_before_the_model_is_loaded(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
    ) -> None:
        monkeypatch.setattr(edgesam, "load", None)
        assert batch(*pictures, '0.png,out/a.png,"1,2"') == 1
        assert capsys.readouterr().err.endswith("list.csv, line 8: '1,2' is not x0,y0,x1,y1\n")


class TestSidecar:
    def test_what_is_in_it(
        self, batch: Callable[..., int], pictures: list[str], tmp_path: Path, bundle: Bundle
    ) -> None:
        assert batch(pictures[0]) == 0
        mask = tmp_path / "out/0.png"
        found = sidecar(mask)
        request = found["request"]
        assert request["prompts"] == [{"box": [10.0, 10.0, 60.0, 50.0], "points": None}]
        assert (request["model"], request["variant"]) == ("mobile-sam", "fp32")
        assert request["graphs"] == bundle.manifest.variants["fp32"].graphs
        assert (request["engine"], request["select"], request["kind"]) == (
            "fake:cpu",
            "single",
            "png",
        )
        assert request["window"] is None
        assert re.fullmatch("[0-9a-f]{64}", request["input"])
        data = mask.read_bytes()
        assert found["mask"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        assert (found["width"], found["height"], found["mapping"]) == (80, 64, "as stored")
        assert found["passport"] is None
        (told,) = found["objects"]
        drawn = pixels(mask) > 0
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        assert told["area"] == drawn.sum()
        assert told["box"] == [columns[0], rows[0], columns[-1], rows[-1]]
        assert told["score"] == 0.9
        assert set(found["milliseconds"]) == {"read", "wait", "segment", "write"}
        assert found["edgesam"] == edgesam.__version__

    def test_the_passport(
        self,
        batch: Callable[..., int],
        pictures: list[str],
        tmp_path: Path,
        make_bundle: Callable[..., Bundle],
    ) -> None:
        iou = {"mean": 0.99, "p5": 0.98, "worst": 0.9, "n": 5}
        gate = {"mean": 0.9, "p5": 0.9, "worst": 0.8}
        other = make_bundle("vouched", passport={"mask_iou": iou, "gate": gate})
        assert batch(pictures[0], words=("--model", other.path)) == 0
        assert sidecar(tmp_path / "out/0.png")["passport"] == iou

    @pytest.mark.parametrize("suffix", ["png", "dcm", "nii.gz", "json"])
    def test_nothing_of_a_patient(
        self,
        batch: Callable[..., int],
        make_stack: Callable[..., Volume],
        tmp_path: Path,
        suffix: str,
    ) -> None:
        pydicom = pytest.importorskip("pydicom")
        stack = make_stack((3, 60, 70), PatientComments="SECRET", InstitutionName="SECRETARY")
        assert stack.origin is not None
        folder = stack.origin.parts[0].file.path.parent.rename(tmp_path / "SECRET^NAME")
        assert batch(f"{folder.name},out/a.{suffix},{BOX},1", header="image,output,box,slice") == 0
        text = (tmp_path / f"out/a.{suffix}.json").read_text("utf-8")
        header = pydicom.dcmread(next(folder.iterdir()))
        allowed = {"CT", "OT", "8", "7", "0", "1", "2", "3", "60", "70"}
        for element in header:
            value = str(element.value)
            identifying = element.VR in ("PN", "LO", "SH", "LT", "UI", "DA", "TM", "AE", "ST")
            if identifying and value not in allowed and element.keyword != "SOPClassUID":
                assert value not in text, element.keyword
        for word in ("SECRET", str(tmp_path), folder.name, "1901", "list.csv", ".dcm"):
            assert word not in text
        assert "PixelSpacing 0.8 x 0.6 mm" in text


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("picture.png",), "leave INPUT out"),
            (("-o", "a.png"), "leave --out out"),
            (("--box", "1,2,3,4"), "leave --box out"),
            (("--point", "1,2"), "leave --point out"),
            (("--slice", "0"), "leave --slice out"),
            (("--frame", "0"), "leave --frame out"),
            (("--series", "1"), "leave --series out"),
            (("--axis", "axial"), "leave --axis out"),
            (("--name", "a"), "leave --name out"),
            (("--everything",), "leave --everything out"),
            (("--overlay", "a.png"), "leave --overlay out"),
            (("--all-frames",), "leave --all-frames out"),
        ],
    )
    def test_what_the_list_says(
        self, batch: Callable[..., int], capsys: Capture, words: tuple[str, ...], said: str
    ) -> None:
        assert batch(words=words) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("edgesam segment: error: --batch takes pictures")
        assert error.endswith(said)

    def test_neither_a_list_nor_a_picture(self, capsys: Capture) -> None:
        assert main(["segment", "-o", "a.png", "--box", "1,2,3,4"]) == 2
        assert "give an INPUT" in capsys.readouterr().err

    def test_progress_with_the_time_that_is_left(
        self, batch: Callable[..., int], pictures: list[str], capsys: Capture
    ) -> None:
        assert batch(*pictures) == 0
        shown = capsys.readouterr().err.splitlines()
        assert re.fullmatch(r"1 of 6 masks, 0:00:\d\d left", shown[-2])
        assert shown[-1] == "6 of 6 masks, 0:00:00 left"


def test_a_real_model(tmp_path: Path, lite_bundle: Path, noise: Noise, capsys: Capture) -> None:
    """The same bytes as the single picture's command writes."""
    write_picture(tmp_path / "a.png", noise(80, 100, 3))
    (tmp_path / "list.csv").write_text('image,output,box\na.png,b.png,"10,10,90,70"\n')
    common = ["--model", str(lite_bundle), "--threads", "1"]
    assert main(["segment", "--batch", str(tmp_path / "list.csv"), *common]) == 0
    words = ["segment", str(tmp_path / "a.png"), "-o", str(tmp_path / "c.png")]
    assert main([*words, "--box", "10,10,90,70", *common]) == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
