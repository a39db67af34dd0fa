"""SAM's neck, the end of every image encoder: the embedding's 256 channels. Knows no encoder."""

from __future__ import annotations

import onnx_ir as ir

from edgesam_export.graphs.net import Net
from edgesam_export.graphs.norm import layer_norm_2d

CHANNELS = 256  # of the embedding


def neck(net: Net, x: ir.Value, width: int) -> ir.Value:
    """(1, width, grid, grid) -> (1, 256, grid, grid)."""
    with net.scope("neck"):
        x = net.conv(x, "0", net.promise("0.weight", CHANNELS, width, 1, 1), None)
        x = layer_norm_2d(net, x, "1", CHANNELS)
        x = net.conv(x, "2", net.promise("2.weight", CHANNELS, CHANNELS, 3, 3), None, pad=1)
        return layer_norm_2d(net, x, "3", CHANNELS)
