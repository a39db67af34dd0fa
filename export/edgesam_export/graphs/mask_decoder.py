"""SAM's prompt encoder and mask decoder: embedding and prompts -> logits. Knows no pixels.

Kirillov et al., "Segment Anything" (2023), appendix A, and segment-anything's
``modeling/{prompt_encoder,mask_decoder,transformer}.py``. One graph for N prompts of P points; a
box is two points of labels 2 and 3. The picture's side is computed once for all N prompts until
the first attention that mixes the two. Choosing among the four masks and resizing them is not
done here: both depend on how the caller asks, and graphs that do it ship wrong masks.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import FLOAT, INT32, Net, attention_scale
from edgesam_export.graphs.position import cos_two_pi, sin_two_pi
from edgesam_export.graphs.weights import Weights

CHANNELS = 256
HEADS = 8
LAYERS = 2
MLP_WIDTH = 2048
MASK_TOKENS = 4


def build(weights: Weights, image_size: int, grid: int) -> Net:
    """The decoder of N prompts of P points each, M being 1 or N, L four times the grid.

    ``image_embeddings`` (1, 256, grid, grid), ``point_coords`` (N, P, 2) as x, y in pixels of the
    model's square, ``point_labels`` (N, P) int32: 1 in, 0 out, 2 and 3 the corners of a box, -1
    the padding point; ``mask_input`` (M, 1, L, L) logits, ``has_mask_input`` (M,) 1 or 0
    -> ``low_res_masks`` (N, 4, L, L) logits, ``iou_predictions`` (N, 4).

    Args:
        weights: of the checkpoint.
        image_size: side of the model's square, in pixels.
        grid: side of the embedding, in tokens.
    """
    net = Net("sam_mask_decoder", weights)
    embedding = net.input("image_embeddings", FLOAT, (1, CHANNELS, grid, grid))
    coords = net.input("point_coords", FLOAT, ("prompts", "points", 2))
    labels = net.input("point_labels", INT32, ("prompts", "points"))
    mask = net.input("mask_input", FLOAT, ("masks", 1, 4 * grid, 4 * grid))
    has_mask = net.input("has_mask_input", FLOAT, ("masks",))

    with net.scope("prompt_encoder"):
        sparse = _embed_points(net, coords, labels, image_size)
        dense = _embed_mask(net, mask, has_mask)
        image_pe = net.constant("dense_pe", _dense_pe(net, grid))

    with net.scope("mask_decoder"):
        keys = net.reshape(net.add(embedding, dense), 0, CHANNELS, grid * grid)
        keys = net.transpose(keys, 0, 2, 1)
        tokens = _tokens(net, sparse)
        queries, keys = _two_way_transformer(net, tokens, keys, image_pe)
        logits = _masks(net, queries, keys, grid)
        with net.scope("iou_prediction_head"):
            iou_token = net.op("Gather", queries, net.constant("first", np.array(0)), axis=1)
            for layer, outputs in enumerate((CHANNELS, CHANNELS, MASK_TOKENS)):
                iou_token = net.linear(iou_token, f"layers.{layer}", CHANNELS, outputs)
                iou_token = net.relu(iou_token) if layer < 2 else iou_token
    side = 4 * grid
    net.output("low_res_masks", logits, ("prompts", MASK_TOKENS, side, side))
    net.output("iou_predictions", iou_token, ("prompts", MASK_TOKENS))
    return net


# The prompt encoder


def _embed_points(net: Net, coords: ir.Value, labels: ir.Value, image_size: int) -> ir.Value:
    """Random Fourier features of the pixel's centre plus what the label says: (N, P, 256)."""
    with net.scope("pe_layer"):
        matrix = net.weight("positional_encoding_gaussian_matrix", 2, CHANNELS // 2)
        centre = net.add(coords, net.scalar(0.5))
        unit = net.op("Sub", net.mul(centre, net.scalar(2.0 / image_size)), net.scalar(1.0))
        turns = net.matmul(unit, net.constant("positional_encoding_gaussian_matrix", matrix))
        angle = net.mul(turns, net.scalar(float(np.float32(2 * np.pi))))
        features = net.op("Concat", net.op("Sin", angle), net.op("Cos", angle), axis=-1)
    # By label: -1 the padding point (which has no place), 0 out, 1 in, 2 and 3 box corners.
    names = ["not_a_point_embed", *(f"point_embeddings.{i}" for i in range(4))]
    table = np.concatenate([net.weight(f"{name}.weight", 1, CHANNELS) for name in names])
    with net.scope("point_embeddings"):
        minus_one = net.constant("padding_label", np.array(-1, np.int32))
        index = net.op("Sub", labels, minus_one)
        meaning = net.op("Gather", net.constant("weight", table), index, axis=0)
        placed = net.op("Cast", net.op("Greater", labels, minus_one), to=int(FLOAT))
        placed = net.op("Unsqueeze", placed, net.ints((-1,)))
        return net.add(net.mul(features, placed), meaning)


def _embed_mask(net: Net, mask: ir.Value, has_mask: ir.Value) -> ir.Value:
    """The mask given as logits, or the learned embedding of none: (M, 256, grid, grid)."""
    with net.scope("mask_downscaling"):
        x = net.conv(
            mask, "0", net.weight("0.weight", 4, 1, 2, 2), net.weight("0.bias", 4), stride=2
        )
        x = net.gelu(net.layer_norm_2d(x, "1", 4))
        x = net.conv(
            x, "3", net.weight("3.weight", 16, 4, 2, 2), net.weight("3.bias", 16), stride=2
        )
        x = net.gelu(net.layer_norm_2d(x, "4", 16))
        weight, bias = net.weight("6.weight", CHANNELS, 16, 1, 1), net.weight("6.bias", CHANNELS)
        x = net.conv(x, "6", weight, bias)
    with net.scope("no_mask_embed"):
        learned = net.weight("weight", 1, CHANNELS).reshape(1, CHANNELS, 1, 1)
        nothing = net.constant("weight", learned)
        has_mask = net.reshape(has_mask, -1, 1, 1, 1)
        lacks_mask = net.op("Sub", net.scalar(1.0), has_mask)
        return net.add(net.mul(x, has_mask), net.mul(nothing, lacks_mask))


def _dense_pe(net: Net, grid: int) -> NDArray[np.float32]:
    """The positional encoding of the grid's cells: (1, cells, 256)."""
    name = "pe_layer.positional_encoding_gaussian_matrix"
    matrix = net.weight(name, 2, CHANNELS // 2).astype(np.float64)
    centres = (np.arange(grid) + 0.5) / grid * 2 - 1
    # Not a matmul: sums of two products are rounded alike on every machine this way.
    turns = centres[None, :, None] * matrix[0] + centres[:, None, None] * matrix[1]
    encoding = np.concatenate([sin_two_pi(turns), cos_two_pi(turns)], axis=-1)
    return encoding.reshape(1, grid * grid, CHANNELS).astype(np.float32)


# The mask decoder


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
    net: Net, tokens: ir.Value, keys: ir.Value, image_pe: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Tokens attend to themselves and to the picture, the picture to the tokens, twice."""
    queries = tokens
    with net.scope("transformer"):
        for layer in range(LAYERS):
            with net.scope(f"layers.{layer}"):
                queries, keys = _two_way_block(
                    net, queries, keys, tokens, image_pe, first=layer == 0
                )
        attended = _attention(
            net,
            "final_attn_token_to_image",
            net.add(queries, tokens),
            net.add(keys, image_pe),
            keys,
        )
        return net.layer_norm(net.add(queries, attended), "norm_final_attn", CHANNELS), keys


def _two_way_block(
    net: Net,
    queries: ir.Value,
    keys: ir.Value,
    tokens: ir.Value,
    image_pe: ir.Value,
    *,
    first: bool,
) -> tuple[ir.Value, ir.Value]:
    if first:  # no positions and no residual: the queries are the tokens themselves
        queries = _attention(net, "self_attn", queries, queries, queries, width=CHANNELS)
    else:
        placed = net.add(queries, tokens)
        attended = _attention(net, "self_attn", placed, placed, queries, width=CHANNELS)
        queries = net.add(queries, attended)
    queries = net.layer_norm(queries, "norm1", CHANNELS)

    placed, placed_keys = net.add(queries, tokens), net.add(keys, image_pe)
    attended = _attention(net, "cross_attn_token_to_image", placed, placed_keys, keys)
    queries = net.layer_norm(net.add(queries, attended), "norm2", CHANNELS)

    with net.scope("mlp"):
        hidden = net.relu(net.linear(queries, "lin1", CHANNELS, MLP_WIDTH))
        hidden = net.linear(hidden, "lin2", MLP_WIDTH, CHANNELS)
    queries = net.layer_norm(net.add(queries, hidden), "norm3", CHANNELS)

    placed = net.add(queries, tokens)
    attended = _attention(net, "cross_attn_image_to_token", placed_keys, placed, queries)
    return queries, net.layer_norm(net.add(keys, attended), "norm4", CHANNELS)


def _attention(
    net: Net, name: str, q: ir.Value, k: ir.Value, v: ir.Value, *, width: int = CHANNELS // 2
) -> ir.Value:
    """Multi-head attention; a batch of 1 on one side is shared by the other side's N."""
    head = width // HEADS
    with net.scope(name):
        with net.scope("q_proj"):
            scale = attention_scale(head)
            weight, bias = net.weight("weight", width, CHANNELS), net.weight("bias", width)
            q = net.matmul(q, net.constant("weight", weight.T * scale))
            q = net.add(q, net.constant("bias", bias * scale))
        k = net.linear(k, "k_proj", CHANNELS, width)
        v = net.linear(v, "v_proj", CHANNELS, width)
        q = net.transpose(net.reshape(q, 0, -1, HEADS, head), 0, 2, 1, 3)
        k = net.transpose(net.reshape(k, 0, -1, HEADS, head), 0, 2, 3, 1)
        v = net.transpose(net.reshape(v, 0, -1, HEADS, head), 0, 2, 1, 3)
        x = net.transpose(net.attention(q, k, v), 0, 2, 1, 3)
        return net.linear(net.reshape(x, 0, -1, width), "out_proj", width, CHANNELS)


def _masks(net: Net, queries: ir.Value, keys: ir.Value, grid: int) -> ir.Value:
    """Upscale the picture's tokens fourfold, multiply with each mask token: (N, 4, L, L).

    A transposed convolution of kernel 2 and stride 2 is a product of each token with its weights,
    so the channels stay last, LayerNorm2d is a plain LayerNorm, and only the finished one-channel
    logits are shuffled into place: from (row, column, 2, 2, 2, 2) to (row 2 2, column 2 2).
    """
    with net.scope("output_upscaling"):
        x = _upscale(net, keys, "0", CHANNELS, CHANNELS // 4)
        x = net.gelu(net.layer_norm(x, "1", CHANNELS // 4, eps=1e-6))
        x = net.gelu(_upscale(net, x, "3", CHANNELS // 4, CHANNELS // 8))
        x = net.reshape(x, 0, 16 * grid * grid, -1)
    with net.scope("output_hypernetworks_mlps"):
        tokens = net.op(
            "Slice", queries, net.ints((1,)), net.ints((1 + MASK_TOKENS,)), net.ints((1,))
        )
        hyper = net.reshape(tokens, 0, MASK_TOKENS, 1, CHANNELS)
        # The four networks, one per token, in one product.
        for layer, outputs in enumerate((CHANNELS, CHANNELS, CHANNELS // 8)):
            names = [f"{token}.layers.{layer}" for token in range(MASK_TOKENS)]
            weight = np.stack([net.weight(f"{n}.weight", outputs, CHANNELS).T for n in names])
            bias = np.stack([net.weight(f"{n}.bias", outputs)[None] for n in names])
            with net.scope(f"layers.{layer}"):
                hyper = net.matmul(hyper, net.constant("weight", weight))
                hyper = net.add(hyper, net.constant("bias", bias))
                hyper = net.relu(hyper) if layer < 2 else hyper
        hyper = net.reshape(hyper, 0, MASK_TOKENS, -1)
        logits = net.matmul(hyper, net.transpose(x, 0, 2, 1))
        logits = net.reshape(logits, -1, grid, grid, 2, 2, 2, 2)
        logits = net.transpose(logits, 0, 1, 3, 5, 2, 4, 6)
        return net.reshape(logits, -1, MASK_TOKENS, 4 * grid, 4 * grid)


def _upscale(net: Net, x: ir.Value, name: str, inputs: int, outputs: int) -> ir.Value:
    """ConvTranspose2d of kernel 2, stride 2 on (N, tokens, inputs) -> (N, 4 tokens, outputs)."""
    with net.scope(name):
        weight = net.weight("weight", inputs, outputs, 2, 2)
        flat = weight.transpose(0, 2, 3, 1).reshape(inputs, 4 * outputs)
        x = net.matmul(x, net.constant("weight", flat))
        x = net.add(x, net.constant("bias", np.tile(net.weight("bias", outputs), 4)))
        return net.op("Reshape", x, net.ints((0, -1, outputs)))
