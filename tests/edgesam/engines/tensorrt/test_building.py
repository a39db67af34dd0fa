"""The process that builds plans: how it ends is said in one line each."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam import BundleError, EdgeSamError, EngineUnavailable, PrecisionMismatch
from edgesam.engines.tensorrt import building
from edgesam.engines.tensorrt.building import Request, build_in_process
from edgesam.errors import OutOfMemory

Program = Callable[[str], None]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts another program in the place of the one that builds."""

    def put(source: str) -> None:
        path = tmp_path / "builder.py"
        path.write_text(textwrap.dedent(source))
        monkeypatch.setattr(building, "PROGRAM", (str(path),))

    return put


def build(tmp_path: Path, told: list[str] | None = None, expected: float | None = None) -> float:
    request = Request(
        graph=str(tmp_path / "g.onnx"),
        precision="fp16",
        flavour="tensorrt-rtx",
        capabilities=("8.6",),
        plan=str(tmp_path / "plan"),
        timing=None,
    )
    tell = (told if told is not None else []).append
    return build_in_process(request, expected=expected, tell=tell)


def test_it_gets_the_request_and_tells_of_progress(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "PAUSE", 0.0)
    program("""
        import json, pathlib, sys
        request = json.load(sys.stdin)
        assert request["precision"] == "fp16" and request["capabilities"] == ["8.6"]
        print("noise of a library")
        print('edgesam:{"phase": "Timing tactics"}', flush=True)
        pathlib.Path(request["plan"]).write_bytes(b"plan")
    """)
    told: list[str] = []
    assert build(tmp_path, told, expected=25.4) > 0
    assert (tmp_path / "plan").read_bytes() == b"plan"
    assert told[0] == ("building the TensorRT-RTX plan of g.onnx, once, about 25 s")
    pattern = r"building the TensorRT-RTX plan of g\.onnx: \d+ s of about 25 \(Timing tactics\)"
    assert any(re.fullmatch(pattern, line) for line in told)


def test_nothing_is_expected_before_the_first_build(tmp_path: Path, program: Program) -> None:
    program("pass")
    told: list[str] = []
    build(tmp_path, told)
    assert told == ["building the TensorRT-RTX plan of g.onnx, once"]


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("PrecisionMismatch", PrecisionMismatch),
        ("BundleError", BundleError),
        ("OutOfMemory", OutOfMemory),
        ("EngineUnavailable", EngineUnavailable),
    ],
)
def test_what_the_builder_raises(
    tmp_path: Path, program: Program, kind: str, raised: type[EdgeSamError]
) -> None:
    program(f"""
        import sys
        print('edgesam:{{"error": "{kind}", "message": "what it says"}}')
        sys.exit(1)
    """)
    with pytest.raises(raised, match=r"^what it says$"):
        build(tmp_path)


@posix
def test_killed(tmp_path: Path, program: Program) -> None:
    program("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(OutOfMemory) as error:
        build(tmp_path)
    assert str(error.value) == (
        "TensorRT-RTX was killed while building g.onnx, as systems do where memory runs out: "
        "close other programs, or take a smaller model"
    )


@posix
@pytest.mark.parametrize(
    ("crash", "name"),
    [("os.abort()", "SIGABRT"), ("os.kill(os.getpid(), 11)", "SIGSEGV")],
)
def test_crashed(tmp_path: Path, program: Program, crash: str, name: str) -> None:
    program(f"""
        import os, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        print("myelin: check failed", flush=True)
        {crash}
    """)
    with pytest.raises(EngineUnavailable) as error:
        build(tmp_path)
    assert str(error.value) == (
        f"TensorRT-RTX crashed while building g.onnx, by {name} (myelin: check failed): update it "
        "or the driver, or take another engine"
    )


def test_ended_without_an_answer(tmp_path: Path, program: Program) -> None:
    program("import sys; print('something'); sys.exit(3)")
    with pytest.raises(EngineUnavailable) as error:
        build(tmp_path)
    assert str(error.value) == (
        "TensorRT-RTX ended with exit code 3 while building g.onnx (something): update it, or take "
        "another engine"
    )


def test_too_late(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LONGEST", 0.3)
    program("import time; time.sleep(600)")
    with pytest.raises(EngineUnavailable) as error:
        build(tmp_path)
    assert str(error.value) == (
        "TensorRT-RTX has not built g.onnx in 0.005 minutes and was stopped: take a smaller model, "
        "or another engine"
    )


def test_no_python_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = str(tmp_path / "viewer")
    monkeypatch.setattr(building.spawn, "get_executable", lambda: nowhere)
    with pytest.raises(EngineUnavailable, match=r"multiprocessing\.set_executable$") as error:
        build(tmp_path)
    assert nowhere in str(error.value)


def test_others_see_that_it_is_alive(tmp_path: Path, program: Program) -> None:
    program("import time; time.sleep(1)")
    calls: list[None] = []
    request = Request(str(tmp_path / "g"), "fp32", "tensorrt", (), str(tmp_path / "p"), None)
    build_in_process(request, expected=None, alive=lambda: calls.append(None))
    assert calls


class TestTheProgram:
    """The real one, without a graph that TensorRT could read."""

    def test_a_package_that_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib.util

        if importlib.util.find_spec("tensorrt") is not None:
            pytest.skip("classic TensorRT is installed")
        (tmp_path / "g.onnx").write_bytes(b"no graph")
        request = Request(str(tmp_path / "g.onnx"), "fp32", "tensorrt", (), "p", None)
        with pytest.raises(EngineUnavailable, match="cannot be imported: No module named 'tensorr"):
            build_in_process(request, expected=None)

    def test_modules_of_the_working_directory_are_not_taken(
        self, tmp_path: Path, rtx: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("json", "edgesam"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
        (tmp_path / "g.onnx").write_bytes(b"no graph")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BundleError, match=r"cannot read g\.onnx"):
            build(tmp_path)

    def test_no_graph(self, tmp_path: Path, rtx: None) -> None:
        (tmp_path / "g.onnx").write_bytes(b"no graph")
        with pytest.raises(BundleError, match=r"^TensorRT-RTX cannot read g\.onnx: ") as error:
            build(tmp_path)
        assert "\n" not in str(error.value)
