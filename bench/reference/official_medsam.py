"""MedSAM by the recipe of its official inference script; knows no other model.

The network is SAM's ViT-B: MedSAM's copy of segment-anything differs from the package's in a
shortcut that one prompt on one picture never takes. The recipe (bowang-lab/MedSAM, branch main,
MedSAM_Inference.py) is written anew from what the script does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import skimage.transform
import stand_ins
import torch
from box_decoding import decode_box
from weights import load_weights

from edgesam_bench.cases import Kind
from edgesam_bench.reference import Answer

SIDE = 1024

stand_ins.install()

from segment_anything import sam_model_registry  # noqa: E402  after the stand-ins


def network_input(image: np.ndarray) -> torch.Tensor:
    """The picture stretched to the square, cut to whole levels, its own range as 0..1.

    Returns:
        (1, 3, 1024, 1024) float32.
    """
    stretched = skimage.transform.resize(
        image, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True
    ).astype(np.uint8)
    low, high = stretched.min(), stretched.max()
    scaled = (stretched - low) / np.clip(high - low, a_min=1e-8, a_max=None)
    return torch.from_numpy(scaled).float().permute(2, 0, 1)[None]


def network_box(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Corners in pixels of the 1024 square, not rounded."""
    height, width = shape
    return (box / np.array([width, height, width, height]) * SIDE).astype(np.float32)


class OfficialMedSam:
    """One picture at a time.

    Args:
        checkpoint: the official file, or a state dict of the official shapes.
    """

    packages = ("segment-anything", "scikit-image")
    name = "medsam"
    kinds: tuple[Kind, ...] = ("box",)  # what its weights were trained for
    side = SIDE
    recipe = "MedSAM_Inference.py of bowang-lab/MedSAM"

    @staticmethod
    def build() -> torch.nn.Module:
        """The official network, as it is before it has its weights."""
        return sam_model_registry["vit_b"]()

    def __init__(self, checkpoint: Path | Mapping[str, torch.Tensor]) -> None:
        self.model = load_weights(self.build(), checkpoint)

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> np.ndarray:
        """Sets the picture, (H, W, 3) uint8 RGB; returns (1, 256, 64, 64) float32."""
        self._shape = image.shape[:2]
        self._embedding = self.model.image_encoder(network_input(image))
        return self._embedding.numpy()

    def answer(
        self,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
    ) -> Answer:
        """All four masks of one box (x0, y0, x1, y1 in pixels) on the picture that was set.

        The script asks for the single mask alone; the other three get the same treatment.
        """
        if box is None or any(part is not None for part in (points, labels, mask_input)):
            raise ValueError("MedSAM's script takes a box and nothing else")
        logits, scores = decode_box(self.model, self._embedding, network_box(box, self._shape))
        return Answer(logits=logits[0].numpy(), scores=scores[0].numpy(), masks=self._masks(logits))

    def _masks(self, logits: torch.Tensor) -> np.ndarray:
        probabilities = torch.nn.functional.interpolate(
            torch.sigmoid(logits), size=self._shape, mode="bilinear", align_corners=False
        )
        return (probabilities > 0.5)[0].numpy()
