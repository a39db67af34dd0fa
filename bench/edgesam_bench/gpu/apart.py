"""Each stage in a process of its own, ended when its time is over. Knows no stage's work.

Libraries on a device hang and crash, and take their process with them. What such a process had
found is in the report's file, and what it said last tells whom it was busy with: its stage begins
anew without that contender while there is time.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import FOUND, Findings

Command = Callable[[str, float, float, Sequence[str]], Sequence[str]]
"""What does a stage: its name, seconds, seconds at most, contenders that are left out."""

_GRACE = 5.0  # seconds, in which a process may end by itself
_WORTH = 30.0  # seconds, without which nothing is begun anew
_SILENT = 120.0  # seconds, after which a process hangs: compilers need most of them
_LOOK = 0.1  # seconds


class Apart:
    """A worker (see :data:`edgesam_bench.gpu.run.Worker`) that asks others.

    Args:
        command: of a process that goes on with the report's file, and has put all that it found
            there when it ends with 0.
    """

    def __init__(self, command: Command) -> None:
        self._command = command

    def __call__(self, name: str, findings: Findings, deadline: Deadline) -> None:
        without: list[str] = []
        while True:
            child = _Child(
                self._command(name, deadline.left(), deadline.most(), without), findings.progress
            )
            ended = child.wait(deadline.most() + _GRACE)
            findings.read()
            if ended is None:
                return
            culprit = _contender(name, child.last)
            what = f"{name}, {culprit}" if culprit else name
            findings.missing(what, f"its process {ended}, at: {child.last}{child.complaint}")
            findings.save()
            if culprit is None or culprit in without or deadline.most() < _WORTH:
                return
            without.append(culprit)


class _Child:
    """A process whose standard error is told on.

    Attributes:
        last: what it told that it was doing.
        complaint: what else was written last, perhaps by a library, in brackets.
    """

    def __init__(self, command: Sequence[str], progress: Callable[[str], None]) -> None:
        self.last, self.complaint = "its start", ""
        self._heard = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # see end_with_parent
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # compilers that it starts end with it
        )
        self._progress = progress
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def wait(self, seconds: float) -> str | None:
        """How it ended, in words; None if it did its work."""
        end, code = time.monotonic() + seconds, None
        try:
            while (code := self._process.poll()) is None:
                now = time.monotonic()
                if now > end or now > self._heard + _SILENT:
                    break
                time.sleep(_LOOK)
        except BaseException:  # Ctrl-C: it is in a session of its own, and would stay
            self._end()
            raise
        silent = time.monotonic() - self._heard
        ended = None if code == 0 else _told(code, silent)
        self._end()
        self._reader.join(_GRACE)
        return ended

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._heard = time.monotonic()
                if line.startswith(MARK):
                    self.last, self.complaint = line.removeprefix(MARK).strip(), ""
                elif line.strip():
                    self.complaint = f" ({line.strip()})"
                self._progress(line.rstrip().removeprefix(MARK))

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # it and all that it started are gone
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


MARK = "> "
"""Before a line that tells what is done next: libraries write to standard error, too."""


def told(line: str) -> None:
    """The progress of a process that is asked; what was found is nothing that is done next."""
    mark = "" if line.startswith(FOUND) else MARK
    print(f"{mark}{line}", file=sys.stderr, flush=True)


def end_with_parent() -> None:
    """Have a process that is asked end when who asks it was killed: its input ends then."""

    def listen() -> None:
        while os.read(0, 1):  # no stream of Python's: its lock would be held when Python ends
            pass
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def leave() -> None:
    """End at once, all being saved: a device's libraries crash and hang as they are taken down."""
    os._exit(0)


def _told(code: int | None, silent: float) -> str:
    """As the system has it: below 0 is a signal; None: it did not end."""
    if code is None:
        return f"was ended when it had said nothing for {silent:.0f} s"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"crashed ({signal.Signals(-code).name})"
    return f"crashed (signal {-code})"


def _contender(model: str, line: str) -> str | None:
    """Whom a line of progress names, as ``lite-medsam, onnxruntime fp16: opening``."""
    found = re.match(rf"{re.escape(model)}, (.+?): ", line)
    return found[1] if found else None


def own_command(arguments: Sequence[str], out: Path) -> Command:
    """This program itself, with a person's arguments, for one stage."""

    def command(name: str, left: float, most: float, without: Sequence[str]) -> Sequence[str]:
        call = [sys.executable, "-m", "edgesam_bench.gpu", *arguments, "--json", str(out)]
        call += ["--only", name, "--seconds", f"{left:.3f}", "--most", f"{most:.3f}"]
        return [*call, *(word for one in without for word in ("--without", one))]

    return command
