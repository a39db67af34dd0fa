"""``Session``: a viewer's pictures, encoded before they are clicked on. Knows no screen."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Literal, overload

from edgesam.cancel import Cancel
from edgesam.embedding import Embedding
from edgesam.embedding_cache import EmbeddingCache, encoded
from edgesam.levels import Levels
from edgesam.mask import Mask
from edgesam.pictures import Source, pictures
from edgesam.prefetch import Prefetch
from edgesam.prepared import Picture, prepare
from edgesam.prompt import Prompt
from edgesam.sam import Sam
from edgesam.selection import Select


class Session:
    """The pictures of a volume, a cine or a folder, one of which a person looks at.

    The picture in view is encoded first, then its neighbours in the direction of scrolling (and one
    behind), on a thread of the session's own. It makes way at once: a jump or a click ends what is
    being encoded for later. Many threads may ask one session. Close it, or use it in ``with``.
    """

    def __init__(
        self,
        sam: Sam,
        source: Source,
        window: Levels | None = None,
        *,
        memory: int = 1 << 30,
        seconds: float = 60.0,
        cache: EmbeddingCache | None = None,
    ) -> None:
        """Open the source; nothing is decoded and no thread started before the first look.

        Args:
            sam: the model; stays open when the session is closed.
            source: as :func:`edgesam.stream` takes it, but no iterator: any picture may be next.
            window: grey levels to show, None for each picture's own. Another window is another
                session.
            memory: bytes that embeddings may take, 14 MiB each; the one in view is always kept.
            seconds: for how long after the last look neighbours are encoded.
            cache: looked up first, and filled: for what was seen before, or by another session.

        Raises:
            ImageError: there is nothing to read. VolumeError: a folder's slices make no volume.
            TypeError: the source is an iterator.
        """
        if isinstance(source, Iterator):
            raise TypeError(
                "a session goes back and forth: give a volume, a cine, a path or a list"
            )
        self._sam = sam
        self._readers = [read for _, read in pictures(source)]
        self._prefetch = Prefetch(
            _maker(sam, window, cache, self._readers),
            lambda embedding: embedding.nbytes,
            count=len(self._readers),
            memory=memory,
            seconds=seconds,
        )
        weakref.finalize(self, self._prefetch.stop)

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._readers)

    def look(self, index: int) -> None:
        """Picture ``index``, from 0, is in view now. Returns at once.

        Raises:
            IndexError: there is no such picture.
        """
        self._prefetch.look(index)

    def rest(self, seconds: float = 0.5) -> None:
        """A click is near, as when the mouse button goes down; returns at once.

        What is being encoded for later ends, and nothing is begun for so long: an engine ends some
        milliseconds after it was told to, later in a large model, and a click would wait for it.

        Raises:
            ValueError: the session is closed.
        """
        self._prefetch.rest(seconds)

    def ready(self, index: int) -> bool:
        """Whether a click on that picture costs a click only."""
        return self._prefetch.ready(index)

    def embedding(self, index: int) -> Embedding:
        """Of that picture, encoded now if it is not there.

        Raises:
            IndexError: there is no such picture. What :meth:`edgesam.Sam.embed` raises.
        """
        with self._prefetch.taken(index) as embedding:
            return embedding

    @overload
    def segment(
        self,
        index: int,
        prompt: Prompt,
        multimask: Literal[False] = False,
        *,
        select: Select = "single",
    ) -> Mask: ...
    @overload
    def segment(
        self, index: int, prompt: Prompt, multimask: Literal[True]
    ) -> tuple[Mask, Mask, Mask]: ...
    def segment(
        self,
        index: int,
        prompt: Prompt,
        multimask: bool = False,
        *,
        select: Select = "single",
    ) -> Mask | tuple[Mask, ...]:
        """Segment one object of that picture; see :meth:`edgesam.Sam.segment`.

        Waits for this picture's encoding alone, if it is under way, or does it.

        Raises:
            IndexError: there is no such picture. What :meth:`edgesam.Sam.embed` and
            :meth:`edgesam.Sam.segment` raise.
        """
        with self._prefetch.taken(index) as embedding:
            if multimask:
                return self._sam.segment(embedding, prompt, True)
            return self._sam.segment(embedding, prompt, select=select)

    def close(self) -> None:
        """End the thread and forget the embeddings; further calls raise ValueError."""
        self._prefetch.stop()
        self._prefetch.join()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _maker(
    sam: Sam,
    window: Levels | None,
    cache: EmbeddingCache | None,
    readers: Sequence[Callable[[], Picture]],
) -> Callable[[int, Cancel], Embedding]:
    """What makes an embedding; it holds no session, so that one that was let go can end."""

    def make(index: int, cancel: Cancel) -> Embedding:
        picture = readers[index]()
        cancel.check()
        return encoded(sam, prepare(picture, window, sam.manifest, sam.pixels), cache, cancel)

    return make
