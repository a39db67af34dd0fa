"""One process at a time in a folder, by a file that only one can create. Knows no bundle."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

# Who holds the lock needs milliseconds. A process killed just then leaves it; seconds.
_STALE = 30.0
_PAUSE = 0.05

LOCK = ".edgesam-lock"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside, and keep others out meanwhile.

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
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
