"""TinyViT's attention inside windows of tokens, with a learned bias per offset. Knows no stage.

Only the picture's own tokens pass through the linear layers. Windows are made of pieces: the
queries, keys or values of one token in one head. A token of zeros gives those of all the padding.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import Net, attention_scale

HEAD_WIDTH = 32  # of every attention, in TinyViT's three published sizes


def window_attention(net: Net, x: ir.Value, side: int, window: int, channels: int) -> ir.Value:
    """Attention inside windows of ``window`` squared tokens; (1, side, side, C) to the same.

    The padding at the bottom and the right is made of zeros *before* the norm and takes part in
    the attention, as in the official code.
    """
    heads, tokens = channels // HEAD_WIDTH, side * side
    bias = net.constant("bias_of_offsets", bias_of_offsets(net, window, heads))
    where = f"[{side},{window},{heads}]"
    places = _places(side, window)
    x = net.reshape(x, tokens, channels)
    if side % window:
        zeros = net.shared(f"zeros[{channels}]", np.zeros((1, channels), np.float32))
        x = net.op("Concat", x, zeros, axis=0)
    x = _queries_keys_values(net, net.layer_norm(x, "norm", channels), channels)

    # One Gather instead of padding, splitting and transposing: pieces lie in one row each.
    x = net.reshape(x, -1, HEAD_WIDTH)
    queries = net.shared(f"queries{where}", _pieces(places, 3 * heads, heads))
    q, k, v = (
        net.op("Gather", x, net.add(queries, net.shared(f"int32[{i}]", np.array(i, np.int32))))
        for i in (0, heads, 2 * heads)
    )
    x = net.attention(q, net.transpose(k, 0, 1, 3, 2), v, bias)

    x = net.reshape(x, -1, HEAD_WIDTH)
    x = net.op("Gather", x, net.shared(f"tokens{where}", _back(places, tokens, heads)))
    x = net.linear(net.reshape(x, tokens, channels), "proj", channels, channels)
    return net.reshape(x, 1, side, side, channels)


def _queries_keys_values(net: Net, x: ir.Value, channels: int) -> ir.Value:
    """(tokens, C) -> (tokens, 3 C): queries, scaled, keys and values, each of all heads."""
    heads, width = channels // HEAD_WIDTH, HEAD_WIDTH
    # The checkpoint's rows are (head, [q k v], width); ours ([q k v], head, width).
    weight = net.weight("qkv.weight", 3 * channels, channels)
    bias = net.weight("qkv.bias", 3 * channels)
    weight = weight.reshape(heads, 3, width, channels).transpose(1, 0, 2, 3).copy()
    bias = bias.reshape(heads, 3, width).transpose(1, 0, 2).copy()
    weight[0] *= attention_scale(width)
    bias[0] *= attention_scale(width)
    with net.scope("qkv"):
        x = net.matmul(x, net.constant("weight", weight.reshape(3 * channels, channels).T))
        return net.add(x, net.constant("bias", bias.reshape(-1)))


def _places(side: int, window: int) -> NDArray[np.int64]:
    """The token at each place of each window, row by row: (windows, window squared).

    Padding is the token after the last.
    """
    count = -(-side // window)
    padded = np.full((count * window, count * window), side * side, np.int64)
    padded[:side, :side] = np.arange(side * side).reshape(side, side)
    windows = padded.reshape(count, window, count, window).transpose(0, 2, 1, 3)
    return np.asarray(windows.reshape(count * count, window * window))


def _pieces(places: NDArray[np.int64], step: int, heads: int) -> NDArray[np.int32]:
    """(windows, heads, tokens): where each head's first piece of a token lies, ``step`` in each."""
    return (places[:, None] * step + np.arange(heads)[:, None]).astype(np.int32)


def _back(places: NDArray[np.int64], tokens: int, heads: int) -> NDArray[np.int32]:
    """(tokens, heads): where in (windows, heads, tokens of a window) a token's pieces ended up."""
    windows, size = places.shape
    pieces = np.arange(windows * heads * size).reshape(windows, heads, size)
    back = np.empty((places.max() + 1, heads), np.int32)
    back[places] = pieces.transpose(0, 2, 1)
    return back[:tokens]


def bias_of_offsets(net: Net, window: int, heads: int) -> NDArray[np.float32]:
    """The learned biases spread over all pairs of tokens of a window: (heads, tokens, tokens).

    The official code numbers the offsets (|dy|, |dx|) in the order in which pairs of tokens,
    row by row, first show them; for the window's first token that is simply row by row.
    """
    biases = net.weight("attention_biases", heads, window * window)
    y, x = np.divmod(np.arange(window * window), window)
    offsets = np.abs(y[:, None] - y) * window + np.abs(x[:, None] - x)
    return np.ascontiguousarray(biases[:, offsets])
