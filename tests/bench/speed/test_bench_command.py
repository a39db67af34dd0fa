"""``edgesam bench`` from the command line: a whole run of a random model, and every exit code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgesam import commands
from edgesam.bundle import Bundle
from edgesam_bench.speed import run as speed_run
from edgesam_bench.speed.measures import MEASURES, STAGES

Capture = pytest.CaptureFixture[str]
Make = Callable[..., dict[str, Any]]
Main = Callable[..., int]

MODULE = "edgesam_bench.commands.bench"
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    """The command line with this command in it, whatever is installed."""
    found = {"bench": EntryPoint("bench", MODULE, "edgesam.commands")}
    monkeypatch.setattr(commands, "_plugins", lambda: found)
    return lambda *words: commands.main(["bench", *map(str, words)])


@pytest.fixture
def made_up(
    make_report: Make, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> Bundle:
    """Nothing is measured: the report is there at once. Gives a bundle of its model."""
    monkeypatch.setattr(speed_run, "run", lambda request, progress: make_report())
    return make_bundle()


def test_the_entry_point_is_declared() -> None:
    assert f'bench = "{MODULE}"' in PYPROJECT.read_text("utf-8")


def test_a_whole_run(lite_bundle: Path, main: Main, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("onnxruntime")
    out, picture = tmp_path / "speed.json", tmp_path / "speed.png"
    asked = ("--quick", "--rounds", 1, "--peers", "torch,samexporter", "--threads", 1)
    code = main("--model", lite_bundle, *asked, "--out", out, "--picture", picture, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    report = json.loads(out.read_text("utf-8"))
    assert report == printed
    assert set(report["measures"]) == set(MEASURES) - {
        "everything",
        *(() if "memory" in report["measures"] else ("memory",)),
    }
    for measure in report["measures"].values():
        found = measure["of"]["edgesam"]
        assert 0 < found["min"] <= found["p50"] <= found["p95"] <= found["p99"] <= found["max"]
    parts = {part for parts in STAGES.values() for part in parts} - {"prepare"}  # a device's
    assert set(report["stages"]) == {"read", *STAGES, *parts}
    assert report["stages"]["decode"]["n"] == report["clicks"] == 5
    assert (
        len(report["click_samples"]["edgesam"]) == report["measures"]["click"]["of"]["edgesam"]["n"]
    )
    assert set(report["work"]) == {"encode", "image_side", "decode"}
    assert report["peak"]["gflops"] == max(report["peak"]["numpy"], report["peak"]["engine"])
    assert list(report["peers"]) == ["torch", "samexporter"]
    assert all(peer["reason"] for peer in report["peers"].values())
    assert report["contenders"] == ["edgesam"]
    assert report["not_measured"]["everything"].endswith("takes no points")
    assert (report["threads"], report["rounds"], report["quick"]) == (1, 1, True)
    assert report["graphs"].keys() == {"image_encoder", "image_side", "mask_decoder"}
    with Image.open(picture) as drawn:
        assert drawn.size == (2640, 1120)


def test_budgets(made_up: Bundle, main: Main, capsys: Capture) -> None:
    model = ("--model", made_up.path)
    assert main(*model, "--budget", "p95=50ms", "--budget", "memory.max=1000MiB") == 0
    assert capsys.readouterr().err == ""
    assert main(*model, "--budget", "p95=50ms", "--budget", "encode.p50=100ms") == 3
    assert capsys.readouterr().err == (
        "edgesam: encode.p50 is 714 ms (n=6), its budget is 100 ms\n"
    )


def test_compare(
    made_up: Bundle, make_report: Make, main: Main, tmp_path: Path, capsys: Capture
) -> None:
    base, out = tmp_path / "base.json", tmp_path / "now.json"
    base.write_text(json.dumps(make_report()), "utf-8")
    asked = ("--model", made_up.path, "--compare", base, "--out", out)
    assert main(*asked) == 0
    assert "p50 / base.json" in capsys.readouterr().out
    base.write_text(json.dumps(make_report(scale=0.5, processor="another")), "utf-8")
    assert main(*asked) == 3
    said = capsys.readouterr()
    assert "differs: processor: another -> a processor, 2 cores" in said.out
    assert said.err.splitlines()[0].startswith("edgesam: start.p50 is 2.00 of the earlier one")
    report = json.loads(out.read_text("utf-8"))  # written although the gate failed
    assert report["failures"] == [line[9:] for line in said.err.splitlines()]
    assert report["compared"]["measures"]["click"]["verdict"] == "slower"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rounds", "0"), "is not a whole number from 1"),
        (("--rounds", "1.5"), "is not a whole number from 1"),
        (("--threads", "none"), "is not a whole number from 1"),
        (("--peers", "torch,tensorflow"), "no peer is called 'tensorflow'"),
        (("--peers", "torch,torch"), "names a peer twice"),
        (("--budget", "p95=50"), "is not [MEASURE.]STATISTIC=LIMIT"),
        (("--budget", "nothing.p95=50ms"), "no measure is called 'nothing'"),
        (("--out", "nowhere/speed.json"), "there is no folder"),
        (("--out", "."), "is a folder; give a file name"),
        (("--picture", "speed.jpg"), "does not end in .png"),
        (("--compare", "nowhere.json"), "cannot be read"),
        (("surplus",), "unrecognized arguments"),
    ],
)
def test_usage(
    made_up: Bundle,
    main: Main,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main("--model", made_up.path, *words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last
    assert not list(tmp_path.glob("speed*"))


def test_a_report_of_another_model_is_no_base(
    made_up: Bundle, make_report: Make, main: Main, tmp_path: Path, capsys: Capture
) -> None:
    base = tmp_path / "base.json"
    base.write_text(json.dumps(make_report(model="lite-medsam")), "utf-8")
    assert main("--model", made_up.path, "--compare", base) == 2
    assert "is of lite-medsam, not of mobile-sam" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--engine", "no-such-engine"), "no engine is called 'no-such-engine'"),
        (("--variant", "int7"), "int7"),
        (("--image", "nothing.png"), "no such file"),
    ],
)
def test_errors_are_one_line(
    lite_bundle: Path, main: Main, capsys: Capture, words: tuple[str, ...], said: str
) -> None:
    assert main("--model", lite_bundle, *words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1]
    assert lines[-1].startswith("edgesam: ")


def test_the_help_names_peers_and_budgets(capsys: Capture) -> None:
    from edgesam_bench.commands import bench

    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    text = " ".join(parser.format_help().split())
    assert "torch" in text
    assert "click.p95=50ms" in text
