"""Attention of the official networks through PyTorch's fused one. Knows ViT's and TinyViT's.

The official code writes attention out, and so keeps PyTorch from its fastest kernels: beside it
anyone is fast. Relative positions go in as a mask that is added.
"""

from __future__ import annotations

from types import MethodType
from typing import Any


def fuse(torch: Any, encoder: Any) -> int:
    """Replace how each attention below a module computes; how many there were.

    Args:
        torch: the module.
        encoder: with its weights, in float32; its type and device may change afterwards.
    """
    count = 0
    for module in encoder.modules():
        if hasattr(module, "rel_pos_h"):
            for axis in "hw":
                table = _table(torch, getattr(module, f"rel_pos_{axis}").detach())
                module.register_buffer(f"table_{axis}", table, persistent=False)
            module.forward = MethodType(_vit(torch), module)
        elif hasattr(module, "attention_biases"):
            module.forward = MethodType(_tiny_vit(torch), module)
        else:
            continue
        count += 1
    return count


def _table(torch: Any, positions: Any) -> Any:
    """(side, side, channels) of relative positions (2 side - 1, channels): query, key."""
    side = (positions.shape[0] + 1) // 2
    places = torch.arange(side)
    return positions[places[:, None] - places[None, :] + side - 1].contiguous()


def _vit(torch: Any) -> Any:
    attend = torch.nn.functional.scaled_dot_product_attention

    def forward(self: Any, tokens: Any) -> Any:
        batch, height, width, _ = tokens.shape
        parts = self.qkv(tokens).reshape(batch, height * width, 3, self.num_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        grid = query.reshape(batch, self.num_heads, height, width, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, self.table_h)
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, self.table_w)
        bias = (rows[..., :, None] + columns[..., None, :]).reshape(
            batch, self.num_heads, height * width, height * width
        )
        mixed = attend(query, key, value, attn_mask=bias)
        return self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))

    return forward


def _tiny_vit(torch: Any) -> Any:
    attend = torch.nn.functional.scaled_dot_product_attention

    def forward(self: Any, tokens: Any) -> Any:
        batch, count, _ = tokens.shape
        parts = self.qkv(self.norm(tokens)).view(batch, count, self.num_heads, -1)
        query, key, value = (
            part.transpose(1, 2) for part in parts.split([self.key_dim, self.key_dim, self.d], 3)
        )
        bias = self.ab[None].to(query.dtype)
        mixed = attend(query, key, value, attn_mask=bias, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, self.dh))

    return forward
