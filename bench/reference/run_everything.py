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
from official import sha256, versions
from official_mobile_sam import OfficialMobileSam
from PIL import Image
from weights import load_weights

stand_ins.install()

from segment_anything import SamAutomaticMaskGenerator  # noqa: E402  after the stand-ins


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
        generator = SamAutomaticMaskGenerator(
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
