"""edgesam as a contender: the public interface, as a program that embeds it. Knows no peer.

python -m edgesam_bench.speed.ours PICTURE BUNDLE ENGINE DEVICE VARIANT THREADS [--once]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam_bench.speed import worker
from edgesam_bench.speed.prompts import Box


class EdgeSam(worker.Generator, worker.Watched):
    """See :class:`edgesam_bench.speed.worker.Program` and those below it.

    Args:
        picture: a file that holds one picture.
        bundle: folder of the bundle.
        engine: as for :func:`edgesam.load`, like what follows.
        device: see there.
        variant: see there.
        threads: None leaves it to the engine.
    """

    def __init__(
        self,
        picture: Path,
        bundle: Path,
        engine: str,
        device: str,
        variant: str,
        threads: int | None,
    ) -> None:
        self._file, self._bundle = picture, bundle
        self._options: dict[str, Any] = {
            "engine": engine,
            "device": device,
            "variant": variant,
            "threads": threads,
        }

    def load(self) -> dict[str, Any]:
        self._sam = edgesam.load(self._bundle, **self._options)
        self._image = self._read()
        passport = self._sam.passport
        return {
            "engine": self._sam.engine,
            "variant": self._sam.variant,
            "passport": None if passport is None else passport["mask_iou"],
        }

    @property
    def size(self) -> tuple[int, int]:
        return self._image.height, self._image.width

    def encode(self) -> None:
        self._embedding = self._sam.embed(self._image)
        self._embedding.wait()

    def click(self, corners: Box) -> NDArray[np.bool_]:
        return self._sam.segment(self._embedding, edgesam.Prompt.box(*corners)).array

    def batch(self, boxes: Sequence[Box]) -> object:
        prompts = [edgesam.Prompt.box(*corners) for corners in boxes]
        return self._sam.segment_batch(self._embedding, prompts)

    def mask(self, corners: Box, select: str) -> NDArray[np.bool_]:
        prompt = edgesam.Prompt.box(*corners)
        return self._sam.segment(self._embedding, prompt, select=cast(Any, select)).array

    def everything(self, side: int) -> int:
        return len(edgesam.everything(self._sam, self._image, points_per_side=side))

    def stages(self, boxes: Sequence[Box]) -> dict[str, list[float]]:
        from edgesam_bench.speed.stages import watched

        with watched(self._sam) as times:
            image = times.call("read", self._read)
            embedding = times.call("embed", self._sam.embed, image)
            for corners in boxes:
                times.call("click", self._sam.segment, embedding, edgesam.Prompt.box(*corners))
        return times.seconds

    def _read(self) -> edgesam.Image:
        from edgesam.preprocess import one_picture

        return one_picture(edgesam.read(self._file))


def main() -> int:
    """Command line."""
    picture, bundle, engine, device, variant, threads, *more = sys.argv[1:]
    number = None if threads == "default" else int(threads)
    program = EdgeSam(Path(picture), Path(bundle), engine, device, variant, number)
    return worker.main(program, more)


if __name__ == "__main__":
    sys.exit(main())
