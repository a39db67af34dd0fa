"""The mistakes made on purpose are the ones they are named for."""

from __future__ import annotations

import numpy as np

from edgesam_bench.vit_controls import CONTROLS

BLOCK = "image_encoder.blocks.0.attn."
WEIGHTS = {
    "image_encoder.pos_embed": np.arange(24.0).reshape(1, 2, 3, 4),
    f"{BLOCK}rel_pos_h": np.ones((3, 2)),
    f"{BLOCK}rel_pos_w": np.full((3, 2), 2.0),
    f"{BLOCK}qkv.weight": np.full((6, 2), 3.0),
}


def changed(control: str) -> dict[str, np.ndarray]:
    """What is no longer as it was."""
    found = CONTROLS[control](WEIGHTS)
    assert list(found) == list(WEIGHTS)
    return {key: found[key] for key in found if not np.array_equal(found[key], WEIGHTS[key])}


def test_no_relative_positions() -> None:
    found = changed("no-rel-pos")
    assert set(found) == {f"{BLOCK}rel_pos_h", f"{BLOCK}rel_pos_w"}
    assert not any(array.any() for array in found.values())


def test_relative_positions_swapped() -> None:
    found = changed("rel-pos-swapped")
    assert (found[f"{BLOCK}rel_pos_h"] == 2).all()
    assert (found[f"{BLOCK}rel_pos_w"] == 1).all()


def test_absolute_positions_transposed() -> None:
    (found,) = changed("pos-embed-transposed").values()
    assert np.array_equal(found, WEIGHTS["image_encoder.pos_embed"].swapaxes(1, 2))
