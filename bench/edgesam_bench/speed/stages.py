"""Where edgesam's own time goes: watches its functions from outside. Knows their names, no figure.

The runtime has no hooks for this: a loaded Sam's session is changed for one that keeps times, and
the functions that it calls are, by name, for as long as it is watched. A name that has gone is an
error here, not a stage that takes no time. What a session does on a device instead of those
functions is watched there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

import edgesam.answering
import edgesam_kernels.prepare
from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, finished
from edgesam.engines import Answer, DevicePixels, MaskPrompts, Prompts, Session
from edgesam.image import Image
from edgesam.sam import Sam

_WATCHED: tuple[tuple[Any, str, str], ...] = (
    (Image, "to_rgb8", "levels"),
    (edgesam_kernels.prepare, "resize", "resize"),
    (edgesam_kernels.prepare, "min_max", "normalise"),
    (edgesam_kernels.prepare, "mean_std", "normalise"),
    (edgesam.answering, "decoder_inputs", "prompt"),
    (edgesam.answering, "make_mask", "mask"),
    (edgesam.answering, "finished_mask", "mask"),
)

T = TypeVar("T")


class Watcher(Protocol):
    """Whom a watched session tells of its calls."""

    def call(self, stage: str, function: Callable[..., T], *args: Any) -> T:
        """Make the call, and return what it returns."""


class Times:
    """Seconds of each stage, one value per call, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def call(self, stage: str, function: Callable[..., T], *args: Any, **more: Any) -> T:
        """What the function returns."""
        started = time.perf_counter()
        result = function(*args, **more)
        self.seconds.setdefault(stage, []).append(time.perf_counter() - started)
        return result


class WatchedSession:
    """A session's three graphs, each a stage, and what else it can do, as the product would ask it.

    ``adopt`` and ``prepare`` are there if its engine prepares pictures where it computes (the stage
    ``prepare``), ``finish`` if it makes masks there (part of the stage ``decode``).
    """

    def __init__(self, session: Session, watcher: Watcher) -> None:
        self.description, self.card = session.description, session.card
        self._session: Any = session
        self._watcher = watcher
        if isinstance(session, DevicePixels):
            self.adopt, self.prepare = session.adopt, self._prepare
        if hasattr(session, "finish"):
            self.finish = self._finish

    def encode(self, image: Tensor, cancel: Cancel | None = None) -> Tensor:
        return self._watcher.call("encode", self._encoded, image, cancel)

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        return self._watcher.call("image_side", self._sided, embedding, masks)

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._watcher.call("decode", self._decoded, side, prompts, tokens)

    def close(self) -> None:
        self._session.close()

    def _prepare(self, *given: Any) -> Tensor:
        return self._watcher.call("prepare", self._prepared, *given)

    def _finish(self, *given: Any) -> Answer:
        return self._watcher.call("decode", self._finished, *given)

    # A GPU's answers are there later than they are given.

    def _prepared(self, *given: Any) -> Tensor:
        return finished(self._session.prepare(*given))

    def _encoded(self, image: Tensor, cancel: Cancel | None) -> Tensor:
        return finished(self._session.encode(image, cancel))

    def _sided(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        return tuple(map(finished, self._session.image_side(embedding, masks)))

    def _decoded(self, *given: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = self._session.decode(*given)
        return logits, iou

    def _finished(self, *given: Any) -> Answer:
        answer: Answer = self._session.finish(*given)
        return answer


@contextmanager
def watched(sam: Sam) -> Iterator[Times]:
    """Keeps times of everything this Sam does meanwhile; no other Sam may work in this process."""
    times = Times()
    with ExitStack() as stack:
        for owner, name, stage in _WATCHED:
            original = getattr(owner, name)
            setattr(owner, name, _timed(times, stage, original))
            stack.callback(setattr, owner, name, original)
        session = sam._open
        sam._session = WatchedSession(session, times)
        stack.callback(setattr, sam, "_session", session)
        yield times


def _timed(times: Times, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # A plain function, so that it works as a method, too.
    def timed(*args: Any, **more: Any) -> Any:
        return times.call(stage, function, *args, **more)

    return timed
