"""Masks that may stay: what a decoder call finds, and which of many masks are left in the end.

The rules are those of segment-anything's ``automatic_mask_generator.py``. Knows one crop's
embedding at a time; neither where points come from nor how results look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesam.crops import Crop
from edgesam.embedding import Embedding
from edgesam.engines import Answer
from edgesam.memory import memory_for
from edgesam.preprocess import decoder_inputs
from edgesam.prompt import Prompt
from edgesam.runs import Runs
from edgesam.sam import Sam
from edgesam.selection import ALTERNATIVES
from edgesam_kernels.bilinear import measure_mask
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.nms import box_nms
from edgesam_kernels.regions import remove_small_regions


@dataclass(frozen=True)
class Bar:
    """How good a mask must be.

    Attributes:
        predicted_iou: it must be above; 0 or less is no bar.
        stability: it must be reached; 0 or less is no bar.
        offset: of the logits' threshold, up and down, between which masks must be stable.
    """

    predicted_iou: float
    stability: float
    offset: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that may stay.

    Attributes:
        runs: of the mask, in its crop or, once placed there, in the picture.
        box: tight x0, y0, x1, y1 in pixels of the picture, its last pixels included.
        predicted_iou: the model's own judgement.
        stability: pixels above the bar's offset over those above minus the offset.
        point: x and y in pixels of the picture.
        crop: where it was found.
    """

    runs: Runs
    box: tuple[int, int, int, int]
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    crop: Crop

    def in_picture(self, picture: Crop) -> Candidate:
        """The same, its runs in the whole picture."""
        size = picture.height, picture.width
        return replace(self, runs=self.runs.placed(self.crop.x0, self.crop.y0, size))


def find_candidates(
    sam: Sam,
    embedding: Embedding,
    points: NDArray[np.float64],
    *,
    crop: Crop,
    picture: Crop,
    bar: Bar,
) -> list[Candidate]:
    """One decoder call: of the three masks of each point those that pass, point after point.

    Args:
        sam: made the embedding.
        embedding: of the crop.
        points: (P, 2) x, y in pixels of the crop.
        crop: part of the picture.
        picture: the crop that is all of it.
        bar: what masks must reach before they are looked at, and in the crop's pixels.
    """
    fit, manifest = embedding.fit, sam.manifest
    prompts = [Prompt.point(x, y) for x, y in points]
    inputs = decoder_inputs(prompts, fit, manifest.profile, manifest.low_resolution)
    # Of all profiles the logits themselves: segment-anything's rule.
    frame = MaskFrame(fit.square, (fit.resized_height, fit.resized_width), (fit.height, fit.width))
    answer = sam.finish(embedding, inputs, ALTERNATIVES, frame, bar.offset)
    iou = answer.iou
    passed = np.ones((len(points), 3), np.bool_)
    # Like torch, compare in float32: it decides which masks on the very edge stay.
    if bar.predicted_iou > 0:
        passed = iou[:, 1:] > np.float32(bar.predicted_iou)
    found = []
    for row, token in np.argwhere(passed):
        with memory_for(f"a mask of {fit.width} x {fit.height} pixels"):
            above, below, mask = _measured(answer, row, token, frame, bar.offset)
        stability = np.float32(above) / np.float32(max(below, 1))
        if bar.stability > 0 and stability < np.float32(bar.stability):
            continue
        runs = Runs.of(mask())
        x0, y0, x1, y1 = runs.box
        box = x0 + crop.x0, y0 + crop.y0, x1 + crop.x0, y1 + crop.y0
        if crop.cuts(box, picture):
            continue
        x, y = points[row].tolist()
        score, point = float(iou[row, 1 + token]), (x + crop.x0, y + crop.y0)
        found.append(Candidate(runs, box, score, float(stability), point, crop))
    return found


def _measured(
    answer: Answer, row: int, token: int, frame: MaskFrame, offset: float
) -> tuple[int, int, Callable[[], NDArray[np.bool_]]]:
    """Pixels above and below, by :class:`Bar`'s offset, and what gives the mask."""
    if answer.masks is None:
        low = answer.logits[row, token]
        made = measure_mask(low, frame.square, frame.crop, frame.size, offset)
        return made.above, made.below, lambda: made.mask
    masks, index = answer.masks, int(row) * answer.logits.shape[1] + int(token)
    return int(masks.above[index]), int(masks.below[index]), lambda: masks.mask(index)


def without_rivals(
    candidates: Sequence[Candidate], scores: Sequence[float], iou_threshold: float
) -> list[Candidate]:
    """Of candidates with much the same box that of the highest score; by falling score.

    Of equal scores the first candidate stays.
    """
    boxes = np.array([c.box for c in candidates], np.float32).reshape(-1, 4)
    kept = box_nms(boxes, np.array(scores, np.float32), iou_threshold)
    return [candidates[i] for i in kept]


def without_small_regions(
    candidates: Sequence[Candidate], area: int, iou_threshold: float
) -> list[Candidate]:
    """Holes and islands of fewer pixels filled and removed; what has become a duplicate, too.

    Masks that were changed give way to those that were not, and come after them.
    """
    cleaned, untouched = [], []
    for candidate in candidates:
        mask, filled = remove_small_regions(candidate.runs.mask(), area, "holes")
        mask, removed = remove_small_regions(mask, area, "islands")
        changed = filled or removed
        runs = Runs.of(mask) if changed else candidate.runs
        cleaned.append(replace(candidate, runs=runs, box=runs.box))
        untouched.append(float(not changed))
    return without_rivals(cleaned, untouched, iou_threshold)
