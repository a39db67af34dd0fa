"""The picture's side of SAM's mask decoder: what every prompt on a picture shares, computed once.

The picture's tokens with the mask prompt added (or the learned embedding of none), and what the
first layer's two attentions between prompt and picture make of them. Knows no point and no box.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgesam_export.graphs.attention import HEAD, HEADS, WIDTH, project, scaled_q
from edgesam_export.graphs.net import FLOAT, Dim, Net
from edgesam_export.graphs.prompt_encoder import CHANNELS, dense_pe, embed_mask
from edgesam_export.graphs.weights import Weights

LAYER = "mask_decoder.transformer.layers.0"


@dataclass(frozen=True)
class ImageSide:
    """Values that this graph hands to the mask decoder; M masks, C cells of the grid.

    Attributes:
        keys: (M, C, 256) the picture's tokens.
        k: (M, 8, 16, C) their keys for tokens that attend to the picture.
        v: (M, 8, C, 16) their values for them.
        q: (M, C, 128) their queries where the picture attends to tokens, scaled, heads beside
            each other.
    """

    keys: ir.Value
    k: ir.Value
    v: ir.Value
    q: ir.Value


def shapes(grid: int) -> dict[str, tuple[Dim, ...]]:
    """Name and shape of each value, in order: one graph's outputs, the other's inputs."""
    cells = grid * grid
    return {
        "keys": ("masks", cells, CHANNELS),
        "layer0_k": ("masks", HEADS, HEAD, cells),
        "layer0_v": ("masks", HEADS, cells, HEAD),
        "layer0_q": ("masks", cells, WIDTH),
    }


def build(weights: Weights, grid: int) -> Net:
    """``image_embeddings`` (1, 256, grid, grid), ``mask_input`` (M, 1, L, L) logits, L being four
    times the grid, ``has_mask_input`` (M,) 1 or 0 -> the values of :func:`shapes`.
    """
    net = Net("sam_image_side", weights)
    embedding = net.input("image_embeddings", FLOAT, (1, CHANNELS, grid, grid))
    mask = net.input("mask_input", FLOAT, ("masks", 1, 4 * grid, 4 * grid))
    has_mask = net.input("has_mask_input", FLOAT, ("masks",))

    cells = net.reshape(net.add(embedding, embed_mask(net, mask, has_mask)), 0, CHANNELS, -1)
    keys, image_pe = net.transpose(cells, 0, 2, 1), dense_pe(net, grid)
    with net.scope(LAYER):
        placed = net.add(keys, image_pe)
        with net.scope("cross_attn_token_to_image"):
            k = net.reshape(project(net, placed, "k_proj"), 0, -1, HEADS, HEAD)
            v = net.reshape(project(net, keys, "v_proj"), 0, -1, HEADS, HEAD)
            k, v = net.transpose(k, 0, 2, 3, 1), net.transpose(v, 0, 2, 1, 3)
        with net.scope("cross_attn_image_to_token"):
            q = scaled_q(net, placed)
    for (name, shape), value in zip(shapes(grid).items(), (keys, k, v, q), strict=True):
        net.output(name, value, shape)
    return net
