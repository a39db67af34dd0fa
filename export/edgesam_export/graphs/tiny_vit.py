"""TinyViT as SAM's image encoder: picture -> embedding. Knows the layers, not the preprocessing.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (ECCV 2022),
figure 2, with MobileSAM's changes (Zhang et al. 2023): the last stage keeps the resolution of the
third, and SAM's neck ends it. MobileSAM (1024 pixels) and LiteMedSAM (256 pixels) differ in one
thing: the patch embedding's two convolutions are 3x3 with stride 2, or 1x1 with stride 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.neck import CHANNELS, neck
from edgesam_export.graphs.net import FLOAT, Net, attention_scale
from edgesam_export.graphs.weights import Weights

PREFIX = "image_encoder."
GRID = 64  # the embedding is 64 x 64 tokens, whatever the picture's size
HEAD_WIDTH = 32  # of every attention, in TinyViT's three published sizes
EXPANSION = 4  # of the MLPs and of the inverted bottlenecks, likewise
BATCH_NORM_EPS = 1e-5
# Nothing is laid out that is much more than what was published.
_WIDEST = 1024  # channels
_WIDEST_WINDOW = 32  # tokens

KEY = re.compile(r"image_encoder\.(patch_embed\.seq|layers\.\d+|neck|norm_head|head)\..+")
# Keys of the image encoder that it does not run: training's counters and the
# classifier of TinyViT's pretraining, an index that follows from the window's side.
UNUSED = re.compile(
    r"(.*\.num_batches_tracked|.*\.attention_bias_idxs|image_encoder\.(norm_)?head\.\w+)"
)


@dataclass(frozen=True)
class TinyViT:
    """What is read off a checkpoint's shapes.

    Attributes:
        patch_kernel: of the two convolutions of the patch embedding: 3 (stride 2) or 1 (stride 1).
        depths: blocks of each of the four stages; the first stage is convolutional.
        windows: side of the attention windows of stages 1, 2, 3, in tokens.
        widths: channels of the four stages.
    """

    patch_kernel: int
    depths: tuple[int, int, int, int]
    windows: tuple[int, int, int]
    widths: tuple[int, int, int, int]

    @property
    def patch_stride(self) -> int:
        return 2 if self.patch_kernel == 3 else 1

    @property
    def grid(self) -> int:
        """Side of the embedding, in tokens."""
        return GRID

    @property
    def image_size(self) -> int:
        """Side of the input in pixels: the patch embedding, then two halvings, end at the grid."""
        return int(GRID * self.patch_stride**2 * 4)

    @property
    def working_memory(self) -> int:
        """Bytes that a picture surely takes beside the weights: two of the largest values."""
        return 2 * 4 * EXPANSION * self.widths[0] * (4 * GRID) ** 2


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> TinyViT | None:
    """The TinyViT whose weights these are, or None."""
    patch = shapes.get(f"{PREFIX}patch_embed.seq.0.c.weight")
    if patch is None or len(patch) != 4 or patch[-1] not in (1, 3):
        return None

    def depth(stage: int) -> int:
        block = re.compile(rf"{re.escape(PREFIX)}layers\.{stage}\.blocks\.(\d{{1,3}})\.")
        found = (int(match[1]) for match in map(block.match, shapes) if match)
        return 1 + max(found, default=0)

    def window(stage: int) -> int:
        # One learned bias per offset (|dy|, |dx|) inside a window: side * side of them.
        names = (f"layers.{stage}.blocks.{i}.attn.attention_biases" for i in range(depth(stage)))
        found = (math.isqrt(shape[-1]) for n in names if (shape := shapes.get(PREFIX + n)))
        sides = [side for side in found if 0 < side <= _WIDEST_WINDOW]
        return max(sides, key=sides.count, default=1)

    def width(last_convolution: str) -> int:
        name = f"{PREFIX}{last_convolution}"
        shape = shapes.get(f"{name}.bn.weight") or shapes.get(f"{name}.c.weight")
        return min(shape[0], _WIDEST) if shape else 0

    return TinyViT(
        patch_kernel=patch[-1],
        depths=(depth(0), depth(1), depth(2), depth(3)),
        windows=(window(1), window(2), window(3)),
        widths=(
            width("patch_embed.seq.2"),
            width("layers.0.downsample.conv3"),
            width("layers.1.downsample.conv3"),
            width("layers.2.downsample.conv3"),
        ),
    )


def build(arch: TinyViT, weights: Weights) -> Net:
    """The graph ``image`` (1, 3, S, S) float32 -> ``image_embeddings`` (1, 256, 64, 64) float32."""
    net = Net("tiny_vit_image_encoder", weights, PREFIX)
    side = arch.image_size
    x = net.input("image", FLOAT, (1, 3, side, side))

    x = _patch_embedding(net, x, arch)
    for block in range(arch.depths[0]):
        with net.scope(f"layers.0.blocks.{block}"):
            x = _mb_conv(net, x, arch.widths[0])
    side = GRID * 4
    for stage in (1, 2, 3):
        # Stage 3 keeps the 64 x 64 grid: MobileSAM's change, the merge before it has stride 1.
        stride = 1 if stage == 3 else 2
        with net.scope(f"layers.{stage - 1}.downsample"):
            x = _patch_merging(net, x, arch.widths[stage - 1], arch.widths[stage], stride)
        side //= stride
        x = net.transpose(x, 0, 2, 3, 1)
        for block in range(arch.depths[stage]):
            with net.scope(f"layers.{stage}.blocks.{block}"):
                x = _tiny_vit_block(net, x, side, arch.windows[stage - 1], arch.widths[stage])
        x = net.transpose(x, 0, 3, 1, 2)
    x = neck(net, x, arch.widths[-1])
    net.output("image_embeddings", x, (1, CHANNELS, GRID, GRID))
    return net


def _conv_bn(
    net: Net, x: ir.Value, name: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1
) -> ir.Value:
    """Convolution and BatchNorm, folded into one convolution in double precision."""
    with net.scope(name):
        weight = net.weight("c.weight", outputs, inputs, kernel, kernel).astype(np.float64)
        gamma, beta = net.weight("bn.weight", outputs), net.weight("bn.bias", outputs)
        mean = net.weight("bn.running_mean", outputs)
        variance = net.weight("bn.running_var", outputs)
        if (variance < 0).any():
            raise net.fault("bn.running_var", "has a negative variance: the checkpoint is damaged")
        factor = gamma / np.sqrt(variance.astype(np.float64) + BATCH_NORM_EPS)
        weight = weight * factor[:, None, None, None]
        bias = beta - mean * factor
        with np.errstate(over="ignore"):
            folded = weight.astype(np.float32), bias.astype(np.float32)
        if not all(np.isfinite(array).all() for array in folded):
            raise net.fault("c.weight", "is too large for its norm: the checkpoint is damaged")
    return net.conv(
        x,
        name,
        *folded,
        stride=stride,
        pad=kernel // 2,
        groups=outputs if inputs == 1 else 1,  # one input: depthwise
    )


def _patch_embedding(net: Net, x: ir.Value, arch: TinyViT) -> ir.Value:
    """(1, 3, S, S) -> (1, 64, 256, 256)."""
    kernel, stride, width = arch.patch_kernel, arch.patch_stride, arch.widths[0]
    with net.scope("patch_embed"):
        x = net.gelu(_conv_bn(net, x, "seq.0", 3, width // 2, kernel, stride))
        return _conv_bn(net, x, "seq.2", width // 2, width, kernel, stride)


def _mb_conv(net: Net, x: ir.Value, width: int) -> ir.Value:
    """MobileNet's inverted bottleneck with GELU, closed by GELU after the residual."""
    hidden = EXPANSION * width
    y = net.gelu(_conv_bn(net, x, "conv1", width, hidden))
    y = net.gelu(_conv_bn(net, y, "conv2", 1, hidden, kernel=3))
    y = _conv_bn(net, y, "conv3", hidden, width)
    return net.gelu(net.add(y, x))


