"""A file mapped into memory and runs of bytes in it; knows no checkpoint format."""

from __future__ import annotations

import mmap
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from edgesam_export.checkpoint.unreadable import UnreadableError

INFLATE_LIMIT = 4 << 30  # bytes; torch.save never compresses, so anything near it is a zip bomb


@dataclass(frozen=True)
class Extent:
    """A run of bytes in a file.

    Attributes:
        offset: first byte, from the file's start.
        nbytes: length once read.
        deflated: length in the file where it is deflate-compressed, else None.
    """

    offset: int
    nbytes: int
    deflated: int | None = None


class MappedFile:
    """A whole file, mapped read-only: pages come from disk when they are touched.

    Nothing here hands out the mapping for keeping: whoever takes :meth:`buffer` copies out of it
    and lets it go, otherwise :meth:`close` could not release the file on Windows.
    """

    def __init__(self, path: Path) -> None:
        try:
            if path.is_dir():
                raise UnreadableError("is a folder: give the checkpoint file inside it")
            if not path.exists():
                raise UnreadableError("does not exist")
            if not path.is_file():  # opening a named pipe would wait forever
                raise UnreadableError("is not a regular file")
            with path.open("rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                if self.size == 0:
                    raise UnreadableError("is empty (0 bytes): download it again")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableError(f"cannot be opened: {reason}") from None

    @property
    def closed(self) -> bool:
        """Whether the file has been released."""
        return self._map.closed

    def close(self) -> None:
        """Release the file; harmless when repeated."""
        self._map.close()

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset``: fewer where the file ends before."""
        return self._map[offset : offset + count]

    def stream(self) -> IO[bytes]:
        """The file from its start, for readers that need ``read``, ``readline`` and ``tell``.

        The mapping itself, not a buffered file: it cuts a read at the end of the file, where a
        buffered file would first allocate whatever length a broken pickle claims.
        """
        self._map.seek(0)
        return cast("IO[bytes]", self._map)

    def buffer(self, extent: Extent) -> tuple[mmap.mmap | bytes, int]:
        """A buffer that holds ``extent``, and where in it the extent begins (bytes)."""
        stored = extent.nbytes if extent.deflated is None else extent.deflated
        if not 0 <= extent.offset <= extent.offset + stored <= self.size:
            raise UnreadableError("is cut short: a tensor's bytes lie past the end of the file")
        if extent.deflated is None:
            return self._map, extent.offset
        return self._inflate(extent.offset, extent.deflated, extent.nbytes), 0

    def release(self) -> None:
        """Give back the pages that were touched: they would count as this process's memory.

        They stay in the system's own cache; where a system cannot be told so, nothing happens.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _inflate(self, offset: int, deflated: int, nbytes: int) -> bytes:
        if nbytes > INFLATE_LIMIT:
            raise UnreadableError(
                f"has a compressed entry of {nbytes} bytes, more than is read: save it uncompressed"
            )
        with memoryview(self._map) as whole, whole[offset : offset + deflated] as packed:
            try:
                # One byte of room more than promised, to notice an entry that is longer.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, nbytes + 1)
            except zlib.error:
                raise UnreadableError("has a damaged compressed entry: download it again") from None
        if len(data) != nbytes:
            raise UnreadableError("has a compressed entry whose length is not the one it states")
        return data
