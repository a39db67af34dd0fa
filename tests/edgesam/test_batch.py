"""Several pictures at once: the same embeddings, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import ImageError, Window, embed_batch
from edgesam.bundle import Bundle
from edgesam.embedding import Tensor
from edgesam.engines import Graphs
from edgesam.engines.fake import FakeEngine, FakeSession

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]


class Several(FakeSession):
    """Remembers how many it was given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def encode_batch(self, images: Sequence[Tensor]) -> list[Any]:
        self.given.append(len(images))
        return [self.encode(np.asarray(image)) for image in images]


class Opens(FakeEngine):
    def __init__(self, session: FakeSession) -> None:
        self.session = session

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        return self.session


@pytest.mark.parametrize("session", [FakeSession(), Several()], ids=["one by one", "at once"])
def test_it_is_the_loop(make_bundle: Make, noise: Noise, session: FakeSession) -> None:
    sam = edgesam.load(make_bundle().path, engine=Opens(session))
    pictures = [noise(40 + number, 50, seed=number) for number in range(6)]
    found = embed_batch(sam, pictures)
    assert len(found) == len(pictures)
    for one, picture in zip(found, pictures, strict=True):
        wanted = sam.embed(picture)
        np.testing.assert_array_equal(one.array, wanted.array)
        assert (one.size, one.mapping) == (wanted.size, wanted.mapping)
    if isinstance(session, Several):
        assert session.given == [4, 2]


def test_a_window_is_that_of_all(make_bundle: Make, noise: Noise) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    pixels = noise(20, 30).astype(np.int16)
    found = embed_batch(sam, [pixels, pixels], Window(100, 50))
    assert {one.mapping for one in found} == {sam.embed(pixels, Window(100, 50)).mapping}


def test_none_and_what_is_no_picture(make_bundle: Make) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    assert embed_batch(sam, []) == []
    with pytest.raises(ImageError):
        embed_batch(sam, [np.zeros((3, 4, 5, 6), np.uint8)])
