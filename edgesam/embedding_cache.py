"""Embeddings kept for the next time the same picture is seen. Knows no thread of its own.

An embedding is found again by what the encoder would see and by all that changes its numbers: the
graphs, the variant, the engine and its version, the processor, the card. A hit is what encoding
would have given, bit for bit.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgesam import machine
from edgesam.cancel import Cancel
from edgesam.disk_store import DiskStore
from edgesam.embedding import Embedding, on_host
from edgesam.errors import EdgeSamError
from edgesam.levels import Levels
from edgesam.prepared import Picture, Prepared, prepare
from edgesam.sam import Sam

_Kept = Embedding | NDArray[np.float16]
_NO_MATTER = ("python", "numpy", "pillow")  # the prepared pixels are in the key already


class EmbeddingCache:
    """The embeddings that were used last. Many threads may use one cache, with many models.

    Several threads that ask for the same picture at once wait for one computation.

    Attributes:
        hits: how often an embedding was found.
        misses: how often it had to be computed.
    """

    def __init__(
        self,
        memory: int = 1 << 30,
        *,
        folder: str | os.PathLike[str] | None = None,
        disk: int = 8 << 30,
        half: bool = False,
    ) -> None:
        """An empty cache.

        Args:
            memory: bytes that are kept at most. An embedding of SAM takes 14 MiB.
            folder: where to keep them for other processes and the next start, too. Embeddings
                derive from patients' pictures, and parts of a picture can be guessed from them:
                None, the default, keeps nothing on disk. It is made for this user alone if it is
                not there; 4 MiB an embedding.
            disk: bytes that are kept in the folder at most.
            half: keep float16, 2 MiB an embedding in memory and on disk. Every embedding that
                this cache gives is then rounded, also the first time, and making it ready again
                takes as long as the picture's side of the decoder (about a hundredth of encoding).
                What it does to masks: docs/streaming.md.

        Raises:
            EdgeSamError: there is no such folder and it cannot be made.
        """
        self.hits = 0
        self.misses = 0
        self._half = half
        self._limit = memory
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._disk = None if folder is None else DiskStore(folder, disk)
        self._pending: dict[str, _Pending] = {}
        self._lock = threading.Lock()

    def embed(self, sam: Sam, image: Picture, window: Levels | None = None) -> Embedding:
        """:meth:`edgesam.Sam.embed`, or what it gave before; raises the same."""
        return self.encode(sam, prepare(image, window, sam.manifest, sam.pixels))

    def encode(self, sam: Sam, prepared: Prepared, cancel: Cancel | None = None) -> Embedding:
        """:meth:`edgesam.Sam.encode`, or what it gave before; raises the same.

        ``cancel`` ends an encoding of this call, not the waiting for another one's.
        """
        key = self._key(sam, prepared)
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                    self.hits += 1
                    break
                pending = self._pending.get(key)
                if pending is None:
                    mine = self._pending[key] = _Pending()
            if pending is None:
                return self._fill(mine, key, sam, prepared, cancel)
            pending.over.wait()
            if pending.kept is not None:
                kept = pending.kept
                with self._lock:
                    self.hits += 1
                break
            # The other one failed, which may have been its own fault.
        return _ready(kept, sam, prepared)

    def clear(self) -> None:
        """Forget everything, and remove the folder's entries."""
        with self._lock:
            self._kept.clear()
            self._size = 0
        if self._disk is not None:
            self._disk.clear()

    def _fill(
        self, mine: _Pending, key: str, sam: Sam, prepared: Prepared, cancel: Cancel | None
    ) -> Embedding:
        """Find it on disk or compute it, and let those know who wait for it."""
        try:
            mine.kept = self._from_disk(key, sam, prepared)
            if mine.kept is None:
                mine.kept = self._computed(key, sam, prepared, cancel)
            return _ready(mine.kept, sam, prepared)
        finally:
            with self._lock:
                del self._pending[key]
                if mine.kept is not None:
                    self._keep(key, mine.kept)
            mine.over.set()

    def _from_disk(self, key: str, sam: Sam, prepared: Prepared) -> _Kept | None:
        content = None if self._disk is None else self._disk.get(key)
        if content is None:
            return None
        with self._lock:
            self.hits += 1
        grid = sam.manifest.grid
        array = np.frombuffer(content, "<f2" if self._half else "<f4").reshape(1, -1, grid, grid)
        if self._half:
            return array.astype(np.float16)
        return sam.embedding(
            array.astype(np.float32), prepared.fit, prepared.mapping, prepared.place
        )

    def _computed(self, key: str, sam: Sam, prepared: Prepared, cancel: Cancel | None) -> _Kept:
        embedding = sam.encode(prepared, cancel)
        with self._lock:
            self.misses += 1
        if self._disk is None and not self._half:
            return embedding
        with np.errstate(over="ignore"):
            array = on_host(embedding.held).astype("<f2" if self._half else "<f4")
        if self._half and not np.isfinite(array).all():
            raise EdgeSamError(
                f"an embedding of {sam.model} has numbers beyond float16: leave out half=True"
            )
        if self._disk is not None:
            self._disk.put(key, array.tobytes())
        return array.astype(np.float16) if self._half else embedding

    def _keep(self, key: str, kept: _Kept) -> None:
        """Into memory, in the place of those that were not used for longest."""
        size = kept.nbytes
        if size > self._limit:
            return
        self._kept[key] = kept
        self._size += size
        while self._size > self._limit:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.nbytes

    def _key(self, sam: Sam, prepared: Prepared) -> str:
        graphs = sam.manifest.variants[sam.variant].graphs
        prepared.network_of(sam.manifest)  # that it is this model's
        facts = [
            *(f"{role} {sha256}" for role, sha256 in graphs.items()),
            sam.variant,
            sam.engine,
            sam.card,
            *_here(),
            f"float{16 if self._half else 32}",
            prepared.digest(),
        ]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def encoded(
    sam: Sam, prepared: Prepared, cache: EmbeddingCache | None, cancel: Cancel
) -> Embedding:
    """By way of the cache, if there is one."""
    if cache is None:
        return sam.encode(prepared, cancel)
    return cache.encode(sam, prepared, cancel)


class _Pending:
    """A computation that others may wait for; ``kept`` stays None where it failed."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.kept: _Kept | None = None


@cache
def _here() -> tuple[str, ...]:
    """What of this machine changes numbers."""
    versions = (f"{name} {v}" for name, v in machine.versions().items() if name not in _NO_MATTER)
    return machine.processor(), *machine.instruction_sets(), *versions


def _ready(kept: _Kept, sam: Sam, prepared: Prepared) -> Embedding:
    """As the embedding of this picture: another one may look the same to the encoder."""
    fit, mapping, place = prepared.fit, prepared.mapping, prepared.place
    if isinstance(kept, Embedding):
        return replace(kept, fit=fit, mapping=mapping, place=place)
    return sam.embedding(kept.astype(np.float32), fit, mapping, place)
