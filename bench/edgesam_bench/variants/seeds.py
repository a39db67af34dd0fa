"""Things in a picture without labels: the masks that a model finds there. Knows no variant.

They are no truth, only something of a natural shape to draw boxes around and to click into. Scores
decide among masks of one thing, never which things are taken: the easy ones would flatter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgesam import Prompt
from edgesam.embedding import Embedding
from edgesam.sam import Sam
from edgesam_bench.comparison import TINY_AREA
from edgesam_bench.objects import LabelledObject
from edgesam_kernels.nms import box_nms

_POINTS = 6  # per side
_BOXES = ((2, 3), (4, 5))  # a box is 1/n of each side; so many per side
_LARGEST = 0.5  # share of the picture: more is its background
_SAME = 0.5  # IoU of the boxes of one thing


def find_things(sam: Sam, embedding: Embedding, key: str, most: int) -> list[LabelledObject]:
    """Some of them, largest first; the same for the same key.

    Args:
        sam: whose masks.
        embedding: of the picture.
        key: of the picture: chooses among what there is.
        most: so many at the most.
    """
    height, width = embedding.size
    masks: list[NDArray[np.bool_]] = []
    boxes: list[tuple[int, int, int, int]] = []
    scores: list[float] = []
    for array, score in _found(sam, embedding):
        thing = LabelledObject(1, array)
        if not TINY_AREA <= thing.area <= _LARGEST * height * width:
            continue
        x0, y0, x1, y1 = thing.box
        if x1 > x0 and y1 > y0:
            masks.append(array)
            boxes.append(thing.box)
            scores.append(score)
    if not masks:
        return []
    kept = box_nms(np.array(boxes, np.float32), np.array(scores, np.float32), _SAME)
    random = np.random.default_rng(zlib.crc32(key.encode()))
    chosen = random.permutation(np.sort(kept))[:most]
    things = [LabelledObject(number + 1, masks[i]) for number, i in enumerate(chosen)]
    return sorted(things, key=lambda thing: -thing.area)


def _found(sam: Sam, embedding: Embedding) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Masks and their scores, one at a time."""
    height, width = embedding.size
    if "point" in sam.manifest.profile.prompt_kinds:
        prompts = [Prompt.point(x, y) for x, y in _grid(height, width)]
        for mask in sam.segment_each(embedding, prompts, select="best"):
            yield mask.array, mask.score
        return
    # A box around nothing is filled somehow: what its mask's own box gives is a thing.
    prompts = _boxes(height, width)
    around = [mask.box for mask in sam.segment_each(embedding, prompts)]
    again = [Prompt.box(*box) for box in around if box and box[2] > box[0] and box[3] > box[1]]
    for mask in sam.segment_each(embedding, again):
        yield mask.array, mask.score


def _grid(height: int, width: int) -> list[tuple[int, int]]:
    steps = [(2 * i + 1) / (2 * _POINTS) for i in range(_POINTS)]
    return [(int(x * width), int(y * height)) for y in steps for x in steps]


def _boxes(height: int, width: int) -> list[Prompt]:
    prompts = []
    for part, count in _BOXES:
        wide, high = width // part, height // part
        for row in range(count):
            for column in range(count):
                x = column * (width - 1 - wide) // (count - 1)
                y = row * (height - 1 - high) // (count - 1)
                prompts.append(Prompt.box(x, y, x + max(wide, 1), y + max(high, 1)))
    return prompts
