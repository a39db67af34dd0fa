"""edgesam as a contender: what a call of it is done with when it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import edgesam
from edgesam.bundle import Bundle
from edgesam_bench.gpu.contender import TOGETHER, EdgeSam, material

from ..device_engine import DeviceFake
from .conftest import small


@pytest.fixture
def engine() -> DeviceFake:
    return DeviceFake()


@pytest.fixture
def ours(make_bundle: Callable[..., Bundle], engine: DeviceFake) -> Iterator[EdgeSam]:
    folder = make_bundle(model="mobile-sam").path
    with edgesam.load(folder, engine=engine, device="cuda") as sam:
        yield EdgeSam(sam, "device", small(material(frames=1)))


def test_a_call_of_several_pictures_ends_when_all_embeddings_are_there(
    ours: EdgeSam, engine: DeviceFake
) -> None:
    before = len(engine.late)
    embeddings: Any = ours.encode_batch()
    assert len(embeddings) == TOGETHER
    made = engine.late[before:]
    assert [what for what, _ in made].count("image_side") == TOGETHER
    assert all(late.waited for _, late in made)


def test_it_begins_with_prepared_pictures_and_no_two_are_the_same(
    ours: EdgeSam, engine: DeviceFake
) -> None:
    before = len(engine.done)
    arrays = [embedding.array for embedding in ours.encode_batch()]  # type: ignore[attr-defined]
    assert "prepare" not in engine.done[before:]
    assert len({array.tobytes() for array in arrays}) == TOGETHER
    np.testing.assert_array_equal(arrays[0], ours.embedding())
