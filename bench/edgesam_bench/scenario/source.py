"""The pictures that a scenario plays on: a study, or drawn ones. Knows no model and no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import edgesam
from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.image import Image
from edgesam.pictures import pictures
from edgesam.preprocess import one_picture
from edgesam.prompt import Prompt
from edgesam_bench.phantoms import draw
from edgesam_bench.scenario.script import LEAST
from edgesam_bench.speed.prompts import box

RATE = 25.0  # frames per second of what does not say its own

_DRAWN, _SIDE = 20, 512


@dataclass(frozen=True)
class Source:
    """Pictures by number.

    Attributes:
        name: of the file or folder, without where it lies.
        readers: each reads its picture anew.
        height: of the first one, in pixels.
        width: see there.
        rate: frames per second of a live source.
    """

    name: str
    readers: Sequence[Callable[[], Any]]
    height: int
    width: int
    rate: float = RATE

    def prompt(self, number: int) -> Prompt:
        """The n-th box, another one every time."""
        return Prompt.box(*box(number, self.width, self.height))


def opened(path: Path | None) -> Source:
    """What is there; without a path a series of drawn pictures.

    Raises:
        ImageError: it cannot be read, or has too few pictures.
        VolumeError: a folder's slices make no volume.
    """
    if path is None:
        drawn = [draw(_SIDE, _SIDE, colour=False, seed=n).pixels[..., 0] for n in range(_DRAWN)]
        images = [Image.from_array(pixels) for pixels in drawn]
        return Source("drawn pictures", [partial(_same, i) for i in images], _SIDE, _SIDE)
    found = path if path.is_dir() else edgesam.read(path)
    readers = [read for _, read in pictures(found)]
    if len(readers) < LEAST:
        raise ImageError(
            f"{path}: a scenario needs at least {LEAST} pictures, here "
            f"{'is' if len(readers) == 1 else 'are'} {len(readers)}: name a series, a volume or a "
            "cine"
        )
    first = one_picture(readers[0]())
    rate = RATE
    if isinstance(found, Cine) and found.milliseconds:
        rate = 1000 / found.milliseconds
    return Source(path.absolute().name, readers, first.height, first.width, rate)


def _same(image: Image) -> Image:
    return image
