"""The frames of a DICOM cine, each decoded when it is asked for, and their pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgesam.formats.dicom.grid import numbers
from edgesam.formats.dicom.header import Header, image_header
from edgesam.formats.dicom.image import image_of
from edgesam.formats.quiet import quiet
from edgesam.image import Image
from edgesam.origin import File, Part
from edgesam.place import Place

if TYPE_CHECKING:
    from pydicom import Dataset


class DicomFrames:
    """Frames of one file, or of files of one frame each. Threads may share it."""

    def __init__(self, parts: Sequence[Part], header: Header | None = None) -> None:
        """In order.

        Args:
            parts: where each frame is.
            header: that of the one file which holds them all, or what decoding needs of it; None
                where each has its own.
        """
        self._parts = tuple(parts)
        self._header = header

    def __len__(self) -> int:
        return len(self._parts)

    def image(self, index: int) -> Image:
        """One of them, decoded now.

        Raises:
            ImageError: it cannot be decoded.
        """
        part = self._parts[index]
        with quiet("pydicom"):
            header = image_header(part.file) if self._header is None else self._header
            picture = image_of(part, header)
        return replace(picture, place=replace(picture.place or Place(), frame=index))


def milliseconds(header: Dataset, file: File) -> float | None:
    """From one frame to the next (PS3.3 C.7.6.5), None if the file does not say.

    A vector of times gives their mean: its first entry stands before the first frame.

    Raises:
        ImageError: text where a number belongs.
    """
    if (time := numbers(header, "FrameTime", 1, file)) and time[0] > 0:
        return time[0]
    vector = numbers(header, "FrameTimeVector", None, file) or ()
    if sum(vector[1:]) > 0:
        return sum(vector[1:]) / (len(vector) - 1)
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        if (rate := numbers(header, name, 1, file)) and rate[0] > 0:
            return 1000 / rate[0]
    return None
