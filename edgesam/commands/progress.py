"""Shows on standard error what takes long; knows messages and terminals, not what is done."""

from __future__ import annotations

import io
import re
import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

_TERMINAL_PAUSE = 0.1
_LOG_PAUSE = 10.0


class Progress:
    """A callable that takes one line of text per step, and any number of updates of that line.

    Two messages that differ only in their numbers are the same step. On a terminal an update
    overwrites the step's line; elsewhere (a log file, a pipe) it makes a new one, but rarely.
    Use it as a context manager: leaving ends the line.

    Args:
        silent: show nothing (``--json``).
        stream: standard error if not given; where there is none (pythonw), nothing is shown.
    """

    def __init__(self, *, silent: bool = False, stream: TextIO | None = None) -> None:
        shown_on: TextIO | None = stream or sys.stderr
        self._silent = silent or shown_on is None
        self._stream = shown_on or io.StringIO()
        self._terminal = self._stream.isatty()
        self._step = ""
        self._shown = ""
        self._pending = ""
        self._when = 0.0

    def __call__(self, message: str) -> None:
        if self._silent:
            return
        step = re.sub(r"\d+", "0", message)
        if step != self._step:
            self._end_line()
            self._step = step
            self._show(message)
            return
        self._pending = message
        pause = _TERMINAL_PAUSE if self._terminal else _LOG_PAUSE
        if time.monotonic() - self._when >= pause:
            self._show(message)

    def note(self, message: str) -> None:
        """A line that stays; the step goes on after it."""
        if self._silent:
            return
        if self._terminal:
            self._end_line()
        self._stream.write(f"{message}\n")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_line()
        self._step = ""

    def _end_line(self) -> None:
        """Leaves the step, showing its last update if that came too early to be shown."""
        if self._pending and self._pending != self._shown:
            self._show(self._pending)
        self._pending = ""
        if self._terminal and self._shown:
            self._stream.write("\n")
            self._stream.flush()
        self._shown = ""

    def _show(self, message: str) -> None:
        if not self._terminal:
            self._stream.write(f"{message}\n")
        elif not self._shown:
            self._stream.write(message)
        else:
            # Only what fits in a line can be overwritten; and blanks instead of an escape
            # sequence, which old Windows consoles print.
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{message[:width].ljust(len(self._shown[:width]))}")
        self._stream.flush()
        self._shown = message
        self._when = time.monotonic()
