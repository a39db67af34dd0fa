"""The attentions of SAM's two-way transformer, rearranged for few tokens and many cells.

segment-anything's ``modeling/transformer.py``, ``Attention``: q, k and v are projected to 128 or
256 channels of 8 heads. T is the number of tokens (5 and the prompt's), C that of the picture's
cells (4,096). Projecting all cells costs C * 256 * 128 products; since T is small, the weights of
the picture's side are applied to the tokens instead, which changes nothing but the order of sums:

    (q Wq) (x Wk)^T = (q Wq Wk^T) x^T        softmax(..) (x Wv) = (softmax(..) x) Wv

A head's weights sum to one over what is attended to, so that a bias of the values may be added
after, and one behind them (spread over the heads) before. A bias of k adds the same to all scores
of a query, which softmax does not see. Call inside the scope of the attention's module.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam_export.graphs.net import Net, attention_scale
from edgesam_export.graphs.prompt_encoder import CHANNELS

HEADS = 8
WIDTH = CHANNELS // 2  # of the attentions between tokens and cells
HEAD = WIDTH // HEADS


def project(net: Net, x: ir.Value, name: str, width: int = WIDTH) -> ir.Value:
    """One of q, k, v: (N, X, 256) -> (N, X, width)."""
    return net.linear(x, name, CHANNELS, width)


def scaled_q(net: Net, x: ir.Value, width: int = WIDTH) -> ir.Value:
    """q, already divided by the root of a head's width: (N, X, 256) -> (N, X, width)."""
    weight, bias = _scaled_q(net, width)
    with net.scope("q_proj"):
        q = net.matmul(x, net.constant("weight", weight.T))
        return net.add(q, net.constant("bias", bias))


def self_attention(net: Net, placed: ir.Value, tokens: ir.Value) -> ir.Value:
    """Tokens (N, T, 256) to themselves; ``placed`` are those that queries and keys are made of."""
    head = CHANNELS // HEADS
    q = _heads(net, scaled_q(net, placed, CHANNELS), head)
    k = net.reshape(project(net, placed, "k_proj", CHANNELS), 0, -1, HEADS, head)
    v = _heads(net, project(net, tokens, "v_proj", CHANNELS), head)
    x = net.attention(q, net.transpose(k, 0, 2, 3, 1), v)
    return net.linear(_beside(net, x, CHANNELS), "out_proj", CHANNELS, CHANNELS)


def tokens_to_projected(net: Net, tokens: ir.Value, k: ir.Value, v: ir.Value) -> ir.Value:
    """Tokens (N, T, 256) to cells whose k (M, 8, 16, C) and v (M, 8, C, 16) are known."""
    x = net.attention(_heads(net, scaled_q(net, tokens)), k, v)
    return net.linear(_beside(net, x), "out_proj", WIDTH, CHANNELS)


def tokens_to_cells(net: Net, tokens: ir.Value, placed: ir.Value, cells: ir.Value) -> ir.Value:
    """Tokens (N, T, 256) to cells (N, C, 256); ``placed`` are those that keys are made of."""
    q = _heads(net, scaled_q(net, tokens))
    with net.scope("k_proj"):
        net.weight("bias", WIDTH)  # softmax does not see it
        weight = net.weight("weight", WIDTH, CHANNELS).reshape(1, HEADS, HEAD, CHANNELS)
        q = net.reshape(net.matmul(q, net.constant("weight", weight)), 0, -1, CHANNELS)
    # Scores of cells by tokens, turned: engines take the other order for one head's attention.
    scores = net.matmul(placed, net.transpose(q, 0, 2, 1))
    x = net.matmul(net.softmax(net.transpose(scores, 0, 2, 1)), cells)  # (N, 8 T, 256)
    with net.scope("v_proj"):
        weight = net.weight("weight", WIDTH, CHANNELS).reshape(1, HEADS, HEAD, CHANNELS)
        x = net.reshape(x, 0, HEADS, -1, CHANNELS)
        x = net.matmul(x, net.constant("weight", weight.transpose(0, 1, 3, 2)))
        x = net.add(_beside(net, x), net.constant("bias", net.weight("bias", WIDTH)))
    return net.linear(x, "out_proj", WIDTH, CHANNELS)


