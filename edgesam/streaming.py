"""``stream``: the encoder runs ahead of whoever uses its embeddings. Knows threads, no file format.

Reading, preparing and encoding run at once, each on a thread of its own, and the consumer's thread
does nothing but consume. Engines, NumPy and Pillow let Python run meanwhile; GDCM does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Literal

from edgesam.cancel import Cancel
from edgesam.embedding import Embedding
from edgesam.embedding_cache import EmbeddingCache, encoded
from edgesam.levels import Levels
from edgesam.pictures import Source, pictures
from edgesam.pipeline import Frame, Pipeline, Step
from edgesam.prepared import Picture, Prepared, prepare
from edgesam.sam import Sam

WhenFull = Literal["block", "drop-oldest"]
OnError = Callable[[int, Exception], None]


def stream(
    sam: Sam,
    source: Source,
    window: Levels | None = None,
    *,
    ahead: int = 2,
    every: int = 1,
    when_full: WhenFull = "block",
    on_error: OnError | None = None,
    cache: EmbeddingCache | None = None,
) -> Stream:
    """Embeddings of many pictures in their order, the next ones in the making meanwhile.

    The same embeddings as ``sam.embed(picture, window)`` gives in a loop, bit for bit. Nothing is
    read and no thread started before the first one is asked for.

    Args:
        sam: the model; other streams and calls may use it meanwhile.
        source: a volume, a cine, a folder, or any iterable of pictures and paths: see
            :func:`edgesam.pictures.pictures`. An iterable is read on another thread.
        window: grey levels to show, None for each picture's own.
        ahead: how many pictures may be under way or finished beyond the one that was taken: the
            bound of memory. With 1 the encoder works while the consumer does; with 2 the next
            picture is read and prepared meanwhile.
        every: only pictures 0, ``every``, 2 ``every`` and so on.
        when_full: ``block``: the source waits. ``drop-oldest``, for a live source: it never
            waits, and of the pictures that wait for the encoder only the newest is kept; what was
            begun is given.
        on_error: told the number and the error of a picture that cannot be read or encoded, when
            it is that picture's turn; the stream then goes on. None: the error is raised at that
            picture, and the stream has ended.
        cache: looked up first, and filled.

    Raises:
        ValueError: ``ahead`` or ``every`` is below 1, or ``when_full`` is neither of the two.
    """
    if ahead < 1 or every < 1:
        raise ValueError(f"ahead and every must be at least 1, not {ahead} and {every}")
    if when_full not in ("block", "drop-oldest"):
        raise ValueError(f"when_full is {when_full!r}, not block or drop-oldest")
    live, cancel = when_full == "drop-oldest", Cancel()

    def prepared(picture: Picture) -> Prepared:
        made = prepare(picture, window, sam.manifest, sam.pixels)
        if cache is not None:
            made.digest()  # now: a source may read its next picture into the same array
        return made

    def embedded(picture: Prepared) -> Embedding:
        return encoded(sam, picture, cache, cancel)

    def both(picture: Picture) -> Embedding:
        return embedded(prepared(picture))

    # Of a live source most pictures are dropped: none is prepared that is not encoded.
    steps: list[Step] = [both] if live else [prepared, embedded]
    pipeline = Pipeline(_opened(source, every), steps, ahead=ahead, newest=live)
    return Stream(pipeline, cancel, on_error)


def _opened(source: Source, every: int) -> Iterator[tuple[int, Callable[[], Picture]]]:
    """Opened at the first use, on the thread that reads."""
    yield from pictures(source, every)


class Stream:
    """An iterator of embeddings, and as well an asynchronous one; for one consumer.

    Its threads end with the loop over it, however that ends: at the last picture, by ``break``, by
    an exception. One that is iterated otherwise is closed by :meth:`close` or by ``with``. Closing
    waits for a read or a preparation that is under way; an encoding is told to end.

    Attributes:
        index: the number, in the source, of the picture last given, or None before the first.
    """

    def __init__(self, pipeline: Pipeline, cancel: Cancel, on_error: OnError | None) -> None:
        """Made by :func:`edgesam.stream`."""
        self.index: int | None = None
        self._pipeline = pipeline
        self._cancel = cancel
        self._on_error = on_error
        self._in_event_loop = False

    @property
    def dropped(self) -> int:
        """How many pictures gave way to newer ones."""
        return self._pipeline.dropped

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Embedding:
        try:
            self._pipeline.start()
            while (frame := self._pipeline.take()) is not None:
                if (embedding := self._given(frame)) is not None:
                    return embedding
        except BaseException as error:
            self.close()
            if isinstance(error, StopIteration):  # would end the consumer's loop without a word
                raise RuntimeError("reading or encoding a picture raised StopIteration") from error
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End the stream and its threads. A source that never answers keeps this waiting."""
        self._stop()
        self._pipeline.join()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._stop()
        if not self._in_event_loop:  # which must not wait
            self._pipeline.join()

    async def __aiter__(self) -> AsyncIterator[Embedding]:
        self._in_event_loop = True
        try:
            self._pipeline.start()
            while (frame := await self._arrival()) is not None:
                if (embedding := self._given(frame)) is not None:
                    yield embedding
                    del embedding
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """:meth:`close` without keeping the event loop waiting.

        A task that is cancelled meanwhile waits for the threads all the same, unless it is
        cancelled twice.
        """
        import asyncio

        self._in_event_loop = True
        self._stop()
        cancelled: asyncio.CancelledError | None = None
        while not self._pipeline.ended((changed := _Change()).tell):
            try:
                await changed.told()
            except asyncio.CancelledError as error:
                if cancelled is not None:
                    raise
                cancelled = error
        self._pipeline.join()
        if cancelled is not None:
            raise cancelled

    async def __aenter__(self) -> Stream:
        self._in_event_loop = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _stop(self) -> None:
        self._pipeline.stop()
        self._cancel.tell()

    async def _arrival(self) -> Frame | None:
        """What :meth:`Pipeline.take` gives, without keeping the event loop waiting."""
        while True:
            changed = _Change()
            ready, frame = self._pipeline.poll(changed.tell)
            if ready:
                return frame
            await changed.told()

    def _given(self, frame: Frame) -> Embedding | None:
        """The frame's embedding; None if its error was told to who wants to know."""
        self.index = frame.index
        embedding: Embedding | None = frame.value
        error, frame.value, frame.error = frame.error, None, None
        if error is None:
            return embedding
        try:
            if self._on_error is None or frame.fatal or not isinstance(error, Exception):
                raise error
            self._on_error(frame.index, error)
            return None
        finally:
            del error  # which holds this call, and so itself


class _Change:
    """Something that another thread tells the running event loop."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def tell(self) -> None:
        self._loop.call_soon_threadsafe(self._settle)

    async def told(self) -> None:
        await self._future

    def _settle(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
