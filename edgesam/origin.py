"""The files that something was read from, so that results can refer to them; holds no header."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

Format = Literal["dicom", "nifti", "nrrd", "raster"]


@dataclass(frozen=True)
class File:
    """A file on the disk, or one inside a zip archive.

    Attributes:
        path: of the file or of the archive.
        member: the name inside the archive; None for a file of its own.
    """

    path: Path
    member: str | None = None

    def open(self) -> BinaryIO:
        """Its bytes; a member of an archive is unpacked into memory, never onto the disk.

        Raises:
            OSError: it cannot be opened; zipfile.BadZipFile: the archive is damaged.
        """
        if self.member is None:
            return self.path.open("rb")
        with zipfile.ZipFile(self.path) as archive:
            return io.BytesIO(archive.read(self.member))

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"


@dataclass(frozen=True)
class Part:
    """Where one slice or frame is: the file, and which of its frames, from 0."""

    file: File
    frame: int = 0


@dataclass(frozen=True)
class Origin:
    """Where pixels came from.

    Attributes:
        format: of the files.
        parts: DICOM: one for each slice or frame, in the order of the array's first axis; other
            formats: the one file.
    """

    format: Format
    parts: tuple[Part, ...]
