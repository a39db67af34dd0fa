"""What was found so far, in a file after every stage: a kill loses nothing. Measures nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgesam.errors import EdgeSamError, ParityError
from edgesam_bench.results import read_results, write_results

COMMAND = "python -m edgesam_bench.gpu"
SCHEMA = 1
FOUND = ("not measured: ", "FAILED  ")
"""How lines of progress begin that tell what was found, not what is done."""


class Findings:
    """The report in the making.

    Attributes:
        content: JSON-ready; keys as :func:`edgesam_bench.gpu.run.run` fills them.

    Args:
        out: the file, None keeps none.
        head: what is known before anything is measured.
        progress: told what is done.
    """

    def __init__(
        self, out: Path | None, head: dict[str, Any], progress: Callable[[str], None]
    ) -> None:
        self._out, self.progress = out, progress
        self.content: dict[str, Any] = {
            "command": COMMAND,
            "schema": SCHEMA,
            "finished": False,
            **head,
            "engines": {},
            "contenders": [],
            "peaks": {},
            "tests": None,
            "parity": [],
            "speed": [],
            "not_measured": [],
            "failures": [],
            "warnings": [],
        }

    def missing(self, what: str, reason: str) -> None:
        """Something that has no figure, and why; said once."""
        line = {"what": what, "reason": " ".join(reason.split())}
        if line not in self.content["not_measured"]:
            self.content["not_measured"].append(line)
            self.progress(f"{FOUND[0]}{what}: {line['reason']}")

    def failed(self, line: str) -> None:
        """A gate that does not hold."""
        self.content["failures"].append(line)
        self.progress(f"{FOUND[1]}{line}")

    def attempt(self, what: str, work: Callable[[], None]) -> bool:
        """Whether it went through; what went wrong is listed as not measured.

        Everything is caught: libraries' errors share no base, and one contender that fails must
        not cost the others their figures.
        """
        try:
            work()
        except Exception as error:
            self.missing(what, told(error))
            return False
        return True

    @contextmanager
    def warned(self) -> Iterator[None]:
        """Inside, edgesam's warnings are kept: how something runs may not be as one thinks."""
        logger, handler = logging.getLogger("edgesam"), _Warnings(self.content["warnings"])
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def read(self) -> None:
        """Go on with what is in the file, which another process has written.

        Raises:
            ParityError: it cannot be read.
        """
        assert self._out is not None
        try:
            self.content = read_findings(self._out)
        except ValueError as error:
            raise ParityError(str(error)) from None

    def save(self) -> None:
        """Put it into the file.

        Raises:
            ParityError: it cannot be written.
        """
        if self._out is not None:
            write_results(self._out, self.content)


class _Warnings(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if line not in self._lines:
            self._lines.append(line)


def told(error: BaseException) -> str:
    """One line; of a foreign error its kind, too."""
    line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, EdgeSamError):
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def read_findings(path: Path) -> dict[str, Any]:
    """A file of this program.

    Raises:
        ValueError: it is none, or of another schema; in one line.
    """
    return read_results(path, [COMMAND], "edgesam_bench.gpu", SCHEMA)
