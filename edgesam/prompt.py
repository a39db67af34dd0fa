"""What a person points at: points, a box, an earlier mask. Knows no model and no picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.errors import PromptError

_FARTHEST = 1e9  # pixels: far beyond any picture, and float32 still holds it


@dataclass(frozen=True, eq=False, init=False)
class Prompt:
    """One object's prompt, in pixels of the original picture.

    The attributes are not called ``points`` and ``box`` because the constructors
    :meth:`Prompt.points` and :meth:`Prompt.box` are; they bear segment-anything's names.

    Attributes:
        point_coords: (P, 2) float64 as (x, y), or None.
        point_labels: (P,) int32, 1 for a point in the object, 0 for one outside it, or None.
        corners: (4,) float64, the box as x0, y0, x1, y1, or None.
        mask_input: (L, L) float32 logits of the model's low resolution (256 for SAM), or (H, W)
            bool of the picture's size, or None.
    """

    point_coords: NDArray[np.float64] | None
    point_labels: NDArray[np.int32] | None
    corners: NDArray[np.float64] | None
    mask_input: NDArray[Any] | None

    def __init__(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
    ) -> None:
        """Build a prompt from any of its parts.

        Args:
            points: (P, 2) as (x, y).
            labels: (P,), 1 in the object, 0 outside it.
            box: (4,) as x0, y0, x1, y1.
            mask_input: an earlier result's ``logits`` (256, 256), with or without an axis of one
                before them, or a boolean mask of the picture's size. Alone, too, it is a prompt.

        Raises:
            PromptError: nothing is given, or a part cannot be meant: labels without points, an
                empty or inverted box, numbers that are not finite.
        """
        if points is None and labels is None and box is None and mask_input is None:
            raise PromptError("an empty prompt: give points with labels, a box or a mask_input")
        coords, marks = _points(points, labels)
        put = object.__setattr__  # frozen: this is the one place that writes
        put(self, "point_coords", coords)
        put(self, "point_labels", marks)
        put(self, "corners", None if box is None else _box(box))
        put(self, "mask_input", None if mask_input is None else _mask(mask_input))
        for part in (self.point_coords, self.point_labels, self.corners, self.mask_input):
            if part is not None:
                part.setflags(write=False)

    @classmethod
    def box(cls, x0: float, y0: float, x1: float, y1: float) -> Prompt:
        """A box from its left, top, right and bottom."""
        return cls(box=(x0, y0, x1, y1))

    @classmethod
    def point(cls, x: float, y: float, label: int = 1) -> Prompt:
        """One click; label 0 says that it is not in the object."""
        return cls(points=[(x, y)], labels=[label])

    @classmethod
    def points(cls, xy: ArrayLike, labels: ArrayLike) -> Prompt:
        """Several clicks (P, 2) on one object, with a label each."""
        return cls(points=xy, labels=labels)


def _points(
    points: ArrayLike | None, labels: ArrayLike | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.int32] | None]:
    if points is None and labels is None:
        return None, None
    if points is None:
        raise PromptError("labels without points: give one (x, y) for each label")
    if labels is None:
        raise PromptError("points without labels: give 1 (in the object) or 0 (outside) for each")
    coords = _numbers(points, "points")
    marks = _numbers(labels, "labels")
    if coords.ndim != 2 or coords.shape[1] != 2 or len(coords) == 0:
        raise PromptError(f"points must be (P, 2) as x, y with P at least 1, not {coords.shape}")
    if marks.shape != (len(coords),):
        raise PromptError(f"{len(coords)} points need {len(coords)} labels, not {marks.shape}")
    if not np.isin(marks, (0, 1)).all():
        raise PromptError("labels must be 1 (in the object) or 0 (outside it)")
    return coords, marks.astype(np.int32)


def _box(box: ArrayLike) -> NDArray[np.float64]:
    corners = _numbers(box, "the box")
    if corners.shape != (4,):
        raise PromptError(f"a box must be 4 numbers x0, y0, x1, y1, not {corners.shape}")
    x0, y0, x1, y1 = corners
    shown = f"({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if x1 < x0 or y1 < y0:
        raise PromptError(f"the box {shown} is inverted: x0, y0 is its top left corner")
    if x1 == x0 or y1 == y0:
        raise PromptError(f"the box {shown} is empty: it needs a width and a height")
    return corners


def _mask(mask: ArrayLike) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(mask)
    except ValueError:
        raise PromptError("mask_input must be one array, all rows of one length") from None
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.dtype == np.bool_ and array.ndim == 2:
        return np.array(array, np.bool_)
    square = array.ndim == 2 and array.shape[0] == array.shape[1] > 0
    if not (square and np.issubdtype(array.dtype, np.floating)):
        raise PromptError(
            "mask_input must be an earlier result's logits (256, 256) float32, or a boolean mask "
            f"of the picture's size, not {array.dtype} {array.shape}"
        )
    with np.errstate(over="ignore"):
        logits: NDArray[np.float32] = array.astype(np.float32)
    if not np.isfinite(logits).all():
        raise PromptError(
            "mask_input has logits that are not finite: pass them as segment gave them"
        )
    return logits


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise PromptError(f"{what} must be numbers, all rows of one length") from None
    if not np.isfinite(array).all():
        raise PromptError(f"{what} must be finite: found NaN or infinity")
    if (np.abs(array) > _FARTHEST).any():
        raise PromptError(f"{what} must be pixels: found {np.abs(array).max():g}")
    return array
