"""``edgesam bench --scenario`` from the command line, over an engine without weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgesam.engines
from edgesam import commands
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.tuned import Choice
from edgesam_bench.scenario import run as scenario_run
from edgesam_bench.scenario.measures import SCENARIOS

Capture = pytest.CaptureFixture[str]
Main = Callable[..., int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Bundle]) -> Main:
    """The command line, in which nobody waits and one engine paints what it is told."""
    found = {"bench": EntryPoint("bench", "edgesam_bench.commands.bench", "edgesam.commands")}
    monkeypatch.setattr(commands, "_plugins", lambda: found)
    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": FakeEngine()})
    hasty = partial(scenario_run.run, sleep=lambda _: None)
    monkeypatch.setattr(scenario_run, "run", hasty)
    bundle = make_bundle(model="lite-medsam").path
    return lambda *words: commands.main(["bench", "--model", str(bundle), *map(str, words)])


@pytest.fixture
def series(tmp_path: Path, noise: Callable[..., NDArray[np.uint8]]) -> Path:
    """A folder of small pictures."""
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(16):
        Image.fromarray(noise(24, 32, seed=number)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_whole_run(
    scenario: str, main: Main, series: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, picture = tmp_path / "scene.json", tmp_path / "scene.png"
    asked = ("--scenario", scenario, "--image", series, "--rounds", 2, "--json")
    assert main(*asked, "--out", out, "--picture", picture) == 0
    report = json.loads(out.read_text("utf-8"))
    assert report == json.loads(capsys.readouterr().out)
    assert (report["scenario"], report["rounds"], report["quick"]) == (scenario, 2, False)
    assert (report["model"], report["engine"]) == ("lite-medsam", "fake:cpu")
    assert report["source"] == {"name": "series", "pictures": 16, "width": 32, "height": 24}
    known = {measure.name for measure in SCENARIOS[scenario]}
    assert set(report["measures"]) | set(report["not_measured"]) == known
    assert report["facts"]
    assert any(part["spans"] for part in report["timeline"])
    assert report["graphs"].keys() == {"image_encoder", "image_side", "mask_decoder"}
    assert str(tmp_path) not in out.read_text("utf-8")
    with Image.open(picture) as drawn:
        assert drawn.size == (2640, 1400)


def test_the_threads_that_tune_found_are_used_and_told(
    main: Main, series: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked: list[int | None] = []

    class Counted(FakeEngine):
        def open(self, *graphs: Any, threads: int | None, **more: Any) -> FakeSession:
            asked.append(threads)
            return super().open(*graphs, threads=threads, **more)

    monkeypatch.setattr(edgesam.engines, "ENGINES", {"fake": Counted()})
    tuned = Choice("fake", "fp32", 3)
    monkeypatch.setattr(scenario_run, "as_tuned", lambda *_: tuned)
    words = ("--scenario", "batch", "--image", series, "--quick", "--json")
    for more, threads in (((), 3), (("--threads", 2), 2)):
        assert main(*words, *more) == 0
        assert json.loads(capsys.readouterr().out)["threads"] == asked.pop() == threads


def test_the_text_and_a_budget(main: Main, series: Path, capsys: Capture) -> None:
    asked = ("--scenario", "batch", "--image", series, "--quick")
    assert main(*asked, "--budget", "loop.max=900s", "--budget", "ratio.p50=1000x") == 0
    said = capsys.readouterr()
    assert "serial loop, a picture" in said.out
    assert "its budget is" not in said.err
    assert main(*asked, "--budget", "loop.max=0.000001ms") == 3
    assert "edgesam: loop.max is" in capsys.readouterr().err


def test_drawn_pictures_where_none_is_given(main: Main, capsys: Capture) -> None:
    assert main("--scenario", "batch", "--quick", "--json") == 0
    assert json.loads(capsys.readouterr().out)["source"]["name"] == "drawn pictures"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scenario", "dance"), "invalid choice: 'dance'"),
        (("--scenario", "viewer", "--peers", "torch"), "--peers does not go with --scenario"),
        (("--scenario", "viewer", "--compare", "a.json"), "--compare does not go with"),
        (("--scenario", "cine", "--reference-python", "p"), "--reference-python does not go"),
        (("--scenario", "cine", "--plain-graphs", "x"), "--plain-graphs does not go with"),
        (("--scenario", "batch", "--budget", "click.p50=1s"), "no measure is called 'click'"),
        (("--scenario", "viewer", "--budget", "jump.p50=2x"), "jump is told in ms or s, not in x"),
        (("--scenario", "viewer", "--out", "nowhere/a.json"), "there is no folder"),
        (("--scenario", "viewer", "--picture", "a.gif"), "does not end in .png"),
        (("--budget", "jump_ratio.p50=1.1x"), "no measure is called 'jump_ratio'"),
    ],
)
def test_usage(main: Main, capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert main(*words) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image", "nothing.png"), "no such file"),
        (("--engine", "no-such-engine"), "no engine is called 'no-such-engine'"),
        (("--variant", "int7"), "int7"),
    ],
)
def test_errors_are_one_line(
    main: Main, capsys: Capture, words: tuple[str, ...], said: str
) -> None:
    assert main("--scenario", "viewer", *words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("edgesam: ")
    assert said in last
