"""Watches which picture edgesam reads, prepares, encodes. Knows its functions' names, no figure.

As :mod:`edgesam_bench.speed.stages` from outside: the runtime has no hooks. Which picture a call is
for is told by the array that it is given, which is new for each read and lives as long as it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import edgesam.sam
import edgesam.session
import edgesam.streaming
from edgesam.cine import Cine
from edgesam.image import Image
from edgesam.preprocess import one_picture
from edgesam.sam import Sam
from edgesam_bench.scenario.source import Source
from edgesam_bench.scenario.timeline import Timeline
from edgesam_bench.speed.stages import WatchedSession

_PREPARING = (edgesam.sam, edgesam.session, edgesam.streaming)  # each has it by that name

T = TypeVar("T")


class Recorder:
    """Puts calls on a time-line."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._numbers: dict[int, int] = {}
        self._here = threading.local()

    def read(self, index: int, read: Callable[[], Any]) -> Image:
        """A picture's pixels, in an array of their own."""
        self._here.index = index
        with self.timeline.span("read", index):
            image = one_picture(read())
        return self.numbered(index, image)

    def numbered(self, index: int, image: Image) -> Image:
        """The same picture, known again by its array."""
        pixels = image.pixels.view()
        self._numbers[id(pixels)] = index
        return replace(image, pixels=pixels)

    @contextmanager
    def click(self, index: int) -> Iterator[None]:
        """Inside somebody waits for a mask of that picture."""
        self._here.index = index
        with self.timeline.span("click", index):
            yield

    def prepare(self, function: Callable[..., Any], image: Image, *more: Any) -> Any:
        """``edgesam.prepared.prepare`` of a picture that was numbered."""
        self._here.index = index = self._numbers[id(image.pixels)]
        with self.timeline.span("prepare", index):
            prepared = function(image, *more)
        self._numbers[id(prepared.network)] = index
        return prepared

    def call(self, stage: str, function: Callable[..., T], *args: Any) -> T:
        """One of an engine's calls; see :class:`edgesam_bench.speed.stages.Watcher`."""
        if stage == "prepare":
            return function(*args)  # inside the span of :meth:`prepare`
        if stage == "encode":
            self._here.index = self._numbers[id(args[0])]
        with self.timeline.span("side" if stage == "image_side" else stage, self._here.index):
            return function(*args)


class _Frames:
    """A source's pictures as a cine's, each recorded when it is read."""

    def __init__(self, readers: Sequence[Callable[[], Any]], recorder: Recorder) -> None:
        self._readers = readers
        self._recorder = recorder

    def __len__(self) -> int:
        return len(self._readers)

    def image(self, index: int) -> Image:
        return self._recorder.read(index, self._readers[index])


def recorded(source: Source, recorder: Recorder) -> Cine:
    """The source, as a stream and a session take it."""
    return Cine(_Frames(source.readers, recorder), source.height, source.width)


@contextmanager
def watching(sam: Sam, recorder: Recorder) -> Iterator[None]:
    """Inside, all that this Sam does is recorded; no other one may work in this process."""
    with ExitStack() as stack:
        for module in _PREPARING:
            original = module.prepare
            vars(module)["prepare"] = _recording(recorder, original)
            stack.callback(vars(module).__setitem__, "prepare", original)
        session = sam._open
        sam._session = WatchedSession(session, recorder)
        stack.callback(setattr, sam, "_session", session)
        yield


def _recording(recorder: Recorder, function: Callable[..., Any]) -> Callable[..., Any]:
    def prepare(image: Image, *more: Any) -> Any:
        return recorder.prepare(function, image, *more)

    return prepare
