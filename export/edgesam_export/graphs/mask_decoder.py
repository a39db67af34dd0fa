"""SAM's mask decoder: a picture's side and prompts -> logits. Knows no pixels and no encoder.

Kirillov et al., "Segment Anything" (2023), appendix A, and segment-anything's
``modeling/{mask_decoder,transformer}.py``. One graph for N prompts of P points each; the picture's
side is shared by all of them until the first attention that mixes the two. Only masks that are
asked for are made; choosing among them and resizing is not done here: both depend on how the
caller asks, and graphs that do it ship wrong masks.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgesam_export.graphs import image_side
from edgesam_export.graphs.attention import (
    cells_to_tokens,
    projected_to_tokens,
    self_attention,
    tokens_to_cells,
    tokens_to_projected,
)
from edgesam_export.graphs.image_side import ImageSide
from edgesam_export.graphs.net import FLOAT, INT32, INT64, Net
from edgesam_export.graphs.prompt_encoder import CHANNELS, dense_pe, embed_points
from edgesam_export.graphs.weights import Weights

MLP_WIDTH = 2048
MASK_TOKENS = 4


def build(weights: Weights, image_size: int, grid: int) -> Net:
    """The decoder of N prompts of P points each, K masks of each, L being four times the grid.

    The values of :func:`edgesam_export.graphs.image_side.shapes`, M being 1 or N,
    ``point_coords`` (N, P, 2) as x, y in pixels of the model's square, ``point_labels`` (N, P)
    int32: 1 in, 0 out, 2 and 3 the corners of a box, -1 the padding point; ``mask_tokens`` (K,)
    int64, which of the four masks -> ``low_res_masks`` (N, K, L, L) logits, ``iou_predictions``
    (N, 4).

    Args:
        weights: of the checkpoint.
        image_size: side of the model's square, in pixels.
        grid: side of the embedding, in tokens.
    """
    net = Net("sam_mask_decoder", weights)
    side = ImageSide(*(net.input(n, FLOAT, s) for n, s in image_side.shapes(grid).items()))
    coords = net.input("point_coords", FLOAT, ("prompts", "points", 2))
    labels = net.input("point_labels", INT32, ("prompts", "points"))
    wanted = net.input("mask_tokens", INT64, ("outputs",))

    sparse, image_pe = embed_points(net, coords, labels, image_size), dense_pe(net, grid)
    with net.scope("mask_decoder"):
        queries, keys = _two_way_transformer(net, _tokens(net, sparse), side, image_pe)
        logits = _masks(net, queries, keys, wanted, grid)
        with net.scope("iou_prediction_head"):
            iou = net.op("Gather", queries, net.constant("first", np.array(0)), axis=1)
            for layer, outputs in enumerate((CHANNELS, CHANNELS, MASK_TOKENS)):
                iou = net.linear(iou, f"layers.{layer}", CHANNELS, outputs)
                iou = net.relu(iou) if layer < 2 else iou
    net.output("low_res_masks", logits, ("prompts", "outputs", 4 * grid, 4 * grid))
    net.output("iou_predictions", iou, ("prompts", MASK_TOKENS))
    return net


def _tokens(net: Net, sparse: ir.Value) -> ir.Value:
    """The output tokens (one for IoU, four for masks) before the prompt's: (N, 5 + P, 256)."""
    iou_token = net.weight("iou_token.weight", 1, CHANNELS)
    learned = np.concatenate([iou_token, net.weight("mask_tokens.weight", MASK_TOKENS, CHANNELS)])
    with net.scope("output_tokens"):
        prompts = net.op("Slice", net.op("Shape", sparse), net.ints((0,)), net.ints((1,)))
        shape = net.op("Concat", prompts, net.ints((1 + MASK_TOKENS, CHANNELS)), axis=0)
        output_tokens = net.op("Expand", net.constant("weight", learned[None]), shape)
        return net.op("Concat", output_tokens, sparse, axis=1)