def _patch_merging(net: Net, x: ir.Value, inputs: int, outputs: int, stride: int) -> ir.Value:
    """(1, inputs, H, W) -> (1, outputs, H / stride, W / stride)."""
    x = net.gelu(_conv_bn(net, x, "conv1", inputs, outputs))
    x = net.gelu(_conv_bn(net, x, "conv2", 1, outputs, kernel=3, stride=stride))
    return _conv_bn(net, x, "conv3", outputs, outputs)


def _tiny_vit_block(net: Net, x: ir.Value, side: int, window: int, width: int) -> ir.Value:
    """Window attention, depthwise convolution, MLP, on (1, side, side, width)."""
    with net.scope("attn"):
        x = net.add(x, _windowed(net, x, side, window, width))
    x = net.transpose(x, 0, 3, 1, 2)
    x = _conv_bn(net, x, "local_conv", 1, width, kernel=3)
    x = net.transpose(x, 0, 2, 3, 1)
    with net.scope("mlp"):
        y = net.layer_norm(x, "norm", width)
        y = net.gelu(net.linear(y, "fc1", width, EXPANSION * width))
        return net.add(x, net.linear(y, "fc2", EXPANSION * width, width))


def _windowed(net: Net, x: ir.Value, side: int, window: int, channels: int) -> ir.Value:
    """Attention inside windows of ``window`` squared tokens; (1, side, side, C) to the same.

    The padding at the bottom and the right is made of zeros *before* the norm and takes part in
    the attention, as in the official code.
    """
    bias = _bias_of_offsets(net, window, channels // HEAD_WIDTH)
    count = -(-side // window)
    padded = count * window
    if padded != side:
        x = net.op("Pad", x, net.ints((0, 0, 0, 0, 0, padded - side, padded - side, 0)))
    x = net.reshape(x, count, window, count, window, channels)
    x = net.transpose(x, 0, 2, 1, 3, 4)
    x = net.reshape(x, count * count, window * window, channels)
    x = _attention(net, x, bias, channels)
    x = net.reshape(x, count, count, window, window, channels)
    x = net.transpose(x, 0, 2, 1, 3, 4)
    x = net.reshape(x, 1, padded, padded, channels)
    if padded != side:
        x = net.op("Slice", x, net.ints((0, 0)), net.ints((side, side)), net.ints((1, 2)))
    return x


def _attention(net: Net, x: ir.Value, bias_of_offsets: NDArray[Any], channels: int) -> ir.Value:
    """Multi-head attention with a learned bias per offset, on (windows, tokens, channels)."""
    heads, tokens, _ = bias_of_offsets.shape
    width = HEAD_WIDTH
    x = net.layer_norm(x, "norm", channels)

    # The checkpoint's rows are (head, [q k v], width); ours ([q k v], head, width), queries scaled.
    weight = net.weight("qkv.weight", 3 * channels, channels)
    bias = net.weight("qkv.bias", 3 * channels)
    weight = weight.reshape(heads, 3, width, channels).transpose(1, 0, 2, 3).copy()
    bias = bias.reshape(heads, 3, width).transpose(1, 0, 2).copy()
    weight[0] *= attention_scale(width)
    bias[0] *= attention_scale(width)
    with net.scope("qkv"):
        packed = net.matmul(x, net.constant("weight", weight.reshape(3 * channels, channels).T))
        packed = net.add(packed, net.constant("bias", bias.reshape(-1)))
        q, k, v = net.ops("Split", 3, packed, axis=-1, num_outputs=3)
        q = net.transpose(net.reshape(q, -1, tokens, heads, width), 0, 2, 1, 3)
        k = net.transpose(net.reshape(k, -1, tokens, heads, width), 0, 2, 3, 1)
        v = net.transpose(net.reshape(v, -1, tokens, heads, width), 0, 2, 1, 3)

    x = net.attention(q, k, v, net.constant("bias_of_offsets", bias_of_offsets))
    x = net.reshape(net.transpose(x, 0, 2, 1, 3), -1, tokens, channels)
    return net.linear(x, "proj", channels, channels)


def _bias_of_offsets(net: Net, window: int, heads: int) -> NDArray[np.float32]:
    """The learned biases spread over all pairs of tokens of a window: (heads, tokens, tokens).

    The official code numbers the offsets (|dy|, |dx|) in the order in which pairs of tokens,
    row by row, first show them; for the window's first token that is simply row by row.
    """
    biases = net.weight("attention_biases", heads, window * window)
    y, x = np.divmod(np.arange(window * window), window)
    offsets = np.abs(y[:, None] - y) * window + np.abs(x[:, None] - x)
    return np.ascontiguousarray(biases[:, offsets])
