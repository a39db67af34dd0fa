"""A viewer's session over an engine that counts; what prefetching does is in test_prefetch."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Cine, EmbeddingCache, ImageError, Prompt, Sam, Session, Volume, Window
from edgesam.bundle import Bundle
from edgesam.cancel import Cancel
from edgesam.engines import Graphs
from edgesam.engines.fake import FakeEngine, FakeSession

Make = Callable[..., Bundle]
PATIENCE = 20.0
BOX = Prompt.box(1, 1, 4, 3)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "edgesam prefetch"]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert threads() == []


class Slow(FakeEngine):
    """Counts, and holds what it encodes until it is let go or told to end."""

    def __init__(self) -> None:
        self.encoded = 0
        self.told = 0
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        engine = self

        class Engine(FakeSession):
            def encode(
                self, image: NDArray[np.float32], cancel: Cancel | None = None
            ) -> NDArray[np.float32]:
                engine.begun.set()
                while not engine.go.wait(0.002) and not (cancel and cancel.told):
                    pass
                if cancel and cancel.told:
                    engine.told += 1
                    cancel.check()
                engine.encoded += 1
                return super().encode(image)

        return Engine()


@pytest.fixture
def engine() -> Slow:
    return Slow()


@pytest.fixture
def sam(make_bundle: Make, engine: Slow) -> Sam:
    return edgesam.load(make_bundle(model="lite-medsam").path, engine=engine)


@pytest.fixture
def volume() -> Volume:
    values = np.random.default_rng(3).integers(0, 900, (9, 6, 5), np.int16)
    return Volume.from_array(values, np.eye(4)[[2, 1, 0, 3]])


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_what_was_looked_at_costs_a_click_only(sam: Sam, engine: Slow, volume: Volume) -> None:
    with Session(sam, volume, Window(400, 800)) as session:
        assert len(session) == 9
        assert threads() == []
        session.look(4)
        wait_for(lambda: all(session.ready(index) for index in range(3, 9)))
        encoded = engine.encoded
        for index in (4, 5, 6):
            ours = session.segment(index, BOX)
            theirs = sam.segment(sam.embed(volume.slice(index), Window(400, 800)), BOX)
            np.testing.assert_array_equal(ours.array, theirs.array)
            assert ours.provenance == theirs.provenance
            assert ours.place is not None
        assert engine.encoded == encoded + 3  # those of sam.embed here
        assert len(session.segment(5, BOX, True)) == 3
        assert session.segment(5, BOX, select="best").score == np.float32(0.8)


def test_without_a_look_it_is_encoded_now(sam: Sam, engine: Slow, volume: Volume) -> None:
    with Session(sam, volume) as session:
        np.testing.assert_array_equal(session.embedding(7).array, sam.embed(volume.slice(7)).array)
        assert session.ready(7)
        session.segment(7, BOX)
        assert engine.encoded == 2
        assert threads() == []


def test_a_jump_ends_the_encoding_of_a_neighbour(sam: Sam, engine: Slow, volume: Volume) -> None:
    with Session(sam, volume) as session:
        session.segment(1, BOX)
        engine.begun.clear()
        engine.go.clear()
        session.look(1)
        assert engine.begun.wait(PATIENCE), "the neighbour is being encoded"
        session.look(8)
        wait_for(lambda: engine.told == 1)
        engine.go.set()
        session.segment(8, BOX)
        assert session.ready(8)


def test_a_click_that_is_near_ends_the_encoding_of_a_neighbour(
    sam: Sam, engine: Slow, volume: Volume
) -> None:
    with Session(sam, volume) as session:
        session.segment(1, BOX)
        engine.begun.clear()
        engine.go.clear()
        session.look(1)
        assert engine.begun.wait(PATIENCE), "the neighbour is being encoded"
        session.rest(PATIENCE)
        wait_for(lambda: engine.told == 1)
        engine.go.set()
        session.segment(1, BOX)
        assert engine.encoded == 1


def test_closing_does_not_wait_for_the_engine(sam: Sam, engine: Slow, volume: Volume) -> None:
    engine.go.clear()
    with Session(sam, volume) as session:
        session.look(0)
        assert engine.begun.wait(PATIENCE)
    assert threads() == []
    assert engine.encoded == 0
    with pytest.raises(ValueError, match="closed"):
        session.look(0)


def test_one_that_was_let_go_ends(sam: Sam, volume: Volume) -> None:
    session = Session(sam, volume)
    session.look(0)
    (thread,) = threads()
    del session
    gc.collect()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_two_sessions_share_a_cache(sam: Sam, engine: Slow, volume: Volume) -> None:
    cache = EmbeddingCache()
    for _ in range(2):
        with Session(sam, volume, cache=cache, seconds=0) as session:
            session.look(2)
            session.segment(2, BOX)
    assert engine.encoded == 1


def test_a_slice_that_cannot_be_read(sam: Sam, volume: Volume, tmp_path: Path) -> None:
    good = np.arange(30).reshape(5, 6)
    with Session(sam, [good, tmp_path / "nothing.png", good * 2.0]) as session:
        session.look(1)
        wait_for(lambda: session.ready(2))
        with pytest.raises(ImageError, match="nothing"):
            session.segment(1, BOX)
        session.segment(0, BOX)


def test_a_cine(sam: Sam, make_cine: Callable[..., Cine]) -> None:
    with Session(sam, make_cine()) as session:
        place = session.embedding(3).place
        assert place is not None
        assert place.frame == 3


def test_what_no_session_can_be_of(sam: Sam, volume: Volume) -> None:
    with pytest.raises(TypeError, match="back and forth"):
        Session(sam, volume.slices())
    with pytest.raises(ImageError, match="no such file"):
        Session(sam, "/there/is/nothing")
    with Session(sam, volume) as session, pytest.raises(IndexError, match="there are 9"):
        session.look(9)
