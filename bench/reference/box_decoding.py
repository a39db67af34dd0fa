"""The official mask decoder asked with a box alone. Knows no picture and no recipe."""

from __future__ import annotations

import numpy as np
import torch


@torch.no_grad()
def decode_box(
    network: torch.nn.Module, embedding: torch.Tensor, box: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """All four masks of one box.

    Args:
        network: of segment-anything's three parts.
        embedding: (1, 256, G, G).
        box: (4,) float32 x0, y0, x1, y1 in pixels of the network's square.

    Returns:
        Logits (1, 4, 4 G, 4 G) and predicted IoU (1, 4): first the single mask's, which MedSAM's
        scripts ask for, then those of ``multimask_output``.
    """
    corners = torch.from_numpy(box)[None, None]
    sparse, dense = network.prompt_encoder(points=None, boxes=corners, masks=None)
    parts = [
        network.mask_decoder(
            image_embeddings=embedding,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        for multimask in (False, True)
    ]
    logits, scores = (torch.cat(same, dim=1) for same in zip(*parts, strict=True))
    return logits, scores
