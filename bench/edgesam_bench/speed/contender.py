"""A contender's process as seen from here: started, asked, ended. Knows no model and no figure."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from edgesam.errors import ParityError

EDGESAM = "edgesam"  # the name of the contender that all others are peers of


class Asked(Protocol):
    """Who is measured."""

    @property
    def name(self) -> str: ...

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        """The answer to a question of :mod:`edgesam_bench.speed.worker`."""

    def once(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """A fresh process: ``start``, seconds until it has its first mask, and ``peak_mib``."""


class Contender:
    """See :class:`Asked`. Its process begins with the first question and waits between them.

    Args:
        name: as it is called in results.
        command: its program, which runs :mod:`edgesam_bench.speed.worker`.
        environment: variables that it gets besides those of this process.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would stop the process.
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        if self._process is None:
            self._process = self._started(self._command, self._environment)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # if it has died, reading its answer says so
            self._process.stdin.write(json.dumps({"ask": what, **more}) + "\n")
            self._process.stdin.flush()
        return self._parsed(self._process.stdout.readline())

    def once(self, environment: Mapping[str, str]) -> dict[str, Any]:
        started = time.time()
        process = self._started([*self._command, "--once"], {**self._environment, **environment})
        answer = self._parsed(process.communicate()[0])
        return {"start": answer["first_mask"] - started, "peak_mib": answer["peak_mib"]}

    def close(self) -> None:
        """Without further questions it ends by itself."""
        if self._process is not None:
            process, self._process = self._process, None
            process.communicate()

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._said.close()

    def _started(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                encoding="utf-8",
                env=environment,
            )
        except OSError as error:
            raise ParityError(f"{self.name}: cannot run {command[0]} ({error.strerror})") from None

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            if line.strip():  # what it should have said on its standard error
                raise ParityError(f"{self.name} answered {line.strip()[:80]!r}") from None
            self._said.seek(0)
            said = [text for text in self._said.read().splitlines() if text.strip()]
            last = said[-1].strip() if said else "no message"
            raise ParityError(f"{self.name} gave no answer: {last}") from None
        return answer
