"""Which frame of a file is meant; knows no format."""

from __future__ import annotations

from pathlib import Path

from edgesam.errors import ImageError
from edgesam.origin import File


def choose_frame(frame: int | None, count: int, path: Path | File) -> int:
    """The frame to read, counted from 0 as numpy does; None is enough where there is only one."""
    if frame is None:
        if count == 1:
            return 0
        raise ImageError(f"{path}: has {count} frames; choose one with --frame 0..{count - 1}")
    if not 0 <= frame < count:
        have = "one frame, number 0" if count == 1 else f"{count} frames, 0..{count - 1}"
        raise ImageError(f"{path}: has no frame {frame}; it has {have}")
    return frame
