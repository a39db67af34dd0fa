"""Gives an official network its weights. Knows no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch


def load_weights(
    model: torch.nn.Module, checkpoint: Path | Mapping[str, torch.Tensor]
) -> torch.nn.Module:
    """The network, with the weights of an official file or a state dict, ready to predict.

    MobileSAM's builder calls ``eval()`` before there are weights, and TinyViT's attention caches
    its bias in ``eval()``: without this call after loading it would predict with the initial zeros.
    """
    state = checkpoint
    if isinstance(state, Path):
        state = torch.load(state, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    return model.eval()
