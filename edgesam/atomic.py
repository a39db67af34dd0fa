"""Writing a file so that a killed process leaves the old one or the new one; knows no format."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from pathlib import Path

from edgesam.errors import EdgeSamError, ImageError

_UNFINISHED = re.compile(r"\.edgesam-\w+\.tmp")
_ABANDONED = 600.0  # seconds after which no process is still writing such a file


def write_atomic(
    path: str | os.PathLike[str], data: bytes, *, error: type[EdgeSamError] = ImageError
) -> None:
    """Puts ``data`` at ``path``: a temporary file beside it, flushed to the disk, then renamed.

    Args:
        path: replaced if it exists. Its folder must exist.
        data: the whole file.
        error: what to raise, in one line, when it cannot be written; the old file then stays.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise error(f"cannot write {target}: there is no folder {target.parent}; create it first")
    if target.is_dir():
        raise error(f"cannot write {target}: it is a folder; give a file name")
    # mkstemp would make the file readable by its owner only; opening with "x" keeps the umask.
    temporary = target.parent / f".edgesam-{os.urandom(8).hex()}.tmp"
    try:
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            # Whatever happened is what must be reported, not a failure to tidy up after it.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as failure:
        raise error(f"cannot write {target}: {_reason(failure, len(data))}") from failure
    _sync_folder(target.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left in a folder; what may still be written stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as items:
        for item in items:
            with contextlib.suppress(OSError):  # finished meanwhile, or not ours to remove
                if is_abandoned(item):
                    Path(item.path).unlink()


def is_abandoned(item: os.DirEntry[str]) -> bool:
    """Whether a file was being written by a process that was killed.

    Raises:
        OSError: it is there no more.
    """
    if not _UNFINISHED.fullmatch(item.name):
        return False
    return time.time() - item.stat().st_mtime > _ABANDONED


def _reason(failure: OSError, size: int) -> str:
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk for {size} bytes; free some or write elsewhere"
    if isinstance(failure, PermissionError):
        return "not permitted; check the folder's rights, and that no other program has it open"
    return failure.strerror or type(failure).__name__


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself last through a power cut, where a folder can be synced at all."""
    # Windows cannot open a folder, some network shares cannot sync one: the file is there anyway.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
