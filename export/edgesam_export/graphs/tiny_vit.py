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

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.neck import CHANNELS, neck
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.graphs.window_attention import window_attention

PREFIX = "image_encoder."
GRID = 64  # the embedding is 64 x 64 tokens, whatever the picture's size
EXPANSION = 4  # of the MLPs and of the inverted bottlenecks, likewise
BATCH_NORM_EPS = 1e-5
# The first stage's expanded values would be 64 MiB each: so many channels are made and used up at
# a time, and a GELU or a depthwise convolution finds them in the cache.
_PART = 64
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
        """Bytes that a picture surely takes beside the weights: the largest MLP's values before
        and after GELU.
        """
        return 2 * 4 * EXPANSION * self.widths[1] * (2 * GRID) ** 2

    @property
    def for_gpu(self) -> TinyViT:
        """The same: nothing of it is cut."""
        return self


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
        stride, width = 1 if stage == 3 else 2, arch.widths[stage]
        with net.scope(f"layers.{stage - 1}.downsample"):
            part = _PART if stage == 1 else _WIDEST
            x = _patch_merging(net, x, arch.widths[stage - 1], width, stride, part)
        side //= stride
        x = net.transpose(x, 0, 2, 3, 1)
        for block in range(arch.depths[stage]):
            with net.scope(f"layers.{stage}.blocks.{block}"):
                x = _tiny_vit_block(net, x, side, arch.windows[stage - 1], width)
        x = net.transpose(x, 0, 3, 1, 2)
    x = neck(net, x, arch.widths[-1])
    net.output("image_embeddings", x, (1, CHANNELS, GRID, GRID))
    return net


def _folded(
    net: Net, name: str, inputs: int, outputs: int, kernel: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Convolution and BatchNorm as one convolution's weight and bias, in double precision."""
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
    return folded


def _conv_bn(
    net: Net, x: ir.Value, name: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1
) -> ir.Value:
    """Convolution and BatchNorm; of one input, which is a depthwise convolution."""
    weight, bias = _folded(net, name, inputs, outputs, kernel)
    groups = outputs if inputs == 1 else 1
    return net.conv(x, name, weight, bias, stride=stride, pad=kernel // 2, groups=groups)


def _patch_embedding(net: Net, x: ir.Value, arch: TinyViT) -> ir.Value:
    """(1, 3, S, S) -> (1, 64, 256, 256)."""
    kernel, stride, width = arch.patch_kernel, arch.patch_stride, arch.widths[0]
    with net.scope("patch_embed"):
        x = net.gelu(_conv_bn(net, x, "seq.0", 3, width // 2, kernel, stride))
        return _conv_bn(net, x, "seq.2", width // 2, width, kernel, stride)


def _mb_conv(net: Net, x: ir.Value, width: int) -> ir.Value:
    """MobileNet's inverted bottleneck with GELU, closed by GELU after the residual."""
    return net.gelu(_bottleneck(net, x, (width, EXPANSION * width, width), 1, _PART, x))


def _patch_merging(
    net: Net, x: ir.Value, inputs: int, outputs: int, stride: int, part: int
) -> ir.Value:
    """(1, inputs, H, W) -> (1, outputs, H / stride, W / stride)."""
    return _bottleneck(net, x, (inputs, outputs, outputs), stride, part)


def _bottleneck(
    net: Net,
    x: ir.Value,
    widths: tuple[int, int, int],
    stride: int,
    part: int,
    onto: ir.Value | None = None,
) -> ir.Value:
    """1x1, GELU, depthwise 3x3, GELU, 1x1; the channels between them ``part`` at a time.

    Args:
        widths: channels before, between and after.
        onto: what the result is added to.
    """
    inputs, hidden, outputs = widths
    into = _folded(net, "conv1", inputs, hidden)
    deep = _folded(net, "conv2", 1, hidden, kernel=3)
    out, bias = _folded(net, "conv3", hidden, outputs)
    for start in range(0, max(hidden, 1), part):  # 0 as a damaged checkpoint says: told later
        some = slice(start, min(start + part, hidden))
        end = "" if part >= hidden else f".{start // part}"
        y = net.gelu(net.conv(x, f"conv1{end}", *(array[some] for array in into)))
        kernel, shift = (array[some] for array in deep)
        y = net.conv(y, f"conv2{end}", kernel, shift, stride=stride, pad=1, groups=len(shift))
        y = net.conv(net.gelu(y), f"conv3{end}", out[:, some], None if start else bias)
        onto = y if onto is None else net.add(y, onto)
    assert onto is not None
    return onto


def _tiny_vit_block(net: Net, x: ir.Value, side: int, window: int, width: int) -> ir.Value:
    """Window attention, depthwise convolution, MLP, on (1, side, side, width)."""
    with net.scope("attn"):
        x = net.add(x, window_attention(net, x, side, window, width))
    x = net.transpose(x, 0, 3, 1, 2)
    x = _conv_bn(net, x, "local_conv", 1, width, kernel=3)
    x = net.transpose(x, 0, 2, 3, 1)
    with net.scope("mlp"):
        y = net.layer_norm(x, "norm", width)
        y = net.gelu(net.linear(y, "fc1", width, EXPANSION * width))
        return net.add(x, net.linear(y, "fc2", EXPANSION * width, width))
