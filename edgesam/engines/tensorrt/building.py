"""Plans built in a process of their own: started, watched, its end in words. Knows no graph."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing import spawn
from pathlib import Path

from edgesam import errors
from edgesam.engines.tensorrt.flavour import flavour_called
from edgesam.errors import EdgeSamError, EngineUnavailable, OutOfMemory

logger = logging.getLogger("edgesam")

MARK = "edgesam:"  # before the program's lines; the libraries write there too
# Not -m: that looks for modules in the working directory first, which may be anybody's folder.
PROGRAM = (
    "-c",
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from edgesam.engines.tensorrt.build import main; sys.exit(main())",
)
LONGEST = 3600.0  # seconds; classic TensorRT tries every kernel there is
PAUSE = 5.0  # seconds between two lines of progress
_CRASHED = 0x80000000  # Windows: codes from there on are exceptions

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to build.

    Attributes:
        graph: an ONNX file.
        precision: that it is to run in.
        flavour: the library's name.
        capabilities: as :func:`edgesam.engines.tensorrt.network.built` takes them.
        plan: the file to write it to.
        timing: the file of the timing cache, there or not, read and written; None keeps none.
    """

    graph: str
    precision: str
    flavour: str
    capabilities: tuple[str, ...]
    plan: str
    timing: str | None

    def to_json(self) -> str:
        """What the program reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """What :meth:`to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "capabilities": tuple(values["capabilities"])})


def build_in_process(
    request: Request,
    *,
    expected: float | None,
    tell: Tell = logger.info,
    alive: Callable[[], None] = lambda: None,
) -> float:
    """Have a plan built.

    Args:
        request: what to build.
        expected: seconds that it may take, None if nothing is known.
        tell: takes lines of progress.
        alive: called at least every few seconds, so that others see that we are at it.

    Returns:
        Seconds that it took.

    Raises:
        EdgeSamError: what the builder raised, or how its process ended: killed, crashed, too late.
    """
    title, graph = flavour_called(request.flavour).title, Path(request.graph).name
    about = "" if expected is None else f", about {max(1, round(expected))} s"
    tell(f"building the {title} plan of {graph}, once{about}")
    begun = last = time.monotonic()
    raised: tuple[str, str] | None = None
    tail: deque[str] = deque(maxlen=4)
    phase = "reading"
    with _started(request.to_json()) as (process, lines):
        for line in lines:
            now = time.monotonic()
            alive()
            if now - begun > LONGEST:
                raise EngineUnavailable(
                    f"{title} has not built {graph} in {LONGEST / 60:g} minutes and was stopped: "
                    "take a smaller model, or another engine"
                )
            if line is not None and line.startswith(MARK):
                event = json.loads(line[len(MARK) :])
                phase = event.get("phase", phase)
                if "error" in event:
                    raised = event["error"], event["message"]
            elif line:
                tail.append(line)
            if now - last >= PAUSE:
                last = now
                of = "" if expected is None else f" of about {max(1, round(expected))}"
                tell(f"building the {title} plan of {graph}: {now - begun:.0f} s{of} ({phase})")
        code = process.wait()
    if raised is not None:
        raise _kind(raised[0])(raised[1])
    if code != 0:
        raise _ended(code, title, graph, tail)
    return time.monotonic() - begun


@contextlib.contextmanager
def _started(request: str) -> Iterator[tuple[subprocess.Popen[str], Iterator[str | None]]]:
    """The process and its lines; None where it has said nothing for a while."""
    # An application that is not Python itself says with multiprocessing.set_executable what is.
    program = os.fsdecode(spawn.get_executable() or sys.executable)
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        process = subprocess.Popen(
            [program, *PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONPATH": paths},
        )
    except OSError as error:
        raise EngineUnavailable(
            f"the process that builds plans cannot be started ({program}: {error.strerror}): in a "
            "program that embeds Python, say where Python is by multiprocessing.set_executable"
        ) from None
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, request, lines), daemon=True)
    reader.start()
    try:
        yield process, _as_they_come(lines, reader)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _read(process: subprocess.Popen[str], request: str, lines: queue.Queue[str | None]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # it may have ended before it read
        process.stdin.write(request)
        process.stdin.close()
    for line in process.stdout:
        lines.put(line.strip())


def _as_they_come(lines: queue.Queue[str | None], reader: threading.Thread) -> Iterator[str | None]:
    while reader.is_alive() or not lines.empty():
        try:
            yield lines.get(timeout=0.2)
        except queue.Empty:
            yield None


def _kind(name: str) -> type[EdgeSamError]:
    found = getattr(errors, name, None)
    assert isinstance(found, type)
    assert issubclass(found, EdgeSamError)
    return found


def _ended(code: int, title: str, graph: str, tail: deque[str]) -> EdgeSamError:
    """What an end without an answer means."""
    said = f" ({tail[-1]})" if tail else ""
    if code == -getattr(signal, "SIGKILL", 9):
        return OutOfMemory(
            f"{title} was killed while building {graph}, as systems do where memory runs out: "
            "close other programs, or take a smaller model"
        )
    if code < 0 or code >= _CRASHED:
        how = f"exception 0x{code:08X}" if code > 0 else _signal(-code)
        return EngineUnavailable(
            f"{title} crashed while building {graph}, by {how}{said}: update it or the driver, or "
            "take another engine"
        )
    return EngineUnavailable(
        f"{title} ended with exit code {code} while building {graph}{said}: update it, or take "
        "another engine"
    )


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
