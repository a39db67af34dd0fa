"""The command line's frame: subcommands are found, errors become exit codes and one line."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import logging
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edgesam import __version__, commands
from edgesam.commands import main
from edgesam.errors import ImageError


class Tiny(types.ModuleType):
    """A subcommand from another package, which does what a test wants."""

    NAME = "tiny"
    HELP = "does 100% of what a test wants"

    def __init__(self) -> None:
        super().__init__("tiny_command")
        self.outcome: int | BaseException = 0
        self.says = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--size", type=int)

    def run(self, args: argparse.Namespace) -> int:
        logger = logging.getLogger("edgesam.tiny")
        logger.warning("a warning")
        logger.info("some information")
        logger.debug("a detail")
        sys.stdout.write(self.says)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGESAM_LOG", raising=False)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points that are installed; tests add to them."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(
        commands, "entry_points", lambda group: found if group == "edgesam.commands" else []
    )
    return found


@pytest.fixture
def tiny(plugins: list[EntryPoint], monkeypatch: pytest.MonkeyPatch) -> Tiny:
    module = Tiny()
    monkeypatch.setitem(sys.modules, "tiny_command", module)
    plugins.append(EntryPoint("tiny", "tiny_command", "edgesam.commands"))
    return module


Capture = pytest.CaptureFixture[str]


class TestFindingASubcommand:
    def test_version(self, capsys: Capture) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"edgesam {__version__}\n"

    def test_help_lists_the_runtimes_own_and_the_others(self, tiny: Tiny, capsys: Capture) -> None:
        assert main(["--help"]) == 0
        shown = capsys.readouterr().out
        assert "does 100% of what a test wants" in shown
        for name in ("models", "doctor", "EDGESAM_HOME", "EDGESAM_OFFLINE"):
            assert name in shown

    @pytest.mark.parametrize("arguments", [[], ["mend"], ["tiny", "--size", "big"], ["tiny", "-x"]])
    def test_wrong_usage_exits_2_and_shows_the_usage(
        self, arguments: list[str], tiny: Tiny, capsys: Capture
    ) -> None:
        assert main(arguments) == 2
        assert "usage: edgesam" in capsys.readouterr().err

    def test_an_unknown_one_is_answered_with_those_that_exist(
        self, tiny: Tiny, capsys: Capture
    ) -> None:
        assert main(["mend"]) == 2
        shown = capsys.readouterr().err
        assert "tiny" in shown
        assert "models" in shown

    def test_one_from_another_package_runs_and_its_exit_code_is_ours(self, tiny: Tiny) -> None:
        tiny.outcome = 3
        assert main(["tiny"]) == 3

    def test_the_runtimes_own_cannot_be_taken_over(
        self, plugins: list[EntryPoint], capsys: Capture
    ) -> None:
        plugins.append(EntryPoint("models", "no_such_module", "edgesam.commands"))
        assert main(["models", "--help"]) == 0
        assert main(["--help"]) == 0
        assert "no_such_module" not in capsys.readouterr().out

    def test_one_that_cannot_be_loaded_fails_alone(
        self, tiny: Tiny, plugins: list[EntryPoint], capsys: Capture
    ) -> None:
        plugins.append(EntryPoint("broken", "no_such_module", "edgesam.commands"))
        assert main(["--help"]) == 0
        assert "No module named 'no_such_module'" in " ".join(capsys.readouterr().out.split())
        assert main(["tiny"]) == 0
        capsys.readouterr()
        assert main(["broken"]) == 1
        assert capsys.readouterr().err.startswith("edgesam: the command broken cannot be loaded: ")
        assert main(["broken", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["type"] == "EdgeSamError"

    def test_all_have_the_shared_options(self, tiny: Tiny, capsys: Capture) -> None:
        for name in ("models", "doctor", "tiny"):
            assert main([name, "--help"]) == 0
            shown = capsys.readouterr().out
            assert "--json" in shown
            assert "--verbose" in shown

    @pytest.mark.parametrize(
        "arguments", [["--version"], ["models", "--help"], ["doctor", "--help"], ["--help"]]
    )
    def test_asking_for_help_loads_no_engine(self, arguments: list[str]) -> None:
        # The help of all subcommands imports them all, and the exporter's package with them.
        heavy = {"onnxruntime", "torch", "PIL", "pydicom"}
        heavy |= set() if arguments == ["--help"] else {"numpy", "onnx_ir"}
        script = (
            "import sys, edgesam\n"
            "before = set(sys.modules)\n"
            "from edgesam.commands import main\n"
            f"code = main({arguments!r})\n"
            f"found = (set(sys.modules) - before) & {heavy!r}\n"
            "sys.exit(f'loaded {found}' if found else code)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        assert done.returncode == 0


class TestErrors:
    def test_one_of_ours_is_one_line_and_exit_1(self, tiny: Tiny, capsys: Capture) -> None:
        tiny.outcome = ImageError("no pixels:\nfound none")
        assert main(["tiny"]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.splitlines()[-1] == "edgesam: no pixels: found none"

    def test_json_has_one_object_on_standard_output(self, tiny: Tiny, capsys: Capture) -> None:
        tiny.outcome = ImageError("no pixels")
        assert main(["tiny", "--json"]) == 1
        shown = capsys.readouterr()
        assert json.loads(shown.out) == {"error": {"type": "ImageError", "message": "no pixels"}}
        assert "no pixels" not in shown.err

    @pytest.mark.parametrize(
        ("error", "code", "line"),
        [
            (MemoryError("Unable to allocate 9 TiB"), 1, "out of memory. Unable to allocate 9 TiB"),
            (PermissionError(13, "Permission denied", "x"), 1, "[Errno 13] Permission denied: 'x'"),
            (KeyboardInterrupt(), 130, "interrupted"),
        ],
    )
    def test_what_a_user_can_cause_is_one_line(
        self, error: BaseException, code: int, line: str, tiny: Tiny, capsys: Capture
    ) -> None:
        tiny.outcome = error
        assert main(["tiny"]) == code
        assert capsys.readouterr().err.splitlines()[-1] == f"edgesam: {line}"

    def test_a_mistake_of_ours_keeps_its_traceback(self, tiny: Tiny) -> None:
        tiny.outcome = KeyError("a bug")
        with pytest.raises(KeyError):
            main(["tiny"])

    def test_a_reader_that_has_gone_is_no_error(self) -> None:
        script = "import sys; from edgesam.commands import main; sys.exit(main(['models']))"
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == commands.BROKEN_PIPE

    def test_windows_calls_that_an_invalid_argument(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        tiny.outcome = OSError(errno.EINVAL, "Invalid argument", "a?b.png")
        assert main(["tiny"]) == 1, "a file's name can be invalid, too"
        assert "a?b.png" in capsys.readouterr().err
        with (tmp_path / "out").open("w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            tiny.outcome = OSError(errno.EINVAL, "Invalid argument")
            assert main(["tiny"]) == commands.BROKEN_PIPE
        assert "Invalid" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "outcome", "code"),
        [
            (["tiny"], 0, 0),
            (["tiny", "-vv"], ImageError("no pixels"), 1),
            (["tiny", "--json"], ImageError("no pixels"), 1),
            (["tiny", "--help"], 0, 0),
            (["mend"], 0, 2),
        ],
    )
    def test_streams_may_be_missing(
        self,
        arguments: list[str],
        outcome: int | BaseException,
        code: int,
        tiny: Tiny,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tiny.outcome, tiny.says = outcome, "M\udcfcller.dcm"
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", None)
            patch.setattr(sys, "stderr", None)
            assert main(arguments) == code
            assert sys.stdout is None

    def test_an_error_without_standard_error_stays_off_standard_output(
        self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        tiny.outcome = ImageError("no pixels")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", None)
            assert main(["tiny"]) == 1
        assert capsys.readouterr().out == ""

    def test_a_name_that_the_console_cannot_show_is_escaped(
        self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", console)
        tiny.says = "Müller.dcm"
        assert main(["tiny"]) == 0
        assert console.buffer.getvalue() == b"M\\xfcller.dcm"


class TestLog:
    @pytest.mark.parametrize(
        ("options", "environment", "lines"),
        [([], "", 1), (["-v"], "", 2), ([], "info", 2), (["-vv"], "", 3), (["-v"], "DEBUG", 3)],
    )
    def test_how_much_is_logged(
        self, options: list[str], environment: str, lines: int, tiny: Tiny
    ) -> None:
        shown = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(shown):
            patch.setenv("EDGESAM_LOG", environment)
            assert main(["tiny", *options]) == 0
        assert len(shown.getvalue().splitlines()) == lines

    def test_a_warning_is_shown_once_unless_more_is_asked_for(
        self, tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = tiny.run

        def often(args: argparse.Namespace) -> int:
            return max(run(args) for _ in range(3))

        monkeypatch.setattr(tiny, "run", often)
        for options, times in (([], 1), ([], 1), (["-v"], 3)):
            main(["tiny", *options])
            assert capsys.readouterr().err.count("WARNING: a warning") == times

    def test_the_log_is_left_as_it_was(self, tiny: Tiny, capsys: Capture) -> None:
        log = logging.getLogger("edgesam")
        before = (log.level, list(log.handlers))
        tiny.outcome = ImageError("no pixels")
        main(["tiny", "-vv"])
        assert (log.level, list(log.handlers)) == before
        assert "Traceback" in capsys.readouterr().err

    def test_an_unknown_level_is_wrong_usage(
        self, tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGESAM_LOG", "loud")
        assert main(["tiny"]) == 2
        assert "EDGESAM_LOG is 'loud'" in capsys.readouterr().err