def projected_to_tokens(net: Net, q: ir.Value, placed: ir.Value, tokens: ir.Value) -> ir.Value:
    """Cells whose queries q (M, C, 128) are known to tokens (N, T, 256): (N, C, 256).

    Args:
        net: the graph.
        q: scaled.
        placed: the tokens that keys are made of.
        tokens: those that values are made of.
    """
    k = net.transpose(project(net, placed, "k_proj"), 0, 2, 1)
    # Each head's keys in rows of their own, zeros elsewhere: one product for all heads.
    own = np.repeat(np.eye(HEADS, dtype=np.float32), HEAD, axis=0).reshape(1, WIDTH, HEADS, 1)
    k = net.mul(net.reshape(k, 0, WIDTH, 1, -1), net.constant("own_head", own))
    return _cells_attend(net, net.matmul(q, net.reshape(k, 0, WIDTH, -1)), tokens)


def cells_to_tokens(
    net: Net, placed_cells: ir.Value, placed: ir.Value, tokens: ir.Value
) -> ir.Value:
    """Cells (N, C, 256) to tokens (N, T, 256): (N, C, 256); see :func:`projected_to_tokens`."""
    k = net.reshape(project(net, placed, "k_proj"), 0, -1, HEADS, HEAD)
    k = net.transpose(k, 0, 2, 3, 1)  # (N, 8, 16, T)
    weight, bias = _scaled_q(net, WIDTH)
    with net.scope("q_proj"):
        by_head = weight.T.reshape(1, CHANNELS, HEADS, HEAD).transpose(0, 2, 1, 3)
        folded = net.matmul(net.constant("weight", by_head), k)  # (N, 8, 256, T)
        folded = net.reshape(net.transpose(folded, 0, 2, 1, 3), 0, CHANNELS, -1)
        shift = net.matmul(net.constant("bias", bias.reshape(1, HEADS, 1, HEAD)), k)
        shift = net.reshape(shift, 0, 1, -1)  # differs from token to token: softmax sees it
    return _cells_attend(net, net.add(net.matmul(placed_cells, folded), shift), tokens)


def _cells_attend(net: Net, scores: ir.Value, tokens: ir.Value) -> ir.Value:
    """softmax over T of scores (N, C, 8 T), then values of tokens and the output projection."""
    v = _heads(net, project(net, tokens, "v_proj"))
    with net.scope("out_proj"):
        weight = net.weight("weight", CHANNELS, WIDTH).T.reshape(1, HEADS, HEAD, CHANNELS)
        v = net.matmul(v, net.constant("weight", weight))
        v = net.add(v, net.constant("bias", net.weight("bias", CHANNELS) / np.float32(HEADS)))
        v = net.reshape(v, 0, -1, CHANNELS)  # (N, 8 T, 256)
    weights = net.softmax(net.reshape(scores, 0, 0, HEADS, -1))
    return net.matmul(net.reshape(weights, 0, 0, -1), v)


def _scaled_q(net: Net, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scale = np.float32(attention_scale(width // HEADS))
    with net.scope("q_proj"):
        return net.weight("weight", width, CHANNELS) * scale, net.weight("bias", width) * scale


def _heads(net: Net, x: ir.Value, head: int = HEAD) -> ir.Value:
    """(N, X, 8 head) -> (N, 8, X, head)."""
    return net.transpose(net.reshape(x, 0, -1, HEADS, head), 0, 2, 1, 3)


def _beside(net: Net, x: ir.Value, width: int = WIDTH) -> ir.Value:
    """(N, 8, X, head) -> (N, X, 8 head)."""
    return net.reshape(net.transpose(x, 0, 2, 1, 3), 0, -1, width)
