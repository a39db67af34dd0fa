"""The whole program on a fake device: what it measures, and how it degrades."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam.errors import EngineUnavailable
from edgesam_bench.gpu.__main__ import main, verdict
from edgesam_bench.gpu.findings import Findings, read_findings
from edgesam_bench.gpu.measures import MEASURES
from edgesam_bench.gpu.page import markdown
from edgesam_bench.gpu.run import Here
from edgesam_bench.gpu.settings import Settings
from edgesam_bench.gpu.tools import Tools, wait_for_nothing

from ..device_engine import DeviceFake
from .conftest import Clock

Run = Callable[..., dict[str, Any]]
Reasons = Callable[[dict[str, Any]], dict[str, str]]
Make = Callable[..., Any]


def test_everything_that_a_fake_device_can_be_asked(
    run_fake: Run, make_cuda: Make, reasons: Reasons, tmp_path: Path
) -> None:
    engine, out = make_cuda(), tmp_path / "gpu.json"
    report = run_fake(engine, out=out)
    assert report["finished"]
    assert json.loads(out.read_text("utf-8")) == json.loads(json.dumps(report))
    assert read_findings(out)["contenders"][0]["runs"]["engine"] == "fake:cuda"
    assert {row["measure"] for row in report["speed"]} == set(MEASURES)
    rows = {row["measure"]: row for row in report["speed"]}
    assert rows["click"]["wall"]["n"] == 2 * MEASURES["click"].count
    assert rows["click"]["wall"]["p50"] == pytest.approx(0.001)
    assert rows["serial"]["wall"]["p50"] == pytest.approx(0.0005), "a frame's, of two"
    assert rows["encode_4"]["wall"]["p50"] == pytest.approx(0.00025), "a picture's, of four"
    assert rows["overlapped"]["gain"]["median"] == pytest.approx(1)
    assert all(row["device"] is None for row in report["speed"]), "nothing was guessed"
    (parity,) = report["parity"]
    assert parity["pictures"] == 3
    assert parity["mask_iou"]["worst"] == 1
    assert "phantoms" in parity["source"]
    why = reasons(report)
    assert "3 were compared" in why["mobile-sam, fake fp32: parity on 40 pictures"]
    assert "torch (not installed)" in why["mobile-sam, PyTorch eager fp16"]
    assert "torch (not installed)" in why["device times"]
    assert verdict(report) == 0
    assert engine.closed == 1


def test_an_engine_that_refuses_costs_the_other_nothing(
    run_fake: Run, make_cuda: Make, reasons: Reasons
) -> None:
    refusal = EngineUnavailable("TensorRT is installed but no NVIDIA driver was found")
    report = run_fake(make_cuda("poor", refuses=refusal), make_cuda("rich"))
    assert {row["contender"] for row in report["speed"]} == {"rich fp32"}
    assert reasons(report)["mobile-sam, poor fp32"] == str(refusal)


def test_an_engine_without_the_device_is_listed(
    run_fake: Run, make_cuda: Make, reasons: Reasons
) -> None:
    engine = make_cuda()
    engine.devices = lambda: ("cpu",)
    report = run_fake(engine)
    assert reasons(report)["engine fake on cuda"] == "has no device cuda here; it has: cpu"
    assert not report["speed"]
    assert verdict(report) == 1, "nothing was measured"


def test_memory_that_runs_out_costs_what_needed_it(
    run_fake: Run, make_cuda: Make, reasons: Reasons
) -> None:
    report = run_fake(make_cuda(fails_at=1))
    assert {row["measure"] for row in report["speed"]} == {"encode", "embed", "encode_4"}
    why = reasons(report)
    assert why["mobile-sam, fake fp32: click"] == "the device has no memory left"
    assert why["mobile-sam, fake fp32: parity"] == "the device has no memory left"
    assert report["finished"]


def test_wrong_masks_fail_the_gate(run_fake: Run, make_cuda: Make) -> None:
    report = run_fake(make_cuda(wrong=True))
    assert any("mask IoU" in line for line in report["failures"])
    assert report["parity"][0]["failures"]
    assert report["speed"], "speed is told all the same"
    assert verdict(report) == 3


def test_time_that_runs_out(run_fake: Run, make_cuda: Make, reasons: Reasons) -> None:
    report = run_fake(make_cuda(), seconds=0.0)
    assert reasons(report)["mobile-sam"] == "time ran out"
    assert report["finished"]
    assert not report["speed"]
    assert verdict(report) == 1


def test_little_time_still_makes_a_whole_round(run_fake: Run, make_cuda: Make) -> None:
    report = run_fake(make_cuda(), rounds=50, seconds=0.6)
    rows = {row["measure"]: row for row in report["speed"]}
    assert set(rows) == set(MEASURES)
    assert rows["click"]["wall"]["n"] < 50 * MEASURES["click"].count


def test_what_there_was_no_time_for_at_all(
    run_fake: Run, make_cuda: Make, reasons: Reasons
) -> None:
    """Two contenders whose every look at the clock takes a millisecond."""
    report = run_fake(make_cuda("one"), make_cuda("other"), rounds=50, seconds=0.12)
    rows = [(row["contender"], row["measure"]) for row in report["speed"]]
    assert ("one fp32", "encode") in rows
    assert ("other fp32", "everything") not in rows
    why = reasons(report)
    assert why["mobile-sam, other fp32: everything"] == "time ran out"
    (alone,) = [what for what in why if what.startswith("mobile-sam, one fp32: encode, embed")]
    assert alone.endswith(", in turn with the others")
    assert why[alone] == "time ran out: its figures are of one round, alone"


def test_device_times_are_taken_where_something_can(run_fake: Run, make_cuda: Make) -> None:
    def seconds(call: Callable[[], object]) -> float:
        call()
        return 0.25

    tools = Tools(None, "broken", wait_for_nothing, "a fake", seconds)
    report = run_fake(make_cuda(), tools=tools)
    rows = {row["measure"]: row for row in report["speed"]}
    assert rows["click"]["device"]["p50"] == 0.25
    assert rows["encode_4"]["device"]["p50"] == 0.0625, "a picture's, of four"
    assert rows["serial"]["device"] is None
    assert rows["click"]["shares"] == {}, "no peak was measured: no share is told"


def test_weights_are_read_once_for_all_pictures_of_a_call(
    run_fake: Run, make_cuda: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where four pictures take as long as one, copies have the same share of their peak."""

    def measure(_: object, findings: Findings, *more: object) -> None:
        findings.content["peaks"] = {"by": "a fake", "matmul": {}, "copy": {"gb_per_s": 1e-9}}

    monkeypatch.setattr("edgesam_bench.gpu.run.peaks.measure", measure)
    tools = Tools(None, "broken", wait_for_nothing, "a fake", lambda call: 0.25)
    rows = {row["measure"]: row for row in run_fake(make_cuda(), tools=tools)["speed"]}
    assert rows["encode"]["shares"]["copy"] > 0
    assert rows["encode_4"]["shares"] == pytest.approx(rows["encode"]["shares"])


