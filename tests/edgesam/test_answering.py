"""From prompts to masks: which masks of an answer are taken, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import Mask, Prompt
from edgesam.answering import answers
from edgesam.embedding import Embedding
from edgesam.engines import Answer, Prompts
from edgesam.models import SAM
from edgesam.preprocess import fit_of
from edgesam.selection import Select, Selection
from edgesam_kernels.cpu import finish
from edgesam_kernels.finish import MaskFrame

HELD = np.zeros((1, 256, 64, 64), np.float32)
EMBEDDING = Embedding(HELD, (HELD,), fit_of(40, 60, 1024, SAM), "encoder", "as stored")
PROMPTS = [Prompt.box(1, 2, 30, 20), Prompt.point(5, 5), Prompt.box(0, 0, 9, 9)]


def ask(finishes: bool) -> Callable[..., Answer]:
    def call(_: Embedding, prompts: Prompts, tokens: Sequence[int], frame: MaskFrame) -> Answer:
        count = len(prompts.coords)
        draw = np.random.default_rng(int(prompts.coords.sum() * 10))
        logits = draw.normal(0, 3, (count, 4, 256, 256)).astype(np.float32)[:, list(tokens)]
        iou: NDArray[np.float32] = draw.random((count, 4)).astype(np.float32)
        flat = np.ascontiguousarray(logits.reshape(-1, 256, 256))
        return Answer(logits, iou, finish(flat, frame) if finishes else None)

    return call


@pytest.mark.parametrize("select", ["single", "best", "stability", 2, None])
def test_masks_are_the_same_whoever_made_them(make_bundle: Any, select: Select | None) -> None:
    manifest = make_bundle().manifest
    made: list[list[tuple[Mask, ...]]] = []
    for finishes in (False, True):
        arguments: Any = EMBEDDING, PROMPTS, Selection(select), manifest, None, ask(finishes)
        made.append(list(answers(*arguments)))
    assert [len(masks) for masks in made[0]] == [3 if select is None else 1] * 3
    for one, other in zip(*made, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a.logits, b.logits)
            assert a.score == b.score
            assert (a.array != b.array).sum() <= 2, "closer to 0 than float32 rounds"
            assert a.array.any()
