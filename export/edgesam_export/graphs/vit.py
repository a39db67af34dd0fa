"""SAM's ViT as image encoder: picture -> embedding. Knows the layers, not the preprocessing.

Kirillov et al., "Segment Anything" (2023), appendix A, after Li et al., "Exploring Plain Vision
Transformer Backbones for Object Detection" (2022), and segment-anything's
``modeling/image_encoder.py``: attention inside windows, in four blocks over the whole grid, with
decomposed relative positions (Li et al., "MViTv2", 2022, eq. 4) added to the scores.

Written for memory, exactly: scores of the whole grid are never formed at once but for some rows
of queries, positions are added to them as two small factors, and the tokens that pad windows are
not projected. For a GPU nothing is cut into rows: what is saved there are launches, and compilers
know an attention by its whole form; and it takes several pictures at once, which lie before windows
and heads in the one leading dimension of an attention, whose size is left open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgesam_export.graphs.neck import CHANNELS, neck
from edgesam_export.graphs.net import FLOAT, Net, attention_scale
from edgesam_export.graphs.weights import Weights

PREFIX = "image_encoder."
IMAGES = "images"  # the dimension that is open for a GPU
PATCH = 16  # pixels
EXPANSION = 4  # of the MLPs
EPS = 1e-6
_MOST = 256  # tokens on a side, of the grid or a window: four times what anyone has trained

KEY = re.compile(r"image_encoder\.(pos_embed|patch_embed\.proj\.\w+|(blocks|neck)\.\d+\..+)")
UNUSED = re.compile(r"(?!)")  # its encoder runs all it has

# Bytes of scores of the whole grid, and of the MLP's hidden layer, that exist at a time: more cost
# memory and leave the processor's last cache, fewer cost calls.
_BLOCK = 16 << 20


@dataclass(frozen=True)
class ViT:
    """What is read off a checkpoint's shapes.

    Attributes:
        width: channels of a token.
        heads: of every attention.
        depth: blocks.
        window: side of the attention windows, in tokens; 0 where no block has any.
        global_blocks: those that attend to the whole grid.
        grid: side of the picture, in tokens.
        uncut: whether it is written for a GPU.
    """

    width: int
    heads: int
    depth: int
    window: int
    global_blocks: frozenset[int]
    grid: int
    uncut: bool = False

    @property
    def for_gpu(self) -> ViT:
        """The same network."""
        return replace(self, uncut=True)

    @property
    def image_size(self) -> int:
        """Side of the input, in pixels."""
        return PATCH * self.grid

    @property
    def working_memory(self) -> int:
        """Bytes that a picture surely takes beside the weights: 30 times its tokens."""
        return 30 * 4 * self.grid**2 * self.width

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> ViT | None:
    """The ViT whose weights these are, or None."""
    match shapes.get(f"{PREFIX}pos_embed"):
        case (1, grid, int(), width) if 0 < grid <= _MOST and width > 0:
            pass
        case _:
            return None
    block = re.compile(rf"{re.escape(PREFIX)}blocks\.(\d{{1,3}})\.")
    depth = 1 + max((int(m[1]) for m in map(block.match, shapes) if m), default=-1)
    sides: dict[int, int] = {}
    head_width = 0
    for index in range(depth):
        # One learned vector per offset along an axis, -(side - 1) .. side - 1.
        match shapes.get(f"{PREFIX}blocks.{index}.attn.rel_pos_h"):
            case (offsets, head_width) if 0 < offsets < 2 * _MOST:
                sides[index] = (offsets + 1) // 2
    if head_width < 1 or width % head_width:
        return None
    windows = [side for side in sides.values() if side != grid]
    other = 0 if windows else grid  # where a block does not say it
    return ViT(
        width=width,
        heads=width // head_width,
        depth=depth,
        window=max(windows, key=windows.count, default=0),
        global_blocks=frozenset(i for i in range(depth) if sides.get(i, other) == grid),
        grid=grid,
    )


def build(arch: ViT, weights: Weights) -> Net:
    """The graph ``image`` (N, 3, S, S) float32 -> ``image_embeddings`` (N, 256, G, G) float32.

    N is 1; for a GPU as many pictures as come.
    """
    net = Net("vit_image_encoder", weights, PREFIX)
    side, count = arch.image_size, IMAGES if arch.uncut else 1
    x = net.input("image", FLOAT, (count, 3, side, side))
    with net.scope("patch_embed"):
        weight = net.promise("proj.weight", arch.width, 3, PATCH, PATCH)
        x = net.conv(x, "proj", weight, net.promise("proj.bias", arch.width), stride=PATCH)
    x = net.transpose(x, 0, 2, 3, 1)
    place = net.promise("pos_embed", 1, arch.grid, arch.grid, arch.width)
    x = net.add(x, net.constant("pos_embed", place))
    for index in range(arch.depth):
        with net.scope(f"blocks.{index}"):
            x = _block(net, x, arch, windowed=index not in arch.global_blocks)
    x = neck(net, net.transpose(x, 0, 3, 1, 2), arch.width)
    net.output("image_embeddings", x, (count, CHANNELS, arch.grid, arch.grid))
    return net


def _block(net: Net, x: ir.Value, arch: ViT, *, windowed: bool) -> ir.Value:
    """Attention and MLP, each after a norm and beside a residual, on (N, grid, grid, width)."""
    y = net.layer_norm(x, "norm1", arch.width, EPS)
    with net.scope("attn"):
        if windowed:
            y = _windows(net, y, arch, arch.window)
        elif arch.uncut:
            y = _windows(net, y, arch, arch.grid)
        else:
            y = _whole_grid(net, y, arch)
        x = net.add(x, net.linear(y, "proj", arch.width, arch.width))
    y = net.layer_norm(x, "norm2", arch.width, EPS)
    hidden = EXPANSION * arch.width

    def mlp(rows: ir.Value) -> ir.Value:
        return net.linear(
            net.gelu(net.linear(rows, "lin1", arch.width, hidden)), "lin2", hidden, arch.width
        )

    with net.scope("mlp"):
        blocks = 1 if arch.uncut else _count(arch.grid, 4 * hidden * arch.grid)
        return net.add(x, _in_blocks(net, mlp, blocks, 1, y))


def _whole_grid(net: Net, x: ir.Value, arch: ViT) -> ir.Value:
    """Attention of all tokens to all, in blocks of rows of queries."""
    grid, heads, head = arch.grid, arch.heads, arch.head_width

    def part(name: str) -> ir.Value:
        y = net.add(*_projected(net, x, name, arch))
        return net.transpose(net.reshape(y, grid, grid, heads, head), 2, 0, 1, 3)

    with net.scope("qkv"):
        q, k, v = part("q"), part("k"), part("v")
        k = net.transpose(net.reshape(k, heads, grid * grid, head), 0, 2, 1)
        v = net.reshape(v, heads, grid * grid, head)

    def attended(queries: ir.Value, rows: ir.Value, columns: ir.Value) -> ir.Value:
        return _attended(net, (heads, -1, grid, head), queries, rows, columns, k, v)

    blocks = _count(grid, 4 * heads * grid**3)
    y = _in_blocks(net, attended, blocks, 1, q, *_positions(net, q, grid, head))
    return net.reshape(net.transpose(y, 1, 0, 2), 1, grid, grid, arch.width)


def _windows(net: Net, x: ir.Value, arch: ViT, window: int) -> ir.Value:
    """Attention inside windows, a row of them at a time; for a GPU all of them, of all pictures.

    Those at the bottom and the right are padded with zeros *after* the norm, which take part: as
    queries, keys and values they are the projection's bias, so that nothing has to be projected.
    """
    grid, heads, head = arch.grid, arch.heads, arch.head_width
    count = -(-grid // window)
    padded, batch = count * window, count * heads
    # Open sizes are pictures times what they are of one.
    rows_of_windows, every, one = (-1, -1, -1) if arch.uncut else (count, count * batch, 1)

    def part(name: str) -> ir.Value:
        y, bias = _projected(net, x, name, arch)
        if padded != grid:
            pads = (0, 0, 0, 0, 0, padded - grid, padded - grid, 0)
            y = net.op("Pad", y, net.ints(pads))
        y = net.reshape(net.add(y, bias), rows_of_windows, window, count, window, heads, head)
        y = net.transpose(y, 0, 2, 4, 1, 3, 5)
        return net.reshape(y, every, window, window, head)

    with net.scope("qkv"):
        q, k, v = part("q"), part("k"), part("v")
        k = net.transpose(net.reshape(k, every, window * window, head), 0, 2, 1)
        v = net.reshape(v, every, window * window, head)

    blocks, shape = count, (batch, -1, window, head)
    if arch.uncut:
        blocks, shape = 1, (-1, window * window, window, head)

    def attended(*rows: ir.Value) -> ir.Value:
        return _attended(net, shape, *rows)

    y = _in_blocks(net, attended, blocks, 0, q, *_positions(net, q, window, head), k, v)
    y = net.reshape(y, rows_of_windows, count, heads, window, window, head)
    y = net.transpose(y, 0, 3, 1, 4, 2, 5)
    y = net.reshape(y, one, padded, padded, arch.width)
    if padded != grid:
        y = net.op("Slice", y, net.ints((0, 0)), net.ints((grid, grid)), net.ints((1, 2)))
    return y


def _projected(net: Net, x: ir.Value, name: str, arch: ViT) -> tuple[ir.Value, ir.Value]:
    """The queries, keys or values, and the bias that is still to be added.

    The scale of the scores is in the keys: relative positions meet the queries unscaled.
    """
    width, index = arch.width, "qkv".index(name)
    scale = attention_scale(arch.head_width) if name == "k" else 1.0
    rows = slice(index * width, (index + 1) * width)
    weight = net.promise("weight", 3 * width, width).map(
        lambda w: w[rows].T * np.float32(scale), width, width
    )
    bias = net.promise("bias", 3 * width).map(lambda b: b[rows] * np.float32(scale), width)
    with net.scope(name):
        return net.matmul(x, net.constant("weight", weight)), net.constant("bias", bias)


def _positions(net: Net, q: ir.Value, side: int, head: int) -> tuple[ir.Value, ir.Value]:
    """What rows and columns of keys add to the scores of queries (B, side, side, head).

    Returns:
        Twice (B, side, side, side): by the key's row, and by its column.
    """
    rows = net.matmul(q, _relative(net, "rel_pos_h", side, head))
    columns = net.matmul(net.transpose(q, 0, 2, 1, 3), _relative(net, "rel_pos_w", side, head))
    return rows, net.transpose(columns, 0, 2, 1, 3)


def _relative(net: Net, name: str, side: int, head: int) -> ir.Value:
    """The learned vectors from each place of a query to each of a key: (side, head, side)."""
    places = np.arange(side)
    offsets = places[:, None] - places[None, :] + side - 1
    table = net.promise(name, 2 * side - 1, head)
    return net.constant(name, table.map(lambda t: t[offsets].transpose(0, 2, 1), side, head, side))


def _attended(
    net: Net,
    shape: tuple[int, int, int, int],
    q: ir.Value,
    rows: ir.Value,
    columns: ir.Value,
    k: ir.Value,
    v: ir.Value,
) -> ir.Value:
    """softmax(q k + positions) v for some rows of queries.

    Args:
        shape: heads in all windows, queries of each, side of the keys' square, width of a head;
            one of the first two is -1, open.
        q: (heads, n, side, width).
        rows: (heads, n, side, side), what the key's row adds.
        columns: (heads, n, side, side), what its column adds.
        k: (heads, width, side * side).
        v: (heads, side * side, width).

    Returns:
        (heads, n * side, width).
    """
    heads, queries, side, width = shape
    scores = net.matmul(net.reshape(q, heads, queries, width), k)
    scores = net.reshape(scores, heads, queries, side, side)
    scores = net.add(scores, net.reshape(rows, heads, queries, side, 1))
    scores = net.add(scores, net.reshape(columns, heads, queries, 1, side))
    scores = net.softmax(net.reshape(scores, heads, queries, side * side))
    return net.matmul(scores, v)


def _in_blocks(
    net: Net,
    function: Callable[..., ir.Value],
    blocks: int,
    axis: int,
    *values: ir.Value,
) -> ir.Value:
    """The function of one block of the values after the other, along an axis."""
    if blocks == 1:
        return function(*values)
    split = [net.ops("Split", blocks, y, axis=axis, num_outputs=blocks) for y in values]
    return net.op("Concat", *(function(*parts) for parts in zip(*split, strict=True)), axis=axis)


def _count(rows: int, row: int) -> int:
    """Into how many equal blocks rows of so many bytes are cut."""
    fitting = (n for n in range(1, rows) if rows % n == 0 and rows // n * row <= _BLOCK)
    return next(fitting, rows)
