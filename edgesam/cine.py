"""Pictures one after another, without a place in the patient: ultrasound, angiography, GIF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from edgesam.errors import ImageError
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.origin import Origin


class Frames(Protocol):
    """Where a cine's pictures come from."""

    def __len__(self) -> int:
        """How many there are."""

    def image(self, index: int) -> Image:
        """One of them, decoded now."""


@dataclass(frozen=True, eq=False)
class Cine:
    """Frames of one size, each decoded when it is asked for.

    Attributes:
        frames: where they come from.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        milliseconds: from one frame to the next, None if unknown.
        modality: DICOM's code (``US``, ``XA``...), None when the file says none.
        origin: the file it was read from.
    """

    frames: Frames
    height: int
    width: int
    milliseconds: float | None = None
    modality: str | None = None
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int, window: Levels | None = None) -> Image:
        """One frame, from 0, as a picture that knows its place.

        Args:
            index: from 0.
            window: grey levels to show, unless :meth:`edgesam.Sam.embed` is given others.

        Raises:
            ImageError: there is no such frame, or it cannot be decoded.
        """
        if not 0 <= index < len(self):
            raise ImageError(
                f"there is no frame {index}: this cine has {len(self)}, 0..{len(self) - 1}"
            )
        return replace(self.frames.image(index), window=window)

    def __iter__(self) -> Iterator[Image]:
        return (self.frame(index) for index in range(len(self)))

    def __repr__(self) -> str:
        pace = f", {1000 / self.milliseconds:.3g} frames/s" if self.milliseconds else ""
        kind = self.modality or "frames"
        return f"Cine({kind}, {len(self)} frames of {self.width} x {self.height}{pace})"
