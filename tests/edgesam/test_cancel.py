"""Calls on other threads that are told to end, real engines among them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import EmbeddingCache
from edgesam.cancel import Cancel, Cancelled
from edgesam.engines import ENGINES
from edgesam.prepared import prepare

PATIENCE = 60.0


def test_told_before_during_and_after() -> None:
    cancel, ways = Cancel(), []
    with cancel.by(lambda: ways.append("too early")):
        pass
    cancel.check()
    with cancel.by(lambda: ways.append("outer")):
        with cancel.by(lambda: ways.append("inner")):
            cancel.tell()
        assert ways == ["outer", "inner"]
    assert cancel.told
    with cancel.by(lambda: ways.append("later")):
        pass
    assert ways == ["outer", "inner", "later"]
    with pytest.raises(Cancelled):
        cancel.check()


def test_no_way_is_called_when_its_call_is_over() -> None:
    """The next call may use the same request already."""
    cancel, entered, over = Cancel(), threading.Event(), threading.Event()

    def way() -> None:
        entered.set()
        assert not over.wait(0.05)

    def call() -> None:
        with cancel.by(way):
            assert entered.wait(PATIENCE)
        over.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not cancel._ways:
        pass
    cancel.tell()
    thread.join(PATIENCE)
    assert over.is_set()


class Watched(Cancel):
    """Says when a call could be told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.over = threading.Event(), threading.Event()

    @contextmanager
    def by(self, way: Callable[[], object]) -> Iterator[None]:
        with super().by(way):
            self.begun.set()
            yield
            assert self.over.wait(PATIENCE)  # an engine on a GPU does not wait for what it gives


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_engines_end_their_encoding_and_compute_the_same_after(
    name: str, lite_bundle: Path, noise: Callable[..., NDArray[np.uint8]]
) -> None:
    if (reason := ENGINES[name].available()) is not None:
        pytest.skip(reason)
    with edgesam.load(lite_bundle, engine=name) as sam:
        prepared = prepare(noise(64, 64), None, sam.manifest)
        cancel, cache = Watched(), EmbeddingCache()
        teller = threading.Thread(
            target=lambda: (cancel.begun.wait(PATIENCE), cancel.tell(), cancel.over.set())
        )
        teller.start()
        with pytest.raises(Cancelled):
            cache.encode(sam, prepared, cancel)
        teller.join()
        with pytest.raises(Cancelled):
            sam.encode(prepared, cancel)
        first = cache.encode(sam, prepared, Cancel())
        assert cache.misses == 1
        np.testing.assert_array_equal(first.array, sam.encode(prepared).array)
