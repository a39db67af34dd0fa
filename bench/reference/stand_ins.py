"""Stands in for what the official code imports of torchvision and timm. Knows no model.

Neither package loads beside every build of PyTorch, and of both the official code needs next to
nothing to predict. The semantics follow torchvision 0.28 (``transforms/functional.py`` and
``_functional_pil.py``, for Pillow images) and timm 1.0 (``layers``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

F = TypeVar("F", bound=Callable[..., Any])


def to_pil_image(pic: np.ndarray) -> Image.Image:
    """An (H, W, 3) uint8 RGB array as a Pillow image."""
    if pic.dtype != np.uint8 or pic.ndim != 3 or pic.shape[2] != 3:
        raise ValueError(f"only (H, W, 3) uint8 is stood in for, not {pic.shape} {pic.dtype}")
    return Image.fromarray(pic)


def resize(img: Image.Image, size: Sequence[int]) -> Image.Image:
    """Pillow's bilinear filter (antialiased when it shrinks); ``size`` is (height, width)."""
    height, width = size
    if (img.height, img.width) == (height, width):
        return img
    return img.resize((width, height), Image.Resampling.BILINEAR)


class DropPath(torch.nn.Module):
    """Stochastic depth, which does nothing while predicting."""

    def __init__(self, drop_prob: float | None = None) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.drop_prob:
            raise RuntimeError("this stand-in cannot train")
        return x


def to_2tuple(x: Any) -> tuple[Any, Any]:
    """``x`` twice, unless it is a pair already."""
    return tuple(x) if isinstance(x, (tuple, list)) else (x, x)  # type: ignore[return-value]


def register_model(fn: F) -> F:
    """timm's registry of names, which nobody asks here."""
    return fn


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """Indices of the boxes to keep, by falling score, as torchvision's CPU kernel has it.

    After ``ops/boxes.py`` and ``csrc/ops/cpu/nms_kernel.cpp``: equal scores keep their order,
    overlaps are float32 and the threshold is a double. The generator knows one category only.
    """
    if idxs.any():
        raise ValueError("more than one category is not stood in for")
    areas = box_area(boxes)
    left = torch.sort(scores, descending=True, stable=True).indices
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[left, :2])
        high = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        overlap = shared / (areas[best] + areas[left] - shared)
        left = left[~(overlap.double() > iou_threshold)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64)


def box_area(boxes: torch.Tensor) -> torch.Tensor:
    """(N,) of boxes (N, 4) as x0, y0, x1, y1."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def install() -> None:
    """Puts the stand-ins where ``import torchvision`` and ``import timm`` look first."""
    contents: dict[str, dict[str, Any]] = {
        "torchvision": {},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"resize": resize, "to_pil_image": to_pil_image},
        "torchvision.ops": {},
        "torchvision.ops.boxes": {"batched_nms": batched_nms, "box_area": box_area},
        "timm": {},
        "timm.models": {},
        "timm.models.layers": {
            "DropPath": DropPath,
            "to_2tuple": to_2tuple,
            "trunc_normal_": torch.nn.init.trunc_normal_,
        },
        "timm.models.registry": {"register_model": register_model},
    }
    for name, members in contents.items():
        module = ModuleType(name, "Stands in for the real one; see stand_ins.py.")
        module.__path__ = []
        vars(module).update(members)
        sys.modules[name] = module
