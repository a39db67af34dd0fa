"""Asks segment-anything's own SamAutomaticMaskGenerator, with MobileSAM's network and weights.

    python bench/reference/run_everything.py --checkpoint mobile_sam.pt

Stays in memory and answers lines of JSON on standard input with lines on standard output, so that
another program can measure in turn with it (``edgesam_bench/everything_parity.py``). It begins with
``{"checkpoint_sha256": ..., "versions": {...}}``. A question is

    {"image": PATH, "parameters": {NAME: VALUE}}

and its answer ``{"seconds": S, "records": [...]}``, the records as the generator gives them with
``uncompressed_rle``. Runs in the environment that README.md beside this file describes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import stand_ins
import torch
from official import sha256, versions
from official_mobile_sam import OfficialMobileSam
from PIL import Image
from weights import load_weights


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


stand_ins.install()

from segment_anything import automatic_mask_generator as official  # noqa: E402  after the stand-ins

# It may have been imported, with stand-ins that only complain, by any module above.
official.batched_nms, official.box_area = batched_nms, box_area


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, type=Path)
    arguments = parser.parse_args()
    model = load_weights(OfficialMobileSam.build(), arguments.checkpoint)
    answer(
        {
            "checkpoint_sha256": sha256(arguments.checkpoint),
            "versions": versions("mobilesam-mirror", "segment-anything"),
        }
    )
    for line in sys.stdin:
        question = json.loads(line)
        with Image.open(question["image"]) as file:
            pixels = np.array(file.convert("RGB"))
        started = time.perf_counter()
        generator = official.SamAutomaticMaskGenerator(
            model, **question["parameters"], output_mode="uncompressed_rle"
        )
        records = generator.generate(pixels)
        answer({"seconds": time.perf_counter() - started, "records": records})
    return 0


def answer(content: dict[str, object]) -> None:
    """One line, at once."""
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    sys.exit(main())
