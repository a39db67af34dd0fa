"""`fuse` beside attention written out as the papers have it. Needs PyTorch, which CI has not."""

from __future__ import annotations

from typing import Any

import pytest

from edgesam_bench.gpu.attention import fuse

torch: Any = pytest.importorskip("torch", reason="attention of PyTorch needs the package torch")

HEADS, CHANNELS, HEIGHT, WIDTH = 2, 16, 5, 5


class ViT(torch.nn.Module):  # type: ignore[misc]
    """Decomposed relative positions, query by query and key by key."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv = torch.nn.Linear(CHANNELS, 3 * CHANNELS)
        self.proj = torch.nn.Linear(CHANNELS, CHANNELS)
        each = CHANNELS // HEADS
        self.rel_pos_h = torch.nn.Parameter(torch.randn(2 * HEIGHT - 1, each))
        self.rel_pos_w = torch.nn.Parameter(torch.randn(2 * WIDTH - 1, each))

    def forward(self, x: Any) -> Any:
        batch, each = x.shape[0], CHANNELS // HEADS
        parts = self.qkv(x).reshape(batch, HEIGHT * WIDTH, 3, HEADS, each)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) / each**0.5
        for q in range(HEIGHT * WIDTH):
            for k in range(HEIGHT * WIDTH):
                rows = q // WIDTH - k // WIDTH + HEIGHT - 1
                columns = q % WIDTH - k % WIDTH + WIDTH - 1
                place = self.rel_pos_h[rows] + self.rel_pos_w[columns]
                scores[..., q, k] += query[..., q, :] @ place
        mixed = (scores.softmax(-1) @ value).transpose(1, 2)
        return self.proj(mixed.reshape(batch, HEIGHT, WIDTH, CHANNELS))


class TinyViT(torch.nn.Module):  # type: ignore[misc]
    """A bias for each head, query and key."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.key_dim, self.d, self.dh = HEADS, 4, 8, 8 * HEADS
        self.scale = self.key_dim**-0.5
        self.norm = torch.nn.LayerNorm(CHANNELS)
        self.qkv = torch.nn.Linear(CHANNELS, HEADS * 16)
        self.proj = torch.nn.Linear(self.dh, CHANNELS)
        self.attention_biases = torch.nn.Parameter(torch.randn(HEADS, 9))
        self.register_buffer("ab", torch.randn(HEADS, 9, 9))

    def forward(self, x: Any) -> Any:
        parts = self.qkv(self.norm(x)).view(len(x), 9, HEADS, 16)
        query, key, value = (part.transpose(1, 2) for part in parts.split([4, 4, 8], 3))
        shares = (query @ key.transpose(-2, -1) * self.scale + self.ab).softmax(-1)
        return self.proj((shares @ value).transpose(1, 2).reshape(len(x), 9, self.dh))


@pytest.mark.parametrize(
    ("make", "shape"), [(ViT, (2, HEIGHT, WIDTH, CHANNELS)), (TinyViT, (2, 9, CHANNELS))]
)
def test_fused_attention_is_the_same(make: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(make())
    tokens = torch.randn(shape)
    with torch.no_grad():
        expected = network(tokens)
        assert fuse(torch, network) == 1
        torch.testing.assert_close(network(tokens), expected, rtol=1e-5, atol=1e-5)
