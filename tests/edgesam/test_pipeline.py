"""Order, bounds, failures and ends of a pipeline, by what happens, never by how long it takes."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam.pipeline import Frame, Pipeline

PATIENCE = 20.0  # seconds until a test gives up on something that should have happened


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("edgesam ")]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert threads() == []


def source(values: list[Any], read: Callable[[Any], Any] = lambda value: value) -> Iterator[Any]:
    return ((index, lambda value=value: read(value)) for index, value in enumerate(values))


def drained(pipeline: Pipeline) -> list[Frame]:
    pipeline.start()
    frames = []
    while (frame := pipeline.take()) is not None:
        frames.append(frame)
    pipeline.stop()
    pipeline.join()
    return frames


class Trouble(Exception):
    pass


# What happens at the reading and at each step to a frame: milliseconds, or a failure.
FATE = st.one_of(st.just(0), st.sampled_from([0, 1, 3]), st.just("fails"))
FRAMES = st.lists(st.lists(FATE, min_size=4, max_size=4), max_size=9)


@settings(deadline=None, max_examples=80)
@given(FRAMES, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 12))
def test_as_a_loop_would_do_it(
    fates: list[list[Any]], ahead: int, steps: int, pause: int, most: int
) -> None:
    """Ordered, complete, each failure at its frame; whoever stops early leaves nothing running."""

    def meet(frame: tuple[int, list[Any]], stage: int, value: Any) -> Any:
        if frame[1][stage] == "fails":
            raise Trouble(frame[0], stage)
        time.sleep(frame[1][stage] / 1000)
        return frame, (*value, stage)

    def serial(frame: tuple[int, list[Any]]) -> Any:
        value: Any = ()
        try:
            for stage in range(steps + 1):
                value = meet(frame, stage, value)[1]
        except Trouble as error:
            return error.args
        return value

    frames = list(enumerate(fates))
    pipeline = Pipeline(
        source(frames, lambda frame: meet(frame, 0, ())),
        [lambda both, stage=stage: meet(both[0], stage, both[1]) for stage in range(1, steps + 1)],
        ahead=ahead,
        newest=False,
    )
    pipeline.start()
    got = []
    while len(got) < most and (frame := pipeline.take()) is not None:
        assert frame.index == len(got)
        got.append(frame.error.args if frame.error else frame.value[1])
        time.sleep(pause / 1000)
    pipeline.stop()
    pipeline.join()
    assert threads() == []
    assert got == [serial(frame) for frame in frames][:most]


def test_all_stages_are_at_work_at_once() -> None:
    """Each waits for the others to begin with their frames: one after another it would not end."""
    begun = {(frame, stage): threading.Event() for frame in range(3) for stage in range(3)}

    def at(stage: int) -> Callable[[int], int]:
        def work(frame: int) -> int:
            begun[frame, stage].set()
            if frame + stage == 2:
                for other in range(3):
                    assert begun[2 - other, other].wait(PATIENCE)
            return frame

        return work

    frames = drained(Pipeline(source([0, 1, 2], at(0)), [at(1), at(2)], ahead=3, newest=False))
    assert [frame.error for frame in frames] == [None] * 3


class Counted:
    """Counts itself while it lives."""

    alive: ClassVar[weakref.WeakSet[Counted]] = weakref.WeakSet()
    most: ClassVar[int] = 0

    def __init__(self, index: int) -> None:
        self.index = index
        Counted.alive.add(self)
        Counted.most = max(Counted.most, len({one.index for one in Counted.alive}))


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_so_many_frames_live_and_no_more(ahead: int) -> None:
    Counted.most = 0
    pipeline = Pipeline(
        source(list(range(500)), Counted),
        [lambda one: Counted(one.index), lambda one: Counted(one.index)],
        ahead=ahead,
        newest=False,
    )
    pipeline.start()
    seen = 0
    while (frame := pipeline.take()) is not None:
        assert frame.index == seen
        seen += 1
        del frame
    pipeline.join()
    assert seen == 500
    assert Counted.most <= ahead + 1  # the one that was taken
    assert len(Counted.alive) == 0


def test_the_source_waits_for_room() -> None:
    """Not even the reading of one frame too many is begun."""
    read: list[int] = []
    full = threading.Event()

    def note(value: int) -> int:
        read.append(value)
        if len(read) == 3:
            full.set()
        return value

    pipeline = Pipeline(source(list(range(9)), note), [lambda v: v], ahead=3, newest=False)
    pipeline.start()
    assert full.wait(PATIENCE)
    for _ in range(3):  # time for a mistake
        time.sleep(0.01)
    assert read == [0, 1, 2]
    pipeline.stop()
    pipeline.join()


def test_a_source_that_fails_has_ended() -> None:
    def failing() -> Iterator[Any]:
        yield 0, lambda: "a"
        raise Trouble("the probe was pulled")

    first, second = drained(Pipeline(failing(), [lambda v: v], ahead=2, newest=False))
    assert (first.value, first.error) == ("a", None)
    assert (second.index, second.fatal, str(second.error)) == (1, True, "the probe was pulled")


def test_even_what_is_no_exception_reaches_the_consumer() -> None:
    def leave(_: int) -> None:
        raise SystemExit(3)

    frames = drained(Pipeline(source([0]), [leave], ahead=1, newest=False))
    assert isinstance(frames[0].error, SystemExit)


class TestNewest:
    def test_waiting_frames_give_way_and_begun_ones_do_not(self) -> None:
        begun, over = threading.Event(), threading.Event()

        def live() -> Iterator[Any]:
            yield 0, lambda: 0
            assert begun.wait(PATIENCE)
            for index in range(1, 7):
                yield index, lambda index=index: index
            over.set()

        def encode(value: int) -> int:
            begun.set()
            assert over.wait(PATIENCE)
            return value

        pipeline = Pipeline(live(), [encode], ahead=1, newest=True)
        assert [frame.value for frame in drained(pipeline)] == [0, 6]
        assert pipeline.dropped == 5

    def test_no_more_is_begun_than_the_consumer_has_room_for(self) -> None:
        begun: list[int] = []
        over = threading.Event()

        def live() -> Iterator[Any]:
            for index in range(50):
                yield index, lambda index=index: index
                time.sleep(0.001)
            over.set()

        pipeline = Pipeline(live(), [lambda v: begun.append(v) or v], ahead=2, newest=True)
        pipeline.start()
        assert over.wait(PATIENCE)
        assert len(begun) <= 2
        frames = drained(pipeline)
        assert [frame.value for frame in frames] == begun
        assert frames[-1].value == 49
        assert pipeline.dropped == 50 - len(frames)

    def test_frames_that_cannot_be_read_do_not_heap_up(self) -> None:
        over = threading.Event()

        def fail() -> None:
            raise Trouble

        def live() -> Iterator[Any]:
            yield from ((index, fail) for index in range(40))
            over.set()

        pipeline = Pipeline(live(), [lambda v: v], ahead=1, newest=True)
        pipeline.start()
        assert over.wait(PATIENCE)
        (last,) = drained(pipeline)
        assert (last.index, pipeline.dropped) == (39, 39)


class TestEnds:
    def test_before_it_began(self) -> None:
        pipeline = Pipeline(source([0]), [lambda v: v], ahead=1, newest=False)
        pipeline.stop()
        pipeline.start()
        assert threads() == []
        assert pipeline.take() is None

    def test_what_was_under_way_is_forgotten(self) -> None:
        pipeline = Pipeline(source(list(range(9)), Counted), [lambda v: v], ahead=4, newest=False)
        pipeline.start()
        frame = pipeline.take()
        del frame
        pipeline.stop()
        pipeline.join()
        assert pipeline.take() is None
        assert len(Counted.alive) == 0

    def test_a_consumer_that_waits_is_let_go(self) -> None:
        held, waiting = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            waiting.set()
            held.wait(PATIENCE)

        pipeline = Pipeline(source([0]), [hold], ahead=1, newest=False)
        pipeline.start()
        assert waiting.wait(PATIENCE)
        got: list[Frame | None] = []
        consumer = threading.Thread(target=lambda: got.append(pipeline.take()))
        consumer.start()
        pipeline.stop()
        consumer.join(PATIENCE)
        assert got == [None]
        held.set()
        pipeline.join()

    def test_the_garbage_collector_may_stop_it_from_its_own_thread(self) -> None:
        class Owner:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                self.pipeline.stop()
                self.pipeline.join()

            pipeline: Pipeline

        dropped = threading.Event()

        def collect(value: int) -> int:
            assert dropped.wait(PATIENCE)
            gc.collect()
            return value

        gc.collect()
        gc.disable()
        try:
            owner = Owner()
            owner.pipeline = Pipeline(source(list(range(9))), [collect], ahead=2, newest=False)
            owner.pipeline.start()
            mine = threads()
            del owner
            dropped.set()
            for thread in mine:
                thread.join(PATIENCE)
        finally:
            gc.enable()


def test_a_waker_is_called_and_only_once() -> None:
    go = threading.Event()
    pipeline = Pipeline(source([7]), [lambda v: go.wait(PATIENCE) and v], ahead=1, newest=False)
    woken = threading.Semaphore(0)
    pipeline.start()
    ready, frame = pipeline.poll(woken.release)
    while not ready:
        go.set()
        assert woken.acquire(timeout=PATIENCE)
        ready, frame = pipeline.poll(woken.release)
    assert frame is not None
    assert frame.value == 7
    while not pipeline.ended(woken.release):
        assert woken.acquire(timeout=PATIENCE)
    pipeline.join()
    assert not woken.acquire(blocking=False)


_INTERRUPTED = """
import random, signal
from edgesam.pipeline import Pipeline

class Interrupted(BaseException): pass

def interrupt(*_): raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
for seed in range(500):
    source = ((number, lambda: number) for number in range(10**9))
    pipeline = Pipeline(source, [lambda x: x, lambda x: x], ahead=2, newest=False)
    pipeline.start()
    after = random.Random(seed).uniform(0.0002, 0.002)
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        while pipeline.take() is not None: pass
    except Interrupted:
        pass
    pipeline.stop()
    pipeline.join()
print("all ended")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer, which is POSIX's")
def test_an_interrupt_at_any_moment_leaves_no_lock_taken() -> None:
    """A program of its own: where a lock is left, it hangs."""
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "all ended\n"
