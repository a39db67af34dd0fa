"""Random weights, and what is stored of the official networks' answers with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_bench.random_golden import network_prompts, read_random_golden
from edgesam_bench.random_weights import GENTLE, PEAKED, Recipe, random_state_dict

FOLDER = Path(__file__).parent.parent / "golden"

GOLDENS = ["lite_medsam", "mobile_sam", "sam_vit_gentle", "sam_vit_peaked"]
RUNNING_VAR = [1.2392700910568237, 0.9484086036682129]


@pytest.mark.parametrize("name", GOLDENS)
def test_its_embeddings_neither_vanish_nor_blow_up(name: str) -> None:
    golden = read_random_golden(FOLDER / f"tiny_{name}.npz")
    assert 0.5 < golden.embedding.std() < 2
    assert len(golden.logits) == 6
    for logits in golden.logits.values():
        assert 1 < logits.std() < 20
        assert 0.1 < (logits > 0).mean() < 0.9


def test_weights_are_the_same_bits_everywhere() -> None:
    shapes = {"a.weight": (3, 2), "a.running_var": (2,), "a.num_batches_tracked": ()}
    weights = random_state_dict(shapes, seed=1)
    assert [float(v) for v in weights["a.running_var"]] == RUNNING_VAR
    assert weights["a.num_batches_tracked"].dtype == np.int64
    assert weights["a.weight"].dtype == np.float32


def test_a_key_keeps_its_values_when_others_change() -> None:
    alone = random_state_dict({"a.weight": (3, 2)}, seed=1)
    beside = random_state_dict({"b.weight": (9,), "a.weight": (3, 2)}, seed=1)
    other = random_state_dict({"a.weight": (3, 2)}, seed=2)
    assert np.array_equal(alone["a.weight"], beside["a.weight"])
    assert not np.array_equal(alone["a.weight"], other["a.weight"])


@pytest.mark.parametrize("recipe", [PEAKED, GENTLE])
def test_a_vit_has_its_recipes_gains(recipe: Recipe) -> None:
    shapes = {
        "image_encoder.pos_embed": (1, 64, 64, 16),
        "image_encoder.blocks.0.attn.rel_pos_h": (127, 64),
        "image_encoder.blocks.0.attn.qkv.weight": (384, 128),
        "image_encoder.blocks.0.mlp.lin1.weight": (512, 128),
    }
    spread = [w.std() for w in random_state_dict(shapes, 1, recipe).values()]
    unit = 128**-0.5
    expected = [recipe.pos_embed, recipe.rel_pos, recipe.attention * unit, recipe.gain * unit]
    assert spread == pytest.approx(expected, rel=0.02)


def test_the_recipe_leaves_the_decoder_alone() -> None:
    shapes = {
        "mask_decoder.iou_prediction_head.layers.0.weight": (8, 8),
        "mask_tokens.weight": (4, 8),
    }
    peaked, plain = (random_state_dict(shapes, 1, *r) for r in ([PEAKED], []))
    assert all(np.array_equal(peaked[key], plain[key]) for key in shapes)


def test_a_small_decoder_is_given_the_same_picture_of_a_mask() -> None:
    large, small = (network_prompts(128, low)["logits"].mask for low in (256, 32))
    assert large is not None
    assert small is not None
    assert (large.shape, small.shape) == ((256, 256), (32, 32))
    blocks = large.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    assert np.abs(blocks - small).mean() < 0.5
