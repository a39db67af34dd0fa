"""A cache gives what encoding would give, bit for bit, and encodes once."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import EdgeSamError, Embedding, EmbeddingCache, Image, Sam, Window, embedding_cache
from edgesam.bundle import Bundle
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.place import Place, Region

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]
PATIENCE = 20.0
ARRAY = 256 * 64 * 64 * 4
WHOLE = ARRAY + 2 * ARRAY  # with the picture's side of this engine


class Counting(FakeEngine):
    """Counts what it encodes, into numbers that float16 does not have."""

    def __init__(self, description: str = "fake:cpu", scale: float = 1.0, card: str = "") -> None:
        self.encoded = 0
        self.sides = 0
        self.scale = scale
        self.description, self.card = description, card
        self.hook: Callable[[], object] = lambda: None

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        engine = self

        class Session(FakeSession):
            description, card = engine.description, engine.card

            def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
                engine.encoded += 1
                engine.hook()
                ramp = np.linspace(-1, 1, 256 * 64 * 64, dtype=np.float32)
                mean = super().encode(image, *more)
                return (ramp.reshape(mean.shape) + mean) * np.float32(engine.scale)

            def image_side(self, embedding: NDArray[np.float32], *_: Any) -> ImageSide:
                engine.sides += 1
                return embedding + 1, embedding * 2

        return Session()


@pytest.fixture
def engine() -> Counting:
    return Counting()


@pytest.fixture
def bundle(make_bundle: Make) -> Bundle:
    return make_bundle(model="lite-medsam")


@pytest.fixture
def sam(bundle: Bundle, engine: Counting) -> Sam:
    return edgesam.load(bundle.path, engine=engine)


def same(ours: Embedding, theirs: Embedding) -> None:
    np.testing.assert_array_equal(ours.array, theirs.array)
    assert ours.array.dtype == theirs.array.dtype == np.float32
    for mine, other in zip(ours.side, theirs.side, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert (ours.fit, ours.encoder, ours.mapping) == (theirs.fit, theirs.encoder, theirs.mapping)


class TestMemory:
    def test_a_hit_is_what_encoding_gives(self, sam: Sam, engine: Counting, noise: Noise) -> None:
        cache, picture = EmbeddingCache(), noise(20, 30)
        first, again = cache.embed(sam, picture), cache.embed(sam, picture.copy())
        assert (engine.encoded, cache.hits, cache.misses) == (1, 1, 1)
        same(first, again)
        same(again, sam.embed(picture))

    def test_a_hit_is_of_the_picture_that_was_asked_for(
        self, sam: Sam, engine: Counting, noise: Noise
    ) -> None:
        """Two pictures may look the same to the encoder and lie elsewhere."""
        cache, pixels = EmbeddingCache(), noise(20, 30)
        place = Place(regions=(Region((0, 0, 29, 19), 1.0, 1.0, "PixelSpacing"),))
        cache.embed(sam, pixels)
        other = Image(pixels.astype(np.int16), place=place)
        shown = Window(127.5, 255, "linear_exact")
        found = cache.embed(sam, other, shown)
        assert engine.encoded == 1
        same(found, sam.embed(other, shown))
        assert found.place is place
        assert found.mapping != "as stored"

    def test_other_pixels_levels_models_and_engines_are_others(
        self, sam: Sam, engine: Counting, make_bundle: Make, noise: Noise
    ) -> None:
        cache, picture = EmbeddingCache(), noise(20, 30).astype(np.int16)
        changed = picture.copy()
        changed[7, 7] += 9
        other_graphs = make_bundle("other", model="lite-medsam", content="other").path
        openvino = Counting("openvino:cpu")
        sams = [
            sam,
            edgesam.load(other_graphs, engine=engine),
            edgesam.load(make_bundle("again", model="lite-medsam").path, engine=openvino),
        ]
        for other in sams:
            cache.embed(other, picture)
            cache.embed(other, changed)
            cache.embed(other, picture, Window(100, 50))
        assert (cache.hits, cache.misses) == (0, 9)
        assert cache.embed(sams[1], picture).encoder != cache.embed(sam, picture).encoder

    def test_another_card_is_another(self, make_bundle: Make, noise: Noise) -> None:
        path, cache = make_bundle("cards", model="lite-medsam").path, EmbeddingCache()
        for card in ("NVIDIA H200, CUDA 13.0", "NVIDIA H200, CUDA 13.1", "NVIDIA H200, CUDA 13.0"):
            sam = edgesam.load(path, engine=Counting("onnxruntime:cuda", card=card))
            assert sam.card == card
            cache.embed(sam, noise(20, 30))
        assert (cache.hits, cache.misses) == (1, 2)

    def test_another_machine_is_another(
        self, sam: Sam, noise: Noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache, picture = EmbeddingCache(), noise(20, 30)
        cache.embed(sam, picture)
        embedding_cache._here.cache_clear()
        monkeypatch.setattr(
            "edgesam.machine.versions", lambda: {"onnxruntime": "99", "pillow": "1"}
        )
        cache.embed(sam, picture)
        embedding_cache._here.cache_clear()
        monkeypatch.setattr(
            "edgesam.machine.versions", lambda: {"onnxruntime": "99", "pillow": "2"}
        )
        cache.embed(sam, picture)
        embedding_cache._here.cache_clear()
        assert cache.misses == 2, "what prepared the pixels does not matter, they are in the key"

    def test_bytes_are_the_limit_and_the_last_used_stay(self, sam: Sam, noise: Noise) -> None:
        cache = EmbeddingCache(memory=2 * WHOLE)
        pictures = [noise(9, 9, seed=seed) for seed in range(3)]
        for index in (0, 1, 0, 2):
            cache.embed(sam, pictures[index])
        assert (cache.hits, cache.misses) == (1, 3)
        cache.embed(sam, pictures[0])
        cache.embed(sam, pictures[2])
        assert (cache.hits, cache.misses) == (3, 3)
        cache.embed(sam, pictures[1])
        assert (cache.hits, cache.misses) == (3, 4)

    def test_what_never_fits_displaces_nothing(self, sam: Sam, noise: Noise) -> None:
        cache = EmbeddingCache(memory=WHOLE - 1)
        cache.embed(sam, noise(9, 9))
        cache.embed(sam, noise(9, 9))
        assert (cache.hits, cache.misses) == (0, 2)

    def test_clear(self, sam: Sam, noise: Noise, tmp_path: Path) -> None:
        cache = EmbeddingCache(folder=tmp_path / "cache")
        cache.embed(sam, noise(9, 9))
        cache.clear()
        assert list((tmp_path / "cache").iterdir()) == []
        cache.embed(sam, noise(9, 9))
        assert cache.misses == 2


class TestThreads:
    @pytest.mark.parametrize("half", [False, True])
    def test_one_computation_for_all_who_ask(
        self, sam: Sam, engine: Counting, noise: Noise, half: bool
    ) -> None:
        cache, picture = EmbeddingCache(half=half), noise(20, 30)
        asked = threading.Semaphore(0)
        engine.hook = lambda: [asked.acquire(timeout=PATIENCE) for _ in range(8)]
        found: list[Embedding] = []

        def ask() -> None:
            asked.release()
            found.append(cache.embed(sam, picture))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(found) == 8
        assert engine.encoded == 1
        for embedding in found[1:]:
            same(embedding, found[0])

    def test_who_waits_for_nothing_kept_gets_it(
        self, sam: Sam, engine: Counting, noise: Noise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache, picture, waiting = EmbeddingCache(0), noise(20, 30), threading.Event()

        class Watched(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waiting.set()
                return super().wait(timeout)

        original = embedding_cache._Pending.__init__

        def watched(pending: Any) -> None:
            original(pending)
            pending.over = Watched()

        monkeypatch.setattr(embedding_cache._Pending, "__init__", watched)
        engine.hook = lambda: waiting.wait(PATIENCE)
        other = threading.Thread(target=cache.embed, args=(sam, picture))
        other.start()
        cache.embed(sam, picture)
        other.join()
        assert (engine.encoded, cache.hits, cache.misses) == (1, 1, 1)

    def test_who_waits_for_one_that_fails_computes_it(
        self, sam: Sam, engine: Counting, noise: Noise
    ) -> None:
        cache, picture = EmbeddingCache(), noise(20, 30)
        begun, go = threading.Event(), threading.Event()
        errors: list[BaseException] = []

        def fail() -> None:
            engine.hook = lambda: None
            begun.set()
            go.wait(PATIENCE)
            raise KeyboardInterrupt

        engine.hook = fail

        def ask() -> None:
            try:
                cache.embed(sam, picture)
            except BaseException as error:
                errors.append(error)

        first = threading.Thread(target=ask)
        first.start()
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, go.set).start()
        same(cache.embed(sam, picture), sam.embed(picture))
        first.join()
        assert [type(error) for error in errors] == [KeyboardInterrupt]
        assert cache.misses == 1


class TestDisk:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "cache"

    def test_off_unless_asked_for(self, sam: Sam, noise: Noise, own_home: Path) -> None:
        before = set(Path.cwd().iterdir())
        EmbeddingCache().embed(sam, noise(9, 9))
        assert set(Path.cwd().iterdir()) == before
        assert [path.name for path in own_home.iterdir()] == ["verified"]

    @pytest.mark.parametrize("half", [False, True])
    def test_the_next_start_finds_it(
        self, sam: Sam, engine: Counting, noise: Noise, folder: Path, half: bool
    ) -> None:
        picture = noise(20, 30)
        first = EmbeddingCache(folder=folder, half=half).embed(sam, picture)
        cache = EmbeddingCache(folder=folder, half=half)
        again, third = cache.embed(sam, picture), cache.embed(sam, picture)
        assert (engine.encoded, cache.hits, cache.misses) == (1, 2, 0)
        same(again, first)
        same(third, first)
        (entry,) = folder.iterdir()
        assert entry.stat().st_size == ARRAY // (2 if half else 1) + 32

    def test_nothing_of_the_file_is_on_disk(self, sam: Sam, noise: Noise, folder: Path) -> None:
        EmbeddingCache(folder=folder).embed(sam, Image(noise(20, 30), modality="SECRET"))
        (entry,) = folder.iterdir()
        assert entry.read_bytes()[32:] == sam.embed(noise(20, 30)).array.tobytes()

    def test_half_and_whole_do_not_mix(self, sam: Sam, noise: Noise, folder: Path) -> None:
        picture = noise(20, 30)
        EmbeddingCache(folder=folder, half=True).embed(sam, picture)
        same(EmbeddingCache(folder=folder).embed(sam, picture), sam.embed(picture))

    def test_damage_is_computed_anew(
        self, sam: Sam, engine: Counting, noise: Noise, folder: Path
    ) -> None:
        picture = noise(20, 30)
        EmbeddingCache(folder=folder).embed(sam, picture)
        (entry,) = folder.iterdir()
        data = bytearray(entry.read_bytes())
        data[1000] ^= 4
        entry.write_bytes(data)
        same(EmbeddingCache(folder=folder).embed(sam, picture), sam.embed(picture))
        EmbeddingCache(folder=folder).embed(sam, picture)
        assert engine.encoded == 3  # once anew, once by sam.embed here

    def test_a_full_disk_is_no_cache(
        self,
        sam: Sam,
        noise: Noise,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        cache = EmbeddingCache(0, folder=folder)
        caplog.clear()
        monkeypatch.setattr(os, "fsync", full)
        for seed in (1, 2, 1, 2):
            same(cache.embed(sam, noise(9, 9, seed=seed)), sam.embed(noise(9, 9, seed=seed)))
        assert cache.misses == 4
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1


class TestHalf:
    def test_every_answer_is_rounded_also_the_first(self, sam: Sam, noise: Noise) -> None:
        cache, picture = EmbeddingCache(half=True), noise(20, 30)
        whole = sam.embed(picture)
        rounded = whole.array.astype(np.float16).astype(np.float32)
        assert not np.array_equal(rounded, whole.array)
        first, again = cache.embed(sam, picture), cache.embed(sam, picture)
        same(first, again)
        same(first, replace(whole, held=rounded, side=(rounded + 1, rounded * 2)))

    def test_seven_times_as_many_fit(self, sam: Sam, noise: Noise) -> None:
        cache = EmbeddingCache(WHOLE, half=True)
        for _ in range(2):
            for seed in range(6):
                cache.embed(sam, noise(9, 9, seed=seed))
        assert (cache.hits, cache.misses) == (6, 6)

    def test_numbers_beyond_it(self, bundle: Bundle, noise: Noise) -> None:
        sam = edgesam.load(bundle.path, engine=Counting(scale=1e6))
        with pytest.raises(EdgeSamError, match="beyond float16"):
            EmbeddingCache(half=True).embed(sam, noise(9, 9))
        EmbeddingCache().embed(sam, noise(9, 9))


def test_errors_are_those_of_embed(sam: Sam) -> None:
    with pytest.raises(edgesam.ImageError, match="NaN"):
        EmbeddingCache().embed(sam, np.full((3, 3), np.nan))
