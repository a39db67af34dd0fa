"""One file of the same prompts on all pictures of a source, or none. Knows no folder of masks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgesam.commands import prompts, runner
from edgesam.commands.frames import Frames
from edgesam.commands.objects import from_answers, without_pixels
from edgesam.commands.progress import Progress
from edgesam.commands.results import Output
from edgesam.commands.tally import Tally
from edgesam.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgesam.image import Image
    from edgesam.labels import Source
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam


def into_file(
    args: argparse.Namespace, frames: Frames, asked: list[Prompt], window: Levels | None
) -> int:
    """Segments, writes, tells; see :func:`edgesam.commands.all_frames.run`."""
    output, source = Output.of(args), frames.source
    output.check_source(source)
    if output.holds in ("png", "tiff") and len(frames) > 1:
        raise ImageError(
            f"cannot write {args.out}: it holds one picture, and here are {len(frames)}; give a "
            "folder, as -o masks/, or .nii.gz, .nrrd, .dcm or .gif"
        )
    with Progress(silent=args.json) as progress, runner.load(args) as sam:
        progress(f"{sam}: {frames}")
        tally = Tally(len(frames), progress, "pictures")
        made = _Whole(sam, source, asked)
        images = (frames.read(index).image for index in range(len(frames)))
        made.fill(images, window, prompts.selected(args.select), tally)
        progress("writing")
        output.write(made.labels, source, sam.provenance(made.mapping), window)
    report = {
        **runner.about(sam),
        "picture": repr(frames),
        "mask": str(args.out),
        "mapping": made.mapping,
        "objects": made.objects(),
        "pictures": made.pictures,
        "seconds": round(tally.seconds, 1),
    }
    print(json.dumps(report)) if args.json else _tell(report)
    return tally.code


class _Whole:
    """Labels of all pictures of one source."""

    def __init__(self, sam: Sam, source: Source, asked: list[Prompt]) -> None:
        import numpy as np

        from edgesam.labels import grid

        kind = np.bool_ if len(asked) == 1 else np.uint8 if len(asked) < 256 else np.uint16
        self.labels: NDArray[Any] = np.zeros(grid(source), kind)
        self.pictures: list[list[dict[str, Any]]] = []
        self._sam = sam
        self._source = source
        self._asked = asked
        self._mappings: dict[str, None] = {}

    def fill(
        self, images: Iterator[Image], window: Levels | None, select: Any, tally: Tally
    ) -> None:
        import edgesam
        from edgesam.labels import put

        for embedding in edgesam.stream(self._sam, self._checked(images), window):
            masks = self._sam.segment_batch(embedding, self._asked, select=select)
            found = from_answers(masks, embedding.mapping)
            put(self.labels, self._source, found.pixels, embedding.place)
            self._mappings[embedding.mapping] = None
            self.pictures.append([without_pixels(record) for record in found.records])
            tally.wrote()
            del embedding, masks, found

    @property
    def mapping(self) -> str:
        """How pixels became grey levels, in words."""
        if len(self._mappings) > 1:
            return "differs from picture to picture"
        return next(iter(self._mappings))

    def objects(self) -> list[dict[str, Any]]:
        """Of each object how often it was found and how large it is in all."""
        summed = []
        for number in range(len(self._asked)):
            found = [records[number] for records in self.pictures]
            sizes = [record["measured"]["volume_ml"] for record in found]
            summed.append(
                {
                    "pictures": sum(record["area"] > 0 for record in found),
                    "pixels": sum(record["area"] for record in found),
                    "volume_ml": None if None in sizes else sum(sizes),
                }
            )
        return summed

    def _checked(self, images: Iterator[Image]) -> Iterator[Image]:
        """Prompts are refused before a picture is embedded."""
        for image in images:
            for prompt in self._asked:
                self._sam.check(prompt, image.height, image.width)
            yield image
            del image


def _tell(report: dict[str, Any]) -> None:
    """What a person wants to know, in a few lines."""
    print(f"picture: {report['picture']}")
    print(f"grey levels: {report['mapping']}")
    for number, found in enumerate(report["objects"], start=1):
        size = "" if found["volume_ml"] is None else f", {found['volume_ml']:.1f} ml"
        where = f"{found['pictures']} of {len(report['pictures'])} pictures"
        print(f"object {number}: found in {where}, {found['pixels']} pixels{size}")
    print(f"mask:    {report['mask']}")
