"""The official network as a contender of ``edgesam bench``: eager PyTorch, the authors' own calls.

    python bench/reference/serve_official.py PICTURE CHECKPOINT MODEL THREADS [--once]

Answers what ``edgesam_bench/speed/worker.py`` says. A click is a predictor's ``predict`` with
``multimask_output=False``, a batch its ``predict_torch`` with all boxes at once, everything mode
segment-anything's generator; for LiteMedSAM its script's steps, and the boxes of a batch together,
which the script does not do. Knows no engine of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official import OFFICIAL
from official_lite_medsam import OfficialLiteMedSam, network_box
from official_predictor import OfficialPredictor
from PIL import Image

from edgesam_bench.speed import worker
from edgesam_bench.speed.prompts import Box


class Predicted:
    """Through an official SamPredictor."""

    def __init__(self, official: OfficialPredictor) -> None:
        self._official = official
        self._predictor = official._predictor

    def encode(self, picture: np.ndarray) -> None:
        self._predictor.set_image(picture)

    def click(self, corners: Box) -> np.ndarray:
        return self._predictor.predict(box=np.array(corners), multimask_output=False)[0][0]

    def batch(self, boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
        corners = torch.tensor(boxes, dtype=torch.float32)
        with torch.no_grad():
            masks, _, _ = self._predictor.predict_torch(
                point_coords=None,
                point_labels=None,
                boxes=self._predictor.transform.apply_boxes_torch(corners, size),
                multimask_output=False,
            )
        return masks.numpy()

    def everything(self, picture: np.ndarray, side: int) -> int:
        from segment_anything import SamAutomaticMaskGenerator

        generator = SamAutomaticMaskGenerator(self._official.model, points_per_side=side)
        return len(generator.generate(picture))


class Scripted:
    """LiteMedSAM as its inference script does it."""

    def __init__(self, official: OfficialLiteMedSam) -> None:
        self._official = official

    def encode(self, picture: np.ndarray) -> None:
        self._official.embed(picture)

    def click(self, corners: Box) -> np.ndarray:
        return self.batch([corners], self._official._shape)[0]

    @torch.no_grad()
    def batch(self, boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
        network, embedding = self._official.model, self._official._embedding
        corners = torch.from_numpy(np.stack([network_box(np.array(b), size) for b in boxes]))
        sparse, dense = network.prompt_encoder(points=None, boxes=corners[:, None], masks=None)
        logits, _ = network.mask_decoder(
            image_embeddings=embedding,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return self._official._masks(logits.transpose(0, 1))


class OfficialProgram(worker.Generator):
    """See :class:`edgesam_bench.speed.worker.Generator`; LiteMedSAM takes no grid of points."""

    def __init__(self, picture: Path, checkpoint: Path, model: str, threads: int | None) -> None:
        self._file, self._checkpoint, self._model = picture, checkpoint, model
        if threads is not None:
            torch.set_num_threads(threads)

    def load(self) -> dict[str, Any]:
        official = OFFICIAL[self._model](self._checkpoint)
        predicted = isinstance(official, OfficialPredictor)
        self._way = Predicted(official) if predicted else Scripted(official)
        self._picture = np.asarray(Image.open(self._file).convert("RGB"))
        return {"version": torch.__version__, "precision": "f32", "selects": "single"}

    @property
    def size(self) -> tuple[int, int]:
        height, width = self._picture.shape[:2]
        return height, width

    def encode(self) -> None:
        self._way.encode(self._picture)

    def click(self, corners: Box) -> np.ndarray:
        return self._way.click(corners)

    def batch(self, boxes: Sequence[Box]) -> object:
        return self._way.batch(boxes, self.size)

    def everything(self, side: int) -> int:
        return self._way.everything(self._picture, side)


def main() -> int:
    """Command line."""
    picture, checkpoint, model, threads, *more = sys.argv[1:]
    number = None if threads == "default" else int(threads)
    return worker.main(OfficialProgram(Path(picture), Path(checkpoint), model, number), more)


if __name__ == "__main__":
    sys.exit(main())
