"""Byte strings by key in a folder of limited size, each with its digest. Knows not what they are.

Many processes may share a folder. An entry is there whole or not at all; one that was damaged since
is found out and removed. What cannot be written is not kept: one warning, and no further tries.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from pathlib import Path

from edgesam.atomic import is_abandoned, write_atomic
from edgesam.errors import EdgeSamError

_log = logging.getLogger("edgesam")

_ENTRY = re.compile(r"[0-9a-f]{64}\.entry")
_DIGEST = hashlib.sha256().digest_size


class DiskStore:
    """A folder with the entries that were used last.

    Args:
        folder: made if it is not there, for this user alone; its parent must exist.
        limit: bytes that entries may come to; the one that was not used for longest goes first.

    Raises:
        EdgeSamError: there is no such folder and it cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self.folder = Path(folder)
        self._limit = limit
        self._writes = True
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EdgeSamError(
                f"{self.folder} cannot be made a cache: {error.strerror}; give a folder whose "
                "parent exists and can be written"
            ) from None

    def get(self, key: str) -> bytes | None:
        """The bytes that were put there, or None.

        Args:
            key: 64 hexadecimal digits.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                digest, content = file.read(_DIGEST), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.debug("a cached entry cannot be read: %s", error.strerror)
            return None
        if _digest(key, content) != digest:
            _log.warning("a damaged cache entry was removed: %s", path)
            self._remove(path)
            return None
        with contextlib.suppress(OSError):  # when it was used last
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep them, where they fit and the folder can be written."""
        if not self._writes or _DIGEST + len(content) > self._limit:
            return
        try:
            write_atomic(self._path(key), _digest(key, content) + content, error=EdgeSamError)
            self._sweep()
        except (OSError, EdgeSamError) as error:
            self._writes = False
            _log.warning("nothing more is kept in the cache on disk: %s", error)

    def clear(self) -> None:
        """Remove all entries, also those of other processes."""
        for path, _ in self._files():
            self._remove(path)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.entry"

    def _sweep(self) -> None:
        """Remove the oldest until the limit holds, and what killed processes left."""
        files = sorted(self._files(), key=lambda found: found[1].st_mtime_ns)
        too_much = sum(stat.st_size for _, stat in files) - self._limit
        for path, stat in files:
            if too_much <= 0:
                return
            self._remove(path)
            too_much -= stat.st_size

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """Entries, and unfinished ones that nobody writes any more. Other files are not ours."""
        found = []
        with os.scandir(self.folder) as folder:
            for item in folder:
                with contextlib.suppress(FileNotFoundError):  # removed by another process
                    if _ENTRY.fullmatch(item.name):
                        found.append((Path(item.path), item.stat()))
                    elif is_abandoned(item):
                        self._remove(Path(item.path))
        return found

    @staticmethod
    def _remove(path: Path) -> None:
        with contextlib.suppress(OSError):  # another process was faster, or reads it (Windows)
            path.unlink()


def _digest(key: str, content: bytes) -> bytes:
    """Of the content under that key: an entry that was renamed is damaged, too."""
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()
