"""One process at a time in a folder, by a file that only one can create. Knows no bundle."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Who holds the lock needs milliseconds, or says that it is still there. A process killed just then
# leaves it; seconds.
_STALE = 30.0
_PAUSE = 0.05

LOCK = ".edgesam-lock"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[Callable[[], None]]:
    """Wait until no other process is inside, and keep others out meanwhile.

    It gives what is to be called every few seconds by those who stay longer than that.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / LOCK
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()
            time.sleep(_PAUSE)

    def alive() -> None:
        with contextlib.suppress(OSError):
            os.utime(path)

    try:
        yield alive
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
