"""SAM's prompt encoder: points, boxes and masks -> embeddings. Knows no attention and no pixels.

Kirillov et al., "Segment Anything" (2023), appendix A, and segment-anything's
``modeling/prompt_encoder.py``. A box is two points of labels 2 and 3. Names in a graph are those
of the checkpoint: call inside no scope.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.norm import layer_norm_2d
from edgesam_export.graphs.position import cos_two_pi, sin_two_pi

CHANNELS = 256


def embed_points(net: Net, coords: ir.Value, labels: ir.Value, image_size: int) -> ir.Value:
    """Random Fourier features of the pixel's centre plus what the label says: (N, P, 256)."""
    with net.scope("prompt_encoder.pe_layer"):
        matrix = net.weight("positional_encoding_gaussian_matrix", 2, CHANNELS // 2)
        centre = net.add(coords, net.scalar(0.5))
        unit = net.op("Sub", net.mul(centre, net.scalar(2.0 / image_size)), net.scalar(1.0))
        turns = net.matmul(unit, net.constant("positional_encoding_gaussian_matrix", matrix))
        angle = net.mul(turns, net.scalar(float(np.float32(2 * np.pi))))
        features = net.op("Concat", net.op("Sin", angle), net.op("Cos", angle), axis=-1)
    # By label: -1 the padding point (which has no place), 0 out, 1 in, 2 and 3 box corners.
    names = ["not_a_point_embed", *(f"point_embeddings.{i}" for i in range(4))]
    with net.scope("prompt_encoder"):
        table = np.concatenate([net.weight(f"{name}.weight", 1, CHANNELS) for name in names])
    with net.scope("prompt_encoder.point_embeddings"):
        minus_one = net.constant("padding_label", np.array(-1, np.int32))
        index = net.op("Sub", labels, minus_one)
        meaning = net.op("Gather", net.constant("weight", table), index, axis=0)
        placed = net.op("Cast", net.op("Greater", labels, minus_one), to=int(FLOAT))
        placed = net.op("Unsqueeze", placed, net.ints((-1,)))
        return net.add(net.mul(features, placed), meaning)


def embed_mask(net: Net, mask: ir.Value, has_mask: ir.Value) -> ir.Value:
    """The mask given as logits, or the learned embedding of none: (M, 256, grid, grid)."""
    with net.scope("prompt_encoder.mask_downscaling"):
        x = net.conv(
            mask, "0", net.weight("0.weight", 4, 1, 2, 2), net.weight("0.bias", 4), stride=2
        )
        x = net.gelu(layer_norm_2d(net, x, "1", 4))
        x = net.conv(
            x, "3", net.weight("3.weight", 16, 4, 2, 2), net.weight("3.bias", 16), stride=2
        )
        x = net.gelu(layer_norm_2d(net, x, "4", 16))
        weight, bias = net.weight("6.weight", CHANNELS, 16, 1, 1), net.weight("6.bias", CHANNELS)
        x = net.conv(x, "6", weight, bias)
    with net.scope("prompt_encoder.no_mask_embed"):
        learned = net.weight("weight", 1, CHANNELS).reshape(1, CHANNELS, 1, 1)
        nothing = net.constant("weight", learned)
        has_mask = net.reshape(has_mask, -1, 1, 1, 1)
        lacks_mask = net.op("Sub", net.scalar(1.0), has_mask)
        return net.add(net.mul(x, has_mask), net.mul(nothing, lacks_mask))


def dense_pe(net: Net, grid: int) -> ir.Value:
    """The positional encoding of the grid's cells: (1, cells, 256)."""
    with net.scope("prompt_encoder"):
        return net.constant("dense_pe", encoding_of_cells(net, grid))


def encoding_of_cells(net: Net, grid: int) -> NDArray[np.float32]:
    """Values of :func:`dense_pe`, the same bits on every machine."""
    name = "pe_layer.positional_encoding_gaussian_matrix"
    matrix = net.weight(name, 2, CHANNELS // 2).astype(np.float64)
    centres = (np.arange(grid) + 0.5) / grid * 2 - 1
    # Not a matmul: sums of two products are rounded alike on every machine this way.
    turns = centres[None, :, None] * matrix[0] + centres[:, None, None] * matrix[1]
    encoding = np.concatenate([sin_two_pi(turns), cos_two_pi(turns)], axis=-1)
    return encoding.reshape(1, grid * grid, CHANNELS).astype(np.float32)
