"""segment-anything's ``LayerNorm2d``, which stands in its neck and in its prompt encoder."""

from __future__ import annotations

import onnx_ir as ir

from edgesam_export.graphs.net import Net


def layer_norm_2d(net: Net, x: ir.Value, name: str, channels: int) -> ir.Value:
    """Over the channels of (N, C, H, W)."""
    with net.scope(name):
        nhwc = net.transpose(x, 0, 2, 3, 1)
    normed = net.layer_norm(nhwc, name, channels, eps=1e-6)
    with net.scope(name):
        return net.transpose(normed, 0, 3, 1, 2)