def _two_way_transformer(
    net: Net, tokens: ir.Value, side: ImageSide, image_pe: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Tokens attend to themselves and to the picture, the picture to the tokens, twice."""
    with net.scope("transformer"):
        with net.scope("layers.0"):
            # No positions and no residual here: the queries are the tokens themselves.
            with net.scope("self_attn"):
                queries = self_attention(net, tokens, tokens)
            queries = net.layer_norm(queries, "norm1", CHANNELS)
            with net.scope("cross_attn_token_to_image"):
                attended = tokens_to_projected(net, net.add(queries, tokens), side.k, side.v)
            queries = _mlp(net, net.layer_norm(net.add(queries, attended), "norm2", CHANNELS))
            with net.scope("cross_attn_image_to_token"):
                placed = net.add(queries, tokens)
                attended = projected_to_tokens(net, side.q, placed, queries)
            keys = net.layer_norm(net.add(side.keys, attended), "norm4", CHANNELS)
        with net.scope("layers.1"):
            placed_keys = net.add(keys, image_pe)
            with net.scope("self_attn"):
                attended = self_attention(net, net.add(queries, tokens), queries)
            queries = net.layer_norm(net.add(queries, attended), "norm1", CHANNELS)
            with net.scope("cross_attn_token_to_image"):
                placed = net.add(queries, tokens)
                attended = tokens_to_cells(net, placed, placed_keys, keys)
            queries = _mlp(net, net.layer_norm(net.add(queries, attended), "norm2", CHANNELS))
            with net.scope("cross_attn_image_to_token"):
                placed = net.add(queries, tokens)
                attended = cells_to_tokens(net, placed_keys, placed, queries)
            keys = net.layer_norm(net.add(keys, attended), "norm4", CHANNELS)
        placed_keys = net.add(keys, image_pe)
        with net.scope("final_attn_token_to_image"):
            attended = tokens_to_cells(net, net.add(queries, tokens), placed_keys, keys)
        return net.layer_norm(net.add(queries, attended), "norm_final_attn", CHANNELS), keys


def _mlp(net: Net, queries: ir.Value) -> ir.Value:
    with net.scope("mlp"):
        hidden = net.relu(net.linear(queries, "lin1", CHANNELS, MLP_WIDTH))
        hidden = net.linear(hidden, "lin2", MLP_WIDTH, CHANNELS)
    return net.layer_norm(net.add(queries, hidden), "norm3", CHANNELS)


def _masks(net: Net, queries: ir.Value, keys: ir.Value, wanted: ir.Value, grid: int) -> ir.Value:
    """Upscale the picture's tokens fourfold, multiply with each wanted mask token: (N, K, L, L).

    A transposed convolution of kernel 2 and stride 2 is a product of each token with its weights,
    so the channels stay last, LayerNorm2d is a plain LayerNorm, and only the finished one-channel
    logits are shuffled into place: from (row, column, 2, 2, 2, 2) to (row 2 2, column 2 2).
    """
    with net.scope("output_upscaling"):
        x = _upscale(net, keys, "0", CHANNELS, CHANNELS // 4)
        x = net.gelu(net.layer_norm(x, "1", CHANNELS // 4, eps=1e-6))
        x = net.gelu(_upscale(net, x, "3", CHANNELS // 4, CHANNELS // 8))
        x = net.reshape(x, -1, 16 * grid * grid, CHANNELS // 8)
    with net.scope("output_hypernetworks_mlps"):
        tokens = net.op(
            "Slice", queries, net.ints((1,)), net.ints((1 + MASK_TOKENS,)), net.ints((1,))
        )
        hyper = net.op("Unsqueeze", net.op("Gather", tokens, wanted, axis=1), net.ints((2,)))
        # A network for each token; those of the wanted ones in one product.
        for layer, outputs in enumerate((CHANNELS, CHANNELS, CHANNELS // 8)):
            names = [f"{token}.layers.{layer}" for token in range(MASK_TOKENS)]
            weight = np.stack([net.weight(f"{n}.weight", outputs, CHANNELS).T for n in names])
            bias = np.stack([net.weight(f"{n}.bias", outputs)[None] for n in names])
            with net.scope(f"layers.{layer}"):
                chosen = net.op("Gather", net.constant("weight", weight), wanted, axis=0)
                hyper = net.matmul(hyper, chosen)
                hyper = net.add(hyper, net.op("Gather", net.constant("bias", bias), wanted, axis=0))
                hyper = net.relu(hyper) if layer < 2 else hyper
        hyper = net.op("Squeeze", hyper, net.ints((2,)))
        logits = net.matmul(hyper, net.transpose(x, 0, 2, 1))
        logits = net.reshape(logits, 0, -1, grid, grid, 2, 2, 2, 2)
        logits = net.transpose(logits, 0, 1, 2, 4, 6, 3, 5, 7)
        return net.reshape(logits, 0, -1, 4 * grid, 4 * grid)


def _upscale(net: Net, x: ir.Value, name: str, inputs: int, outputs: int) -> ir.Value:
    """ConvTranspose2d of kernel 2, stride 2 on (.., inputs), one row a token -> (4 .., outputs).

    Rows of all prompts in one matrix: engines add the bias inside such a product.
    """
    with net.scope(name):
        weight = net.weight("weight", inputs, outputs, 2, 2)
        flat = weight.transpose(0, 2, 3, 1).reshape(inputs, 4 * outputs)
        x = net.matmul(net.reshape(x, -1, inputs), net.constant("weight", flat))
        x = net.add(x, net.constant("bias", np.tile(net.weight("bias", outputs), 4)))
        return net.reshape(x, -1, outputs)
