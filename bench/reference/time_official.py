"""The official network loaded, a picture set twice and clicked on: seconds and memory, as JSON.

    python time_official.py --size vit_b --checkpoint checkpoint.pth --picture picture.png

Does what ``edgesam_bench/cost/run.py`` does. Knows no engine of ours.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import stand_ins
import torch
from PIL import Image

from edgesam_bench.cost.protocol import box, measured

stand_ins.install()

from segment_anything import SamPredictor, sam_model_registry  # noqa: E402  after the stand-ins


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", required=True, choices=sorted(sam_model_registry))
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--picture", required=True, type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    predictor = SamPredictor(sam_model_registry[arguments.size](arguments.checkpoint))
    picture = np.asarray(Image.open(arguments.picture).convert("RGB"))
    figures = measured(
        started,
        lambda: predictor.set_image(picture),
        lambda shift: predictor.predict(box=np.array(box(shift)), multimask_output=False),
    )
    print(json.dumps({**figures, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
