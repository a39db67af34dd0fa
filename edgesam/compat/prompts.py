"""The official predictor's prompts as the mask decoder takes them. Knows no picture.

Unlike :class:`edgesam.Prompt` nothing is asked of where a point or a box lies, a label may be -1
(a point that says nothing), and a batch may have points, a box and a mask in every row. The order
of tokens is that of segment_anything/modeling/prompt_encoder.py: the points, a padding point only
where there is no box, the box's corners.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.engines import MaskPrompts, Prompts
from edgesam.prompt import Prompt
from edgesam.sam import Sam

_LABELS = (-1, 0, 1)
_CORNERS = (2, 3)


def decoder_prompts(
    sam: Sam,
    point_coords: ArrayLike | None,
    point_labels: ArrayLike | None,
    boxes: ArrayLike | None,
    mask_input: ArrayLike | None,
) -> Prompts:
    """B prompts, each part of which may be missing; without any, one that says nothing.

    Args:
        sam: the model.
        point_coords: (B, N, 2) as x, y in pixels of the model's square.
        point_labels: (B, N), 1 in the object, 0 outside it, -1 for a point to be ignored.
        boxes: (B, 4) as x0, y0, x1, y1 in pixels of the model's square.
        mask_input: (B, 1, L, L) logits, or (1, 1, L, L) for all.

    Raises:
        PromptError: the model was not trained for such a prompt.
        ValueError: a part has a wrong shape, or points have no labels.
    """
    _refuse_untrained(sam, point_coords is not None, boxes is not None, mask_input is not None)
    side = sam.manifest.low_resolution
    coords, labels = [], []
    if point_coords is not None:
        points, marks = _points(point_coords, point_labels)
        coords.append(points)
        labels.append(marks)
        if boxes is None:
            coords.append(np.zeros((len(points), 1, 2), np.float32))
            labels.append(np.full((len(points), 1), -1, np.int32))
    if boxes is not None:
        corners = _boxes(boxes)
        coords.append(corners)
        labels.append(np.tile(np.array(_CORNERS, np.int32), (len(corners), 1)))
    masks = None if mask_input is None else _masks(mask_input, side)
    given = 1 if masks is None else len(masks.given)
    count = len(coords[0]) if coords else given
    if any(len(part) != count for part in coords):
        raise ValueError(f"{count} prompts of points need {count} boxes, not {len(coords[-1])}")
    if count == 1 and coords:  # one prompt and several masks, as PyTorch broadcasts them
        count = given
        coords = [np.repeat(part, count, axis=0) for part in coords]
        labels = [np.repeat(part, count, axis=0) for part in labels]
    if given not in (1, count):
        raise ValueError(f"{count} prompts need 1 or {count} mask_input, not {given}")
    return Prompts(
        np.concatenate([np.zeros((count, 0, 2), np.float32), *coords], axis=1),
        np.concatenate([np.zeros((count, 0), np.int32), *labels], axis=1),
        masks,
    )


def _refuse_untrained(sam: Sam, points: bool, box: bool, mask: bool) -> None:
    """The model's own refusal, by kind; the prompts it is asked with lie on a picture of 1 x 1."""
    if points:
        sam.check(Prompt.point(0, 0), 1, 1)
    if box:
        sam.check(Prompt.box(0, 0, 1, 1), 1, 1)
    if mask:
        sam.check(Prompt(mask_input=np.ones((1, 1), np.bool_)), 1, 1)


def _points(
    point_coords: ArrayLike, point_labels: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    if point_labels is None:
        raise ValueError("point_coords without point_labels: give a label for each point")
    coords = np.array(point_coords, np.float32)
    labels = np.asarray(point_labels).astype(np.int32)
    if coords.ndim != 3 or coords.shape[2] != 2 or labels.shape != coords.shape[:2]:
        raise ValueError(
            "point_coords must be (B, N, 2) and point_labels (B, N), of one prompt in predict "
            f"(N, 2) and (N,); as a batch they are {coords.shape} and {labels.shape}"
        )
    unknown = labels[~np.isin(labels, _LABELS)]
    if unknown.size:
        raise ValueError(
            f"a point's label must be 1 (in the object), 0 (outside it) or -1 (ignored), "
            f"not {unknown[0]}"
        )
    coords[labels == -1] = 0  # it says nothing, not even where it is NaN
    return coords, labels


def _boxes(boxes: ArrayLike) -> NDArray[np.float32]:
    corners = np.asarray(boxes, np.float32)
    if corners.shape[-1:] not in ((4,), (2,)) or corners.size % 4:
        raise ValueError(f"boxes must be (B, 4) as x0, y0, x1, y1, not {corners.shape}")
    return corners.reshape(-1, 2, 2)


def _masks(mask_input: ArrayLike, side: int) -> MaskPrompts:
    mask = np.asarray(mask_input, np.float32)
    if mask.ndim != 4 or mask.shape[1:] != (1, side, side):
        raise ValueError(
            f"mask_input must be logits (B, 1, {side}, {side}), of one prompt in predict "
            f"(1, {side}, {side}); as a batch it is {mask.shape}"
        )
    return MaskPrompts(mask, np.ones(len(mask), np.float32))
