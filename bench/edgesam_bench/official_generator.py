"""The official mask generator in a process of its own; knows its script's questions and answers."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from edgesam.errors import ParityError

SCRIPT = Path("bench/reference/run_everything.py")


class OfficialGenerator:
    """The official generator in its own process; see its script.

    Attributes:
        about: what it says of itself: ``checkpoint_sha256`` and ``versions``.

    Args:
        python: of the reference environment.
        script: see :data:`SCRIPT`.
        checkpoint: of MobileSAM.

    Raises:
        ParityError: it cannot be started.
    """

    def __init__(self, python: Path, script: Path, checkpoint: Path) -> None:
        command = [str(python), str(script), "--checkpoint", str(checkpoint)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
        except OSError as error:
            raise ParityError(
                f"cannot run {python} ({error.strerror}); bench/reference/README.md says how to "
                "make the reference environment"
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.about = self._answer()

    def records(
        self, image: Path, parameters: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], float]:
        """Its records of a picture's file, and how many seconds they took."""
        question = {"image": str(image.absolute()), "parameters": parameters}
        with contextlib.suppress(OSError):  # if it has died, reading its answer says so
            self._stdin.write(json.dumps(question) + "\n")
            self._stdin.flush()
        answer = self._answer()
        return answer["records"], answer["seconds"]

    def __enter__(self) -> OfficialGenerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _answer(self) -> dict[str, Any]:
        line = self._stdout.readline()
        if not line:
            raise ParityError(
                f"the official generator ended with status {self._end()}; what it said stands above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> int:
        """Without further questions it ends; returns its status."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        return self._process.wait()
