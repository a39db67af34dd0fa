"""A model through an official SamPredictor. Knows neither its package nor its sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from weights import load_weights

from edgesam_bench.cases import KINDS
from edgesam_bench.reference import Answer


class OfficialPredictor(ABC):
    """One picture at a time, as the predictor has it.

    Args:
        checkpoint: the official file, or a state dict of the official shapes.
    """

    kinds = KINDS
    side = 1024
    predictor: type[Any]

    @classmethod
    @abstractmethod
    def build(cls) -> torch.nn.Module:
        """The official network, as it is before it has its weights."""

    def __init__(self, checkpoint: Path | Mapping[str, torch.Tensor]) -> None:
        self.model = load_weights(self.build(), checkpoint)
        self._predictor = self.predictor(self.model)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Sets the picture, (H, W, 3) uint8 RGB; returns (1, 256, 64, 64) float32."""
        self._predictor.set_image(image)
        return self._predictor.get_image_embedding().numpy()

    def answer(
        self,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
    ) -> Answer:
        """All four masks of one prompt on the picture that was set.

        Args:
            points: (P, 2) x, y in pixels of the picture.
            labels: (P,) 1 inside, 0 outside.
            box: (4,) x0, y0, x1, y1.
            mask_input: (256, 256) logits.
        """
        parts = [
            self._predictor.predict(
                point_coords=points,
                point_labels=labels,
                box=box,
                mask_input=None if mask_input is None else mask_input[None],
                multimask_output=multimask,
            )
            for multimask in (False, True)
        ]
        masks, scores, logits = (np.concatenate(same) for same in zip(*parts, strict=True))
        return Answer(logits=logits, scores=scores, masks=masks)
