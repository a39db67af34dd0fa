"""Streams over an engine that does what a test wants; that real engines let Python run."""

from __future__ import annotations

import _thread
import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import edgesam
from edgesam import Cine, EmbeddingCache, ImageError, Prompt, Sam, Volume, Window
from edgesam.bundle import Bundle
from edgesam.cancel import Cancel
from edgesam.embedding import finished
from edgesam.engines import ENGINES, Graphs
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.prepared import prepare

Make = Callable[..., Bundle]
Picture = NDArray[np.uint8]
PATIENCE = 20.0  # seconds until a test gives up on something that should have happened


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("edgesam ")]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert threads() == []


class Hooked(FakeEngine):
    """Calls ``hook`` with what it encodes, before it does."""

    def __init__(self) -> None:
        self.hook: Callable[[NDArray[np.float32]], object] = lambda _: None

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        engine = self

        class Session(FakeSession):
            def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
                engine.hook(image)
                return super().encode(image, *more)

        return Session()


@pytest.fixture
def engine() -> Hooked:
    return Hooked()


@pytest.fixture
def sam(make_bundle: Make, engine: Hooked) -> Sam:
    """LiteMedSAM, whose square is small."""
    return edgesam.load(make_bundle(model="lite-medsam").path, engine=engine)


def picture(grey: int) -> Picture:
    """Told apart by its size, since LiteMedSAM stretches grey levels."""
    array = np.zeros((12, 9 + grey), np.uint8)
    array[:, 0] = 255
    return array


PICTURES = [picture(grey) for grey in range(6)]