def test_what_was_found_is_there_after_a_kill(
    run_fake: Run, make_cuda: Make, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def seconds(call: Callable[[], object]) -> float:
        raise Killed

    out = tmp_path / "gpu.json"
    tools = Tools(None, "broken", wait_for_nothing, "a fake", seconds)
    with pytest.raises(Killed):
        run_fake(make_cuda(), tools=tools, out=out)
    kept = read_findings(out)
    assert not kept["finished"]
    assert kept["parity"]
    assert "did not end" in markdown([kept])


def test_what_edgesam_warns_of_is_in_the_report(run_fake: Run, make_cuda: Make) -> None:
    """As that something runs without a CUDA graph: its figures are other ones then."""

    class Warns(type(make_cuda())):  # type: ignore[misc]
        def open(self, graphs: Any, **how: Any) -> Any:
            if how["device"] == "cuda":
                logging.getLogger("edgesam").warning("it runs without a %s", "CUDA graph")
            return super().open(graphs, **how)

    report = run_fake(Warns())
    assert report["warnings"].count("it runs without a CUDA graph") == 1
    assert "- it runs without a CUDA graph\n" in markdown([report])


def test_a_machine_without_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgesam_bench.gpu.card.shutil.which", lambda _: None)
    nothing = Tools(None, "needs torch", wait_for_nothing, None, None)
    here = Here(Settings(), engines={}, tools=nothing)
    monkeypatch.setattr("edgesam_bench.gpu.__main__.Apart", lambda _: here)
    out = tmp_path / "gpu.json"
    assert main(["--json", str(out), "--seconds", "5"]) == 1
    told = {one["what"]: one["reason"] for one in read_findings(out)["not_measured"]}
    assert "no NVIDIA driver" in told["the card"]
    assert "lite-medsam" in told
    assert "no NVIDIA driver" in capsys.readouterr().out


def test_what_is_not_installed_stops_nothing() -> None:
    """The program needs but NumPy and Pillow to begin: all else is asked for where it is needed."""
    program = (
        "import sys, edgesam_bench.gpu.__main__\n"
        "print(*{'onnx', 'onnx_ir', 'pydicom', 'torch', 'onnxruntime', 'cuda'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_device_that_hands_out_what_is_not_there_yet(run_fake: Run) -> None:
    """It prepares and finishes itself, as the product has it, and nothing timed ends before it."""
    engine, ticking = DeviceFake(), Clock()

    def clock() -> float:
        assert all(late.waited for _, late in engine.late), "the device was not done yet"
        return ticking()

    report = run_fake(engine, clock=clock)
    assert {row["measure"] for row in report["speed"]} == set(MEASURES)
    assert report["parity"][0]["mask_iou"]["worst"] == 1
    assert engine.done.count("prepare") > report["frames"] * report["rounds"]
    assert engine.done.count("finish") > 20


def test_a_bundle_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--json", "x.json", "--bundle", "folder"])
    assert stop.value.code == 2
    assert "MODEL=FOLDER" in capsys.readouterr().err


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(tmp_path / "none" / "gpu.json"), "--seconds", "5"]) == 1
    assert "error:" in capsys.readouterr().err
