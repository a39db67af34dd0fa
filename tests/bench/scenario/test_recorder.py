"""Each read, preparation and encoding is seen with its picture's number; nothing stays changed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

import edgesam
import edgesam.prepared
import edgesam.sam
import edgesam.session
import edgesam.streaming
from edgesam import Prompt
from edgesam.bundle import Bundle
from edgesam.session import Session
from edgesam_bench.scenario.recorder import Recorder, recorded, watching
from edgesam_bench.scenario.scene import Scene
from edgesam_bench.scenario.source import Source
from edgesam_bench.scenario.timeline import Timeline

from ..device_engine import DeviceFake
from .conftest import PATIENCE, Held

BOX = Prompt.box(2, 2, 20, 20)
MAKING = ("read", "prepare", "encode", "side")


def seen(scene: Scene, index: int, stage: str) -> list[tuple[bool, bool]]:
    spans = [s for s in scene.timeline.spans if (s.stage, s.index) == (stage, index)]
    return [(span.ahead, span.cancelled) for span in spans]


def test_a_loop(scene: Scene) -> None:
    for index in (3, 5):
        embedding = scene.sam.embed(scene.frames.frame(index))
        with scene.recorder.click(index):
            scene.sam.segment(embedding, BOX)
    assert [(s.stage, s.index) for s in scene.timeline.spans] == [
        (stage, index) for index in (3, 5) for stage in (*MAKING, "decode", "click")
    ]
    assert not any(span.ahead or span.cancelled for span in scene.timeline.spans)


def test_a_stream(scene: Scene) -> None:
    for embedding in edgesam.stream(scene.sam, scene.frames):
        assert embedding.size == (24, 32)
    for index in range(len(scene.frames)):
        assert [seen(scene, index, stage) for stage in MAKING] == [[(True, False)]] * 4


def test_on_a_device(make_bundle: Callable[..., Bundle], source: Source) -> None:
    """What prepares and finishes there does so, once, and each is one span of its picture's."""
    engine, recorder = DeviceFake(), Recorder(Timeline())
    with edgesam.load(make_bundle().path, engine=engine, device="cuda") as sam:
        frames = recorded(source, recorder)
        with watching(sam, recorder):
            for index, embedding in enumerate(edgesam.stream(sam, frames, every=5)):
                with recorder.click(5 * index):
                    sam.segment(embedding, BOX)
    for index in (0, 5, 10, 15):
        spans = [span.stage for span in recorder.timeline.spans if span.index == index]
        assert spans == [*MAKING, "decode", "click"]
    assert [engine.done.count(what) for what in ("prepare", "finish", "decode")] == [4, 4, 0]


def test_a_session_and_what_it_tells_to_end(scene: Scene, engine: Held) -> None:
    engine.holds = True
    with Session(scene.sam, scene.frames) as session:
        session.look(4)
        assert engine.begun.wait(PATIENCE)
        assert scene.timeline.under_way() == {4}
        with scene.recorder.click(9):
            session.segment(9, BOX)
        engine.holds = False
        until = time.monotonic() + PATIENCE
        while not session.ready(4):
            assert time.monotonic() < until
            time.sleep(0.001)
    assert seen(scene, 4, "encode")[:2] == [(True, True), (True, False)]
    assert seen(scene, 9, "encode") == [(False, False)]
    assert seen(scene, 9, "click") == [(False, False)]


def test_the_same_embeddings_as_unwatched(scene: Scene) -> None:
    watched = scene.sam.embed(scene.frames.frame(2))
    picture = scene.source.readers[2]()
    with watching(scene.sam, Recorder(Timeline())):
        pass  # it is put back to what it was, which here is watched
    session = scene.sam._open
    prepared = edgesam.prepared.prepare(picture, None, scene.sam.manifest)
    plain = session._session.encode(prepared.network)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(watched.array, plain)


def test_everything_is_put_back_even_after_an_error(scene: Scene) -> None:
    modules = (edgesam.sam, edgesam.session, edgesam.streaming)
    before = (scene.sam._session, *(module.prepare for module in modules))
    with watching(scene.sam, Recorder(Timeline())):
        assert scene.sam._session is not before[0]
        assert all(m.prepare is not p for m, p in zip(modules, before[1:], strict=True))
    with pytest.raises(ZeroDivisionError), watching(scene.sam, Recorder(Timeline())):
        raise ZeroDivisionError
    assert (scene.sam._session, *(module.prepare for module in modules)) == before
