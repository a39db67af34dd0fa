"""Which of many overlapping boxes to keep, as torchvision.ops.nms decides; knows only numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def box_nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], iou_threshold: float
) -> NDArray[np.int64]:
    """Boxes that no kept box of a higher score overlaps by more than the threshold.

    In float32, in the order of torchvision's csrc/ops/cpu/nms_kernel.cpp; its threshold is a
    double. Boxes without an area overlap nothing. Of equal scores the first box goes first.

    Args:
        boxes: (N, 4) float32, as x0, y0, x1, y1.
        scores: (N,) float32.
        iou_threshold: intersection over union up to which both boxes stay.

    Returns:
        (K,) int64: indices of the boxes to keep, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = np.ascontiguousarray(boxes[order].T)
    area = (right - left) * (bottom - top)
    limit = np.float64(iou_threshold)
    kept = np.ones(len(order), np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):  # two boxes without an area: 0 / 0
        for best in range(len(order)):
            if kept[best]:
                rest = slice(best + 1, None)
                width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
                height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
                shared = np.maximum(width, 0) * np.maximum(height, 0)
                overlap = shared / (area[best] + area[rest] - shared)
                kept[rest] &= ~(overlap.astype(np.float64) > limit)
    return order[kept].astype(np.int64)
