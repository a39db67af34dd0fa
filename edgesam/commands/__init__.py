"""The command line's frame: finds a subcommand, turns errors into exit codes; knows no model.

A subcommand is a module with ``NAME``, ``HELP``, ``add_arguments(parser)`` and
``run(args) -> int``, and imports what is heavy inside ``run``. Those of the runtime are named
here; other packages announce theirs in the entry-point group ``edgesam.commands``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from edgesam import __version__
from edgesam.errors import EdgeSamError

logger = logging.getLogger("edgesam")

OK, FAILED, USAGE, GATE = 0, 1, 2, 3
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + the signal, as shells report it

_GROUP = "edgesam.commands"
_BUILTIN = {
    name: EntryPoint(name, f"edgesam.commands.{name}", _GROUP)
    for name in ("models", "segment", "doctor")
}
_EPILOG = """\
environment:
  EDGESAM_HOME     where checkpoints and bundles are kept
  EDGESAM_OFFLINE  any value but 0: never use the network
  EDGESAM_LOG      info or debug: log to standard error

exit codes: 0 ok, 1 an error in one line, 2 usage, 3 a gate failed
"""


class Command(Protocol):
    """What a subcommand's module offers."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code. Raises nothing that a user can cause."""
    with _streams():
        return _guarded(list(sys.argv[1:] if argv is None else argv))


def _guarded(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A console that lacks a character shows its number: a file name is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            code = _run(_parse(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else OK
        sys.stdout.flush()
    except EdgeSamError as error:
        code = _fail(FAILED, type(error).__name__, str(error), as_json=as_json)
    except MemoryError as error:
        code = _fail(FAILED, "MemoryError", f"out of memory. {error}", as_json=as_json)
    except OSError as error:
        if _reader_gone(error):
            # The interpreter must not try to flush to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = BROKEN_PIPE
        else:
            code = _fail(FAILED, type(error).__name__, str(error), as_json=as_json)
    except KeyboardInterrupt:
        code = _fail(INTERRUPTED, "KeyboardInterrupt", "interrupted", as_json=as_json)
    return code


def shared_options() -> argparse.ArgumentParser:
    """The options that every subcommand has, as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="log to standard error; -vv logs more, and shows where an error came from",
    )
    return parser


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Stands in for the standard streams that are missing (pythonw, a shell's ``>&-``)."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in (
            (sys.stdout, contextlib.redirect_stdout),
            (sys.stderr, contextlib.redirect_stderr),
        ):
            if stream is None:
                nowhere = stack.enter_context(
                    Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
                )
                stack.enter_context(redirect(nowhere))
        yield


def _reader_gone(error: OSError) -> bool:
    """Whether standard output's reader (head, less) has left."""
    # Windows says EINVAL; it also says so of an impossible file name, but then names the file.
    windows = sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or windows


def _run(args: argparse.Namespace) -> int:
    with _logging(args):
        command: Command = args.command
        try:
            return command.run(args)
        except (EdgeSamError, MemoryError, OSError):
            logger.debug("where it came from:", exc_info=True)
            raise


def _fail(code: int, kind: str, message: str, *, as_json: bool) -> int:
    """Says in one line, or one JSON object, why the command ended, and returns the exit code."""
    line = " ".join(message.split())
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": line}}))
    else:
        print(f"edgesam: {line}", file=sys.stderr)
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses against the one subcommand that is asked for, or against all when none is.

    Raises:
        EdgeSamError: the subcommand's module cannot be loaded.
        SystemExit: help or the version was asked for, or the usage is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="edgesam",
        description="Segment Anything for medical images, without PyTorch.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"edgesam {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    # The options before a subcommand take no value, so its name is the first word.
    name = next((word for word in arguments if not word.startswith("-")), "")
    # In the help ours come first, and no plug-in takes the name of one of them.
    known = _BUILTIN if name in _BUILTIN else {**_BUILTIN, **_plugins(), **_BUILTIN}
    if name in known:
        _add(subparsers, _load(known[name]))
    elif "--version" not in arguments:
        for entry in known.values():
            try:
                _add(subparsers, _load(entry))
            except EdgeSamError as error:
                subparsers.add_parser(entry.name, help=str(error).replace("%", "%%"))
    args = parser.parse_args(arguments)
    log = os.environ.get("EDGESAM_LOG", "").lower()
    if log not in {"", "info", "debug"}:
        parser.error(f"EDGESAM_LOG is {log!r}: it takes info or debug")
    return args


def _plugins() -> dict[str, EntryPoint]:
    """The subcommands that other packages announce, by name."""
    return {entry.name: entry for entry in entry_points(group=_GROUP)}


def _load(entry: EntryPoint) -> Command:
    """Imports a subcommand's module.

    Raises:
        EdgeSamError: it cannot be imported.
    """
    try:
        return cast(Command, entry.load())
    except ImportError as error:
        raise EdgeSamError(
            f"the command {entry.name} cannot be loaded: {error}. Try: edgesam doctor"
        ) from error


def _add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    parser = subparsers.add_parser(
        command.NAME,
        parents=[shared_options()],
        help=command.HELP.replace("%", "%%"),
        description=command.HELP,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.set_defaults(command=command)


class _Once(logging.Filter):
    """Lets no line through twice: what is odd about a cine is odd about each of its frames."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = line not in self._seen
        self._seen.add(line)
        return new


@contextlib.contextmanager
def _logging(args: argparse.Namespace) -> Iterator[None]:
    """Sends the log to standard error meanwhile: warnings, or more with ``-v`` or EDGESAM_LOG."""
    asked = {"info": 1, "debug": 2}.get(os.environ.get("EDGESAM_LOG", "").lower(), 0)
    verbosity = max(asked, args.verbose)
    root = logging.getLogger("edgesam")
    before = root.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("edgesam: %(levelname)s: %(message)s"))
    if not verbosity:
        handler.addFilter(_Once())
    root.addHandler(handler)
    root.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
