"""Many pictures, masks of each: those that are not there yet are made, one file after another.

The next pictures are read, looked up and encoded while masks of one are computed and written. A
mask that fails is told and the others go on. Knows neither lists nor folders.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesam import __version__, sidecar
from edgesam.atomic import remove_abandoned
from edgesam.commands import runner
from edgesam.commands.chosen import Chosen
from edgesam.commands.objects import from_answers, without_pixels
from edgesam.commands.results import Output, write_mask
from edgesam.commands.tally import Tally
from edgesam.errors import EdgeSamError

if TYPE_CHECKING:
    from edgesam.embedding import Embedding
    from edgesam.image import Image
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam
    from edgesam.selection import Select

_OF_ONE = (EdgeSamError, OSError, MemoryError)  # errors of a picture, not of the program
_REFERRING = ("seg", "labelmap", "rtstruct", "sr")  # to the files that were segmented


@dataclass(frozen=True, eq=False)
class Order:
    """One mask file that is asked for.

    Attributes:
        prompts: one for each object.
        output: where it goes.
        where: which one it is, for JSON.
        told: the same for a person.
    """

    prompts: Sequence[Prompt]
    output: Output
    where: dict[str, Any]
    told: str


@dataclass(frozen=True, eq=False)
class Job:
    """Masks of one picture.

    Attributes:
        read: opens it.
        window: grey levels, None for the picture's own.
        orders: what is to be made of it.
    """

    read: Callable[[], Chosen]
    window: Levels | None
    orders: Sequence[Order]


@dataclass(frozen=True, eq=False)
class _Due:
    """What is still to be made of one picture that was read."""

    job: Job
    picture: Chosen
    orders: list[tuple[Order, dict[str, Any]]]
    read_ms: float


class Jobs:
    """Some jobs, to be run with one model.

    Args:
        sam: the model.
        jobs: read when it is their turn, on another thread.
        select: the mask that answers a prompt.
        tally: told of each order.
    """

    def __init__(self, sam: Sam, jobs: Iterable[Job], select: Select, tally: Tally) -> None:
        self._sam = sam
        self._jobs = jobs
        self._select = select
        self._tally = tally
        self._under_way: deque[_Due] = deque()

    def run(self, folders: Collection[Path]) -> None:
        """Make what is not there yet.

        Args:
            folders: where it goes; what killed runs left there half written is removed.

        Raises:
            ImageError: the disk is full.
            KeyboardInterrupt: and what is done stays.
        """
        for folder in folders:
            remove_abandoned(folder)
        try:
            self._run()
        except KeyboardInterrupt:
            self._tally.progress.note(f"{self._tally}; the same command goes on from here")
            raise
        for folder in folders:
            remove_abandoned(folder)

    def _run(self) -> None:
        import edgesam

        with edgesam.stream(self._sam, self._pictures(), on_error=self._lost) as stream:
            start = time.perf_counter()
            for embedding in stream:
                waited = _ms(start)
                due = self._under_way.popleft()
                for order, request in due.orders:
                    try:
                        self._make(due, order, request, embedding, waited)
                    except _OF_ONE as error:
                        if _is_full(error):
                            raise
                        self._tally.failed(order.where, order.told, error)
                    else:
                        self._tally.wrote()
                start = time.perf_counter()

    def _pictures(self) -> Iterator[Image]:
        """Those of which something is to be made; what was made before is counted."""
        for job in self._jobs:
            start = time.perf_counter()
            try:
                picture = job.read()
                if job.window is not None:
                    picture = replace(picture, image=replace(picture.image, window=job.window))
            except _OF_ONE as error:
                for order in job.orders:
                    self._tally.failed(order.where, order.told, error)
                continue
            orders = self._due(job, picture)
            if orders:
                self._under_way.append(_Due(job, picture, orders, _ms(start)))
                yield picture.image
            del picture, orders

    def _due(self, job: Job, picture: Chosen) -> list[tuple[Order, dict[str, Any]]]:
        """Orders that can be made and are not there yet, with what is asked for in each."""
        from edgesam.fingerprint import files_fingerprint, fingerprint

        found = []
        seen = ""
        for order in job.orders:
            try:
                order.output.check_source(picture.source)
                for prompt in order.prompts:
                    self._sam.check(prompt, picture.image.height, picture.image.width)
                seen = seen or fingerprint(picture.image)
                request = self._request(job, order, seen)
                if order.output.holds in _REFERRING and picture.source.origin is not None:
                    request["files"] = files_fingerprint(picture.source.origin)
                if sidecar.is_done(order.output.path, request):
                    self._tally.found()
                else:
                    found.append((order, request))
            except _OF_ONE as error:
                self._tally.failed(order.where, order.told, error)
        return found

    def _request(self, job: Job, order: Order, picture: str) -> dict[str, Any]:
        """All that decides what the mask's file will hold."""
        sam, output = self._sam, order.output
        profile = sam.manifest.profile
        return {
            "input": picture,
            "window": None if job.window is None else repr(job.window),
            "prompts": [_words(prompt) for prompt in order.prompts],
            "select": self._select,
            "names": list(output.names),
            "kind": output.holds,
            "empty_frames": output.empty_frames,
            "model": sam.model,
            "variant": sam.variant,
            "engine": sam.engine,
            "graphs": sam.manifest.variants[sam.variant].graphs,
            "profile": {**asdict(profile), "prompt_kinds": sorted(profile.prompt_kinds)},
        }

    def _make(
        self,
        due: _Due,
        order: Order,
        request: dict[str, Any],
        embedding: Embedding,
        waited: float,
    ) -> None:
        """The mask's file, then its sidecar."""
        sam, image = self._sam, due.picture.image
        start = time.perf_counter()
        masks = sam.segment_batch(embedding, order.prompts, select=self._select)
        found = from_answers(masks, embedding.mapping)
        segmented = _ms(start)
        start = time.perf_counter()
        write_mask(order.output, found, due.picture, sam.provenance(found.mapping), due.job.window)
        facts = {
            "edgesam": __version__,
            "width": image.width,
            "height": image.height,
            "mapping": found.mapping,
            "passport": runner.about(sam)["passport"],
            "objects": [without_pixels(record) for record in found.records],
            "milliseconds": {
                "read": due.read_ms,
                "wait": waited,
                "segment": segmented,
                "write": _ms(start),
            },
        }
        sidecar.write(order.output.path, request, facts)

    def _lost(self, _: int, error: Exception) -> None:
        """A picture could not be encoded."""
        due = self._under_way.popleft()
        if not isinstance(error, _OF_ONE):
            raise error
        for order, _request in due.orders:
            self._tally.failed(order.where, order.told, error)


def _words(prompt: Prompt) -> dict[str, Any]:
    """A prompt, ready for JSON."""
    points = None
    if prompt.point_coords is not None and prompt.point_labels is not None:
        labels = prompt.point_labels.tolist()
        points = [[x, y, n] for (x, y), n in zip(prompt.point_coords.tolist(), labels, strict=True)]
    return {"box": None if prompt.corners is None else prompt.corners.tolist(), "points": points}


def _is_full(error: BaseException) -> bool:
    """Whether every other file would fail as well."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _ms(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 1)
