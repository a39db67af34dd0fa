"""From two sides' automatic masks to a verdict; the official side is a script of a few lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgesam
from edgesam.errors import ParityError
from edgesam.runs import Runs
from edgesam_bench import everything_parity
from edgesam_bench.everything_parity import Limits, Result, chosen, share
from edgesam_bench.official_generator import OfficialGenerator
from edgesam_bench.pictures import MANIFEST, Picture

OFFICIAL = """
import json, sys, time
print(json.dumps({"checkpoint_sha256": "ab" * 32, "versions": {}}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    if "b.png" in question["image"]:
        sys.exit(7)
    time.sleep(0.02)
    print(json.dumps({"seconds": SECONDS, "records": RECORDS, **question}), flush=True)
"""
SIZE = (40, 50)


def record(x: int, width: int = 10) -> dict[str, Any]:
    mask = np.zeros(SIZE, np.bool_)
    mask[5:35, x : x + width] = True
    runs = Runs.of(mask)
    return {"segmentation": {"size": list(SIZE), "counts": runs.counts.tolist()}}


THREE = [record(0), record(15), record(30)]


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    def write(records: list[dict[str, Any]] = THREE, seconds: float = 1.0) -> Path:
        path = tmp_path / "official.py"
        text = OFFICIAL.replace("RECORDS", repr(records)).replace("SECONDS", repr(seconds))
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def run(
    tmp_path: Path, script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """The command over one picture, both sides answering what they are told."""
    Image.new("L", SIZE[::-1]).save(tmp_path / "a.png")
    header = "image,mask,modality,subset,labels"
    (tmp_path / MANIFEST).write_text(f"{header}\na.png,a.png,ct,s,1\n", "utf-8")

    def start(
        *more: str,
        ours: list[dict[str, Any]] = THREE,
        official: list[dict[str, Any]] = THREE,
        seconds: float = 10.0,
        sha256: str = "ab" * 32,
    ) -> int:
        manifest = SimpleNamespace(checkpoint_sha256=sha256)
        bundle = SimpleNamespace(path=Path("bundle"), manifest=manifest)
        monkeypatch.setattr(everything_parity, "SCRIPT", script(official, seconds))
        monkeypatch.setattr(everything_parity, "find_bundle", lambda _: bundle)
        monkeypatch.setattr(everything_parity, "everything", lambda *_, **__: ours)
        sam = SimpleNamespace(engine="parrot:cpu")
        monkeypatch.setattr(edgesam, "load", lambda *_, **__: nullcontext(sam))
        return everything_parity.main(
            [
                *("--data", str(tmp_path), "--reference-python", sys.executable),
                *("--checkpoint", "mobile_sam.pt", "--out", str(tmp_path / "out.json"), *more),
            ]
        )

    return start


def test_agreement(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("--points-per-side", "8") == 0
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert report["failures"] == []
    assert report["parameters"]["points_per_side"] == 8
    assert (report["all"]["official"], report["all"]["ours"], report["all"]["same"]) == (3, 3, 1)
    assert report["all"]["worst"] == 1
    assert report["all"]["ratio"] < 0.45
    (picture,) = report["pictures"]
    assert (picture["picture"], picture["height"], picture["width"]) == ("a", *SIZE)
    assert picture["same"] == 3


@pytest.mark.parametrize(
    ("changed", "failure"),
    [
        ({"ours": [record(0), record(15), record(30, 9)]}, "0.6667 of masks have an IoU of 0.98"),
        ({"ours": THREE[:2]}, "0.6667 of masks"),
        ({"ours": [*THREE, record(2)]}, "the counts differ by 0.3333, limit 0.01"),
        ({"seconds": 1e-9}, "of the official time, limit 0.45"),
        ({"official": [], "ours": []}, "nothing was compared"),
    ],
)
def test_disagreement(
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    failure: str,
) -> None:
    assert run(**changed) == 3
    assert failure in capsys.readouterr().out
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert any(failure in line for line in report["failures"])


def test_what_cannot_be_compared(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sha256="cd" * 32) == 1
    assert "is not the checkpoint of the bundle" in capsys.readouterr().err
    assert run("--out", str(tmp_path / "no" / "out.json")) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert run("--reference-python", str(tmp_path / "python")) == 1
    assert "bench/reference/README.md says how" in capsys.readouterr().err
    assert run("--data", str(tmp_path / "none")) == 1
    assert "no evaluation pictures" in capsys.readouterr().err
    assert run("--pictures", "0") == 1
    assert "lists no pictures" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_the_official_side_s_death_is_told(script: Callable[..., Path], tmp_path: Path) -> None:
    with OfficialGenerator(Path(sys.executable), script(), Path("c.pt")) as official:
        assert official.about["versions"] == {}
        assert official.records(tmp_path / "a.png", {}) == (THREE, 1.0)
        with pytest.raises(ParityError, match="ended with status 7"):
            official.records(tmp_path / "b.png", {})
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(5)")
    with pytest.raises(ParityError, match="ended with status 5"):
        OfficialGenerator(Path(sys.executable), broken, Path("c.pt"))


def result(official: int, ours: int, same: int, seconds: float = 0.1) -> Result:
    ious = [1.0] * same + [0.5] * (min(official, ours) - same)
    return Result("p", "ct", "s", 1, 1, official, ours, ious, 1.0, seconds)


class TestLimits:
    def test_pictures_are_judged_together(self) -> None:
        assert Limits().failures([result(99, 99, 97), result(1, 1, 1)]) == []
        assert len(Limits().failures([result(99, 99, 96), result(1, 1, 1)])) == 1
        slow = [result(50, 50, 50, 0.6), result(50, 50, 50, 0.2)]
        assert Limits().failures(slow) == []
        assert Limits().failures([*slow, result(50, 50, 50, 0.7)]) != []

    def test_counts_do_not_balance(self) -> None:
        assert Limits().failures([result(100, 101, 100), result(100, 99, 99)]) == []
        (failure,) = Limits().failures([result(100, 102, 100), result(100, 98, 98)])
        assert failure.startswith("the counts differ by 0.02")

    def test_masks_left_over_count(self) -> None:
        assert share([result(10, 8, 8)]) == share([result(8, 10, 8)]) == 0.8


def test_modalities_come_first() -> None:
    def picture(modality: str, subset: str) -> Picture:
        path = Path(f"{subset}.png")
        return Picture(subset, path, path, modality, subset, instances=False)

    pictures = [
        picture("ct", "b"),
        picture("xray", "d"),
        picture("ct", "a"),
        picture("ct", "c"),
        picture("mri", "e"),
    ]
    names = [p.name for p in chosen(pictures, 10)]
    assert names == ["a", "e", "d", "b", "c"]
    assert [p.name for p in chosen(pictures, 2)] == names[:2]