def same(ours: Any, theirs: Any) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(ours.array, theirs.array)
    for mine, other in zip(ours.side, theirs.side, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert (ours.fit, ours.encoder, ours.mapping) == (theirs.fit, theirs.encoder, theirs.mapping)


FATE = st.sampled_from(["fine", "fine", "fine", "unreadable", "unusable", "unencodable"])


def item_of(number: int, kind: str) -> Any:
    if kind == "unreadable":
        return f"/there/is/no/{number}.png"
    return np.full((4, 4), np.nan) if kind == "unusable" else picture(number)


def acting(sam: Sam, items: list[Any], fates: list[Any]) -> Callable[[NDArray[np.float32]], None]:
    """What an engine does that is as slow, and fails, as the fates say."""
    known = {
        prepare(item, None, sam.manifest).network.tobytes(): (number, kind, pause)
        for number, (item, (kind, _, pause)) in enumerate(zip(items, fates, strict=True))
        if kind in ("fine", "unencodable")
    }

    def hook(image: NDArray[np.float32]) -> None:
        number, kind, pause = known[image.tobytes()]
        time.sleep(pause / 1000)
        if kind == "unencodable":
            raise RuntimeError(f"the engine broke at {number}")

    return hook


def slowly(items: list[Any], pauses: list[int]) -> Iterator[Any]:
    for item, pause in zip(items, pauses, strict=True):
        time.sleep(pause / 1000)
        yield item


def by_loop(sam: Sam, items: list[Any], *, go_on: bool) -> list[Any]:
    results: list[Any] = []
    for item in items:
        try:
            results.append(sam.embed(edgesam.read(item) if isinstance(item, str) else item))
        except (ImageError, RuntimeError) as error:
            results.append(error)
            if not go_on:
                break
    return results


class TestAsALoop:
    def test_embeddings_in_order(self, sam: Sam) -> None:
        stream = edgesam.stream(sam, PICTURES)
        assert stream.index is None
        for index, embedding in enumerate(stream):
            assert stream.index == index
            same(embedding, sam.embed(PICTURES[index]))
        assert stream.index == 5
        assert stream.dropped == 0
        assert list(stream) == []

    def test_segmenting_meanwhile(self, sam: Sam) -> None:
        box = Prompt.box(1, 1, 8, 8)
        for array, embedding in zip(PICTURES, edgesam.stream(sam, PICTURES), strict=True):
            ours, theirs = sam.segment(embedding, box), sam.segment(sam.embed(array), box)
            np.testing.assert_array_equal(ours.array, theirs.array)

    def test_volume_cine_and_window(self, sam: Sam, make_cine: Callable[..., Cine]) -> None:
        volume = Volume.from_array(np.arange(120).reshape(4, 5, 6), np.eye(4)[[2, 1, 0, 3]])
        window = Window(60, 80)
        for embedding, image in zip(
            edgesam.stream(sam, volume, window), volume.slices(), strict=True
        ):
            same(embedding, sam.embed(image, window))
            assert embedding.place is not None
            assert embedding.place.plane == image.place.plane
        for embedding, image in zip(
            edgesam.stream(sam, volume.slices(window), ahead=1), volume.slices(), strict=True
        ):
            same(embedding, sam.embed(image, window))
        cine = make_cine()
        stream = edgesam.stream(sam, cine, every=2)
        assert [(stream.index, e.place.frame) for e in stream if e.place] == [
            (0, 0),
            (2, 2),
            (4, 4),
        ]

    @settings(
        deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(st.tuples(FATE, st.integers(0, 3), st.integers(0, 3)), max_size=8),
        st.integers(1, 4),
        st.booleans(),
        st.booleans(),
    )
    def test_any_delays_and_failures(
        self,
        sam: Sam,
        engine: Hooked,
        fates: list[tuple[str, int, int]],
        ahead: int,
        cached: bool,
        told: bool,
    ) -> None:
        """The loop's embeddings and the loop's errors, each at its frame."""
        items = [item_of(number, kind) for number, (kind, _, _) in enumerate(fates)]
        engine.hook = acting(sam, items, fates)
        expected = by_loop(sam, items, go_on=told)
        got: list[Any] = []
        stream = edgesam.stream(
            sam,
            slowly(items, [pause for _, pause, _ in fates]),
            ahead=ahead,
            cache=EmbeddingCache() if cached else None,
            on_error=(lambda _, error: got.append(error)) if told else None,
        )
        try:
            for embedding in stream:
                assert stream.index == len(got)
                got.append(embedding)
        except (ImageError, RuntimeError) as error:
            assert stream.index == len(got)
            got.append(error)
        assert threads() == []
        for ours, theirs in zip(got, expected, strict=True):
            if isinstance(theirs, Exception):
                assert (type(ours), str(ours)) == (type(theirs), str(theirs))
            else:
                same(ours, theirs)

    def test_two_streams_on_one_sam(self, sam: Sam) -> None:
        reverse = PICTURES[::-1]
        there, back = edgesam.stream(sam, PICTURES), edgesam.stream(sam, reverse, ahead=3)
        for index, (one, other) in enumerate(zip(there, back, strict=True)):
            same(one, sam.embed(PICTURES[index]))
            same(other, sam.embed(reverse[index]))

    def test_two_consumers_each_with_its_stream(self, sam: Sam) -> None:
        found: dict[int, list[Any]] = {}

        def consume(number: int) -> None:
            found[number] = list(edgesam.stream(sam, PICTURES, ahead=1 + number))

        consumers = [threading.Thread(target=consume, args=(number,)) for number in range(3)]
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join(PATIENCE)
        for embeddings in found.values():
            for array, embedding in zip(PICTURES, embeddings, strict=True):
                same(embedding, sam.embed(array))
        assert len(found) == 3


class TestOverlap:
    def test_the_next_picture_is_encoded_while_this_one_is_used(
        self, sam: Sam, engine: Hooked
    ) -> None:
        encoded = [threading.Event() for _ in PICTURES]
        done = iter(encoded)
        engine.hook = lambda _: next(done).set()
        for index, _ in enumerate(edgesam.stream(sam, PICTURES, ahead=1)):
            if index + 1 < len(encoded):
                assert encoded[index + 1].wait(PATIENCE)

    def test_the_next_picture_is_read_while_this_one_is_encoded(
        self, sam: Sam, engine: Hooked
    ) -> None:
        read = threading.Event()

        def grab() -> Iterator[Picture]:
            yield PICTURES[0]
            read.set()
            yield PICTURES[1]

        def hook(_: object) -> None:
            assert read.wait(PATIENCE)

        engine.hook = hook
        assert len(list(edgesam.stream(sam, grab(), ahead=2))) == 2

    def test_five_hundred_frames_and_few_at_a_time(self, sam: Sam) -> None:
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        most = 0

        class Frame(np.ndarray):  # plain arrays take no weak references
            pass

        def grab() -> Iterator[NDArray[Any]]:
            nonlocal most
            for _ in range(500):
                frame = np.zeros((4, 4), np.uint8).view(Frame)
                alive.add(Handle(frame))
                most = max(most, len(alive))
                yield frame

        class Handle:
            """Lives as long as the frame."""

            def __init__(self, frame: Frame) -> None:
                frame.handle = self  # type: ignore[attr-defined]

        embeddings: weakref.WeakSet[Any] = weakref.WeakSet()
        most_embeddings = count = 0
        for embedding in edgesam.stream(sam, grab(), ahead=3):
            embeddings.add(embedding)
            most_embeddings = max(most_embeddings, len(embeddings))
            count += 1
        assert count == 500
        assert most <= 3 + 1  # the one that the source has just made
        assert most_embeddings <= 2  # the one before is let go when the next one is taken


class TestEnds:
    def test_nothing_begins_before_it_is_asked_for(self, sam: Sam) -> None:
        stream = edgesam.stream(sam, "/there/is/nothing")
        assert threads() == []
        with pytest.raises(ImageError, match="no such file"):
            next(stream)

    def test_by_break(self, sam: Sam) -> None:
        for _ in edgesam.stream(sam, endless()):
            assert threads()
            break
        assert threads() == []

    def test_by_close(self, sam: Sam) -> None:
        stream = edgesam.stream(sam, endless())
        next(stream)
        stream.close()
        assert threads() == []
        assert list(stream) == []
        stream.close()

    def test_by_close_while_the_engine_works(self, make_bundle: Make) -> None:
        """The encoding is told to end, not waited for."""
        begun, told = threading.Event(), []

        class Endless(FakeEngine):
            def open(self, *_: Graphs, **__: Any) -> FakeSession:
                class Session(FakeSession):
                    def encode(
                        self, image: NDArray[np.float32], cancel: Cancel | None = None
                    ) -> NDArray[np.float32]:
                        assert cancel is not None
                        stopped = threading.Event()
                        begun.set()
                        with cancel.by(stopped.set):
                            told.append(stopped.wait(PATIENCE))
                        return super().encode(image, cancel)

                return Session()

        endlessly = edgesam.load(make_bundle(model="lite-medsam").path, engine=Endless())
        stream = edgesam.stream(endlessly, PICTURES)
        consumer = threading.Thread(target=lambda: list(stream))
        consumer.start()
        assert begun.wait(PATIENCE)
        stream.close()
        consumer.join()
        assert told == [True]

    def test_by_with(self, sam: Sam) -> None:
        with edgesam.stream(sam, endless()) as stream:
            next(stream)
        assert threads() == []

    def test_by_an_exception_of_the_consumer(self, sam: Sam) -> None:
        def consume() -> None:
            for _ in edgesam.stream(sam, endless()):
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            consume()
        assert threads() == []

    def test_by_an_error_that_is_still_looked_at(self, sam: Sam, engine: Hooked) -> None:
        def fail(_: object) -> None:
            raise RuntimeError("the engine broke")

        engine.hook = fail
        with pytest.raises(RuntimeError, match="the engine broke") as caught:
            next(edgesam.stream(sam, endless()))
        assert threads() == []
        assert "fail" in [entry.name for entry in caught.traceback]

    @pytest.fixture
    def ctrl_c(self) -> Iterator[None]:
        """Heard also by a program that was started where it is ignored, as by ``nohup ... &``."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("where", ["waiting", "consuming"])
    def test_by_ctrl_c(self, sam: Sam, engine: Hooked, where: str, ctrl_c: None) -> None:
        if where == "waiting":
            engine.hook = lambda _: (_thread.interrupt_main(), time.sleep(1))

        def consume() -> None:
            for _ in edgesam.stream(sam, endless()):
                _thread.interrupt_main()
                time.sleep(0.1)

        with pytest.raises(KeyboardInterrupt):
            consume()
        assert threads() == []

    def test_a_closed_sam(self, sam: Sam) -> None:
        stream = edgesam.stream(sam, endless())
        next(stream)
        sam.close()
        with pytest.raises(ValueError, match="closed"):
            for _ in stream:
                pass

    def test_what_the_handler_raises_is_the_consumers(self, sam: Sam) -> None:
        def refuse(index: int, error: Exception) -> None:
            raise LookupError(f"{index}: {error}")

        with pytest.raises(LookupError, match=r"0: .*nothing"):
            list(edgesam.stream(sam, ["/there/is/nothing"], on_error=refuse))

    def test_a_source_that_fails_is_no_picture_that_fails(self, sam: Sam) -> None:
        def unplugged() -> Iterator[Picture]:
            yield PICTURES[0]
            raise OSError("the probe was pulled")

        told: list[int] = []
        stream = edgesam.stream(sam, unplugged(), on_error=lambda index, _: told.append(index))
        next(stream)
        with pytest.raises(OSError, match="pulled"):
            next(stream)
        assert (told, stream.index) == ([], 1)

    def test_stop_iteration_ends_no_loop_silently(self, sam: Sam, engine: Hooked) -> None:
        engine.hook = lambda _: next(iter(()))
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(edgesam.stream(sam, PICTURES))

    def run(self, bundle: Path, code: str) -> subprocess.CompletedProcess[str]:
        program = f"""
            import threading, time
            import edgesam, numpy
            from edgesam.engines.fake import FakeEngine
            sam = edgesam.load({str(bundle)!r}, engine=FakeEngine())
            frames = [numpy.eye(9)] * 4
        """
        text = textwrap.dedent(program) + textwrap.dedent(code)
        return subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False
        )

    def test_with_the_program_that_left_it_open(self, make_bundle: Make) -> None:
        done = self.run(
            make_bundle(model="lite-medsam").path,
            """
            kept = []
            stream = edgesam.stream(sam, frames)
            kept.append((stream, kept))
            next(stream)
            """,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_not_before_a_consumer_that_outlives_the_main_thread(self, make_bundle: Make) -> None:
        done = self.run(
            make_bundle(model="lite-medsam").path,
            """
            def consume():
                count = 0
                for _ in edgesam.stream(sam, frames):
                    threading.main_thread().join()
                    time.sleep(0.7)  # longer than threads wait before they look up
                    count += 1
                print(count)
            threading.Thread(target=consume).start()
            """,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def endless() -> Iterator[Picture]:
    while True:
        yield PICTURES[0]


class TestLive:
    def test_the_newest_is_kept(self, sam: Sam, engine: Hooked) -> None:
        begun, over = threading.Event(), threading.Event()

        def grab() -> Iterator[Picture]:
            yield PICTURES[0]
            assert begun.wait(PATIENCE)
            yield from PICTURES[1:]
            over.set()

        def hook(_: object) -> None:
            begun.set()
            assert over.wait(PATIENCE)

        engine.hook = hook
        stream = edgesam.stream(sam, grab(), when_full="drop-oldest")
        given = [(stream.index, embedding.size[1]) for embedding in stream]
        assert given == [(0, 9), (5, 14)]
        assert stream.dropped == 4

    def test_what_is_dropped_is_not_prepared(
        self, sam: Sam, engine: Hooked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from edgesam import streaming

        prepared: list[int] = []
        original = streaming.prepare

        def note(image: Any, *more: Any) -> Any:
            prepared.append(image.shape[1])
            return original(image, *more)

        monkeypatch.setattr(streaming, "prepare", note)
        stream = edgesam.stream(sam, iter(PICTURES), when_full="drop-oldest", ahead=1)
        given = [embedding.size[1] for embedding in stream]
        assert prepared == given
        assert len(given) + stream.dropped == len(PICTURES)
        assert given[-1] == PICTURES[-1].shape[1]


class TestAsync:
    def test_embeddings_in_order(self, sam: Sam) -> None:
        async def main() -> None:
            stream = edgesam.stream(sam, PICTURES, ahead=3)
            index = 0
            async for embedding in stream:
                assert stream.index == index
                same(embedding, sam.embed(PICTURES[index]))
                index += 1
            assert index == 6
            assert threads() == []

        asyncio.run(main())

    def test_the_event_loop_goes_on_while_the_engine_works(self, sam: Sam, engine: Hooked) -> None:
        """Each encoding ends only after the loop has turned twenty times meanwhile."""
        beats = threading.Semaphore(0)

        def hook(_: object) -> None:
            for _ in range(20):
                assert beats.acquire(timeout=PATIENCE)

        async def heart() -> None:
            while True:
                beats.release()
                await asyncio.sleep(0.001)

        async def main() -> int:
            engine.hook = hook
            beating = asyncio.create_task(heart())
            count = 0
            async with edgesam.stream(sam, PICTURES) as stream:
                async for _ in stream:
                    count += 1
            beating.cancel()
            return count

        assert asyncio.run(main()) == 6

    def test_closing_waits_without_keeping_the_loop(self, sam: Sam, engine: Hooked) -> None:
        begun, release = threading.Event(), threading.Event()

        def hook(_: object) -> None:
            begun.set()
            assert release.wait(PATIENCE)

        async def main() -> None:
            engine.hook = hook
            stream = edgesam.stream(sam, PICTURES)
            first = asyncio.create_task(anext(aiter(stream)))
            await asyncio.to_thread(begun.wait)
            closing = asyncio.create_task(stream.aclose())
            await asyncio.sleep(0.01)
            assert not closing.done()
            assert threads()
            release.set()  # a loop that waits for the engine never comes here
            await closing
            assert threads() == []
            with pytest.raises(StopAsyncIteration):
                await first

        asyncio.run(main())

    @pytest.mark.parametrize("how", ["break", "raise", "cancel"])
    def test_left_early(self, sam: Sam, how: str) -> None:
        async def consume() -> None:
            async for _ in edgesam.stream(sam, endless()):
                if how == "break":
                    break
                if how == "raise":
                    raise KeyError("mine")

        async def main() -> None:
            task = asyncio.create_task(consume())
            if how == "cancel":
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif how == "raise":
                with pytest.raises(KeyError, match="mine"):
                    await task
            else:
                await task

        asyncio.run(main())
        assert threads() == []

    def test_errors_at_their_frame(self, sam: Sam) -> None:
        mixed = [PICTURES[0], np.full((3, 3), np.nan), PICTURES[1]]

        async def consume(stream: edgesam.Stream) -> list[int | None]:
            return [stream.index async for _ in stream]

        told: list[int] = []
        stream = edgesam.stream(sam, mixed, on_error=lambda index, _: told.append(index))
        assert asyncio.run(consume(stream)) == [0, 2]
        assert told == [1]
        stream = edgesam.stream(sam, mixed)
        with pytest.raises(ImageError, match="NaN"):
            asyncio.run(consume(stream))
        assert stream.index == 1


@pytest.mark.parametrize(
    "bad", [{"ahead": 0}, {"every": 0}, {"when_full": "drop"}], ids=lambda bad: next(iter(bad))
)
def test_arguments(sam: Sam, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        edgesam.stream(sam, PICTURES, **bad)


class TestEnginesLetPythonRun:
    """With a switch interval of an hour a thread keeps the interpreter until it gives it up."""

    @pytest.fixture(autouse=True)
    def an_hour(self) -> Iterator[None]:
        before = sys.getswitchinterval()
        sys.setswitchinterval(3600)
        yield
        sys.setswitchinterval(before)

    def seen_inside(self, call: Callable[[], object], times: int) -> bool:
        """Whether this thread ran while another one was in the call."""
        inside = False

        def work() -> None:
            nonlocal inside
            for _ in range(times):
                inside = True
                call()
                inside = False

        worker = threading.Thread(target=work)
        worker.start()
        seen = False
        while worker.is_alive() and not seen:
            seen = inside
            time.sleep(0.0005)
        worker.join()
        return seen

    @pytest.mark.parametrize("name", sorted(ENGINES))
    def test_while_encoding(self, name: str, lite_bundle: Path) -> None:
        if (reason := ENGINES[name].available()) is not None:
            pytest.skip(reason)
        with edgesam.load(lite_bundle, engine=name) as sam:
            prepared = prepare(PICTURES[0], None, sam.manifest)
            session = sam._session
            assert session is not None
            assert self.seen_inside(lambda: finished(session.encode(prepared.network)), 2)

    def test_what_keeps_the_interpreter_is_told_apart(self) -> None:
        assert not self.seen_inside(lambda: sum(range(3_000_000)), 3)
