"""Figures of agreement: IoU, relative error, and how a list of them is told; knows no model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Figures:
    """How a list of values is told: never by its mean alone.

    Attributes:
        n: how many values.
        mean: of them.
        p5: their 5th percentile (linear between neighbours).
        worst: the lowest.
    """

    n: int
    mean: float
    p5: float
    worst: float


def summarise(values: Iterable[float]) -> Figures | None:
    """The figures of some values where higher is better; None if there are none."""
    array = np.fromiter(values, dtype=np.float64)
    if array.size == 0:
        return None
    return Figures(
        n=array.size,
        mean=float(array.mean()),
        p5=float(np.percentile(array, 5)),
        worst=float(array.min()),
    )


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; two empty masks agree: 1."""
    if one.shape != other.shape:
        raise ValueError(f"masks of shapes {one.shape} and {other.shape} cannot be compared")
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def relative_l2(reference: NDArray[Any], candidate: NDArray[Any]) -> float:
    """Euclidean length of the difference over that of the reference; not a number stays one."""
    if reference.shape != candidate.shape:
        raise ValueError(f"arrays of shapes {reference.shape} and {candidate.shape} differ")
    exact = reference.astype(np.float64)
    length = float(np.linalg.norm(exact))
    error = float(np.linalg.norm(candidate.astype(np.float64) - exact))
    return error / length if length else error
