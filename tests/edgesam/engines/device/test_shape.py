"""Where a call's tensors lie in its two blocks: apart, aligned, each with an address."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam.engines.device.shape import ALIGNMENT, Shape
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import finished_bytes

FRAME = MaskFrame(256, (256, 200), (511, 397))


@pytest.mark.parametrize("counts", [(1, 2, 1), (4, 64, 4), (1, 0, 1), (3, 1, 2)])
@pytest.mark.parametrize("frame", [None, FRAME])
def test_pieces_are_apart_and_aligned(
    counts: tuple[int, int, int], frame: MaskFrame | None
) -> None:
    prompts, points, tokens = counts
    shape = Shape(prompts, points, tokens, 256, frame, 1.0)
    up = [tokens * 8, prompts * points * 8, prompts * points * 4]
    finished = finished_bytes(prompts * tokens, frame.size) if frame else 0
    down = [prompts * 16, prompts * tokens * 256 * 256 * 4, finished]
    for layout, sizes in ((shape.up, up), (shape.down, down)):
        assert list(layout.sizes) == sizes
        assert all(start % ALIGNMENT == 0 for start in layout.starts)
        ends = [start + size for start, size in zip(layout.starts, sizes, strict=True)]
        assert all(end <= start for end, start in zip(ends, layout.starts[1:], strict=False))
        assert layout.starts[-1] < layout.nbytes
        assert ends[-1] <= layout.nbytes
        assert len(set(layout.starts)) == 3, "what is empty has an address, too"


def test_pieces_are_views() -> None:
    shape = Shape(1, 2, 3, 256, None, 1.0)
    block = np.zeros(shape.up.nbytes, np.uint8)
    shape.up.piece(block, 0, np.int64)[:] = (1, 2, 3)
    shape.up.piece(block, 1, np.float32)[:] = 5
    assert block[:24].view(np.int64).tolist() == [1, 2, 3]
    assert shape.up.piece(block, 1, np.float32).tolist() == [5] * 4
    assert not shape.up.piece(block, 2, np.int32).any()
