"""Embeddings on a device: seen as arrays by programs, handed on as they are to the engine."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import EmbeddingCache, Prompt, Sam
from edgesam.bundle import Bundle
from edgesam.compat import SamPredictor
from edgesam.embedding import Embedding, ImageSide, Tensor, on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.fit import Fit

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]


class Far:
    """A tensor elsewhere; counts how often it was copied to the host."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.copies = 0
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return self._array.dtype

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    def host(self) -> NDArray[np.float32]:
        self.copies += 1
        return self._array.copy()


class Device(FakeEngine):
    """Keeps what its session gives, and what it is given."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []
        self.made: list[Far] = []

    def far(self, array: NDArray[np.float32]) -> Far:
        self.made.append(Far(array))
        return self.made[-1]

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        engine = self

        class Session(FakeSession):
            def encode(self, image: NDArray[np.float32], *more: Any) -> Any:
                return engine.far(super().encode(image, *more))

            def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
                engine.given.append(embedding)
                array = embedding._array if isinstance(embedding, Far) else embedding
                return engine.far(array + 1), engine.far(array * 2)

            def decode(
                self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
            ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
                engine.given += side
                return super().decode(side, prompts, tokens)

        return Session()


@pytest.fixture
def engine() -> Device:
    return Device()


@pytest.fixture
def sam(make_bundle: Make, engine: Device) -> Sam:
    return edgesam.load(make_bundle().path, engine=engine)


def copies(engine: Device) -> int:
    return sum(tensor.copies for tensor in engine.made)


FIT = Fit(60, 80, 1024, 768, 1024, 12.8, 12.8)


class TestResident:
    def test_clicks_copy_nothing_to_the_host(self, sam: Sam, engine: Device, noise: Noise) -> None:
        embedding = sam.embed(noise(60, 80))
        held, *side = engine.made
        assert embedding.held is held
        sam.segment(embedding, Prompt.box(10, 10, 30, 30))
        sam.segment(embedding, Prompt.point(20, 20), multimask=True)
        logits = np.zeros((256, 256), np.float32)
        sam.segment(embedding, Prompt(points=[[20, 20]], labels=[1], mask_input=logits))
        assert engine.given[:6] == [held, *side, *side, held]
        assert copies(engine) == 0
        assert embedding.nbytes == 3 * held.nbytes

    def test_an_array_is_copied_once_and_read_only(
        self, sam: Sam, engine: Device, noise: Noise
    ) -> None:
        embedding = sam.embed(noise(60, 80))
        with ThreadPoolExecutor(4) as pool:
            arrays = list(pool.map(lambda _: embedding.array, range(8)))
        assert all(array is arrays[0] for array in arrays)
        moved = replace(embedding, mapping="other")
        assert moved.array is arrays[0], "it is the same tensor's"
        assert copies(engine) == 1
        with pytest.raises(ValueError, match="read-only"):
            embedding.array[0] = 1

    def test_another_tensor_has_a_copy_of_its_own(self) -> None:
        first = Embedding(Far(np.ones((1, 2), np.float32)), (), FIT, "encoder", "as stored")
        assert first.array.sum() == 2
        other = replace(first, held=Far(np.zeros((1, 2), np.float32)))
        assert other.array.sum() == 0

    def test_a_copy_that_failed_is_asked_for_again(self) -> None:
        class Failing(Far):
            def host(self) -> NDArray[np.float32]:
                if not self.copies:
                    self.copies += 1
                    raise edgesam.OutOfMemory("no room")
                return super().host()

        embedding = Embedding(Failing(np.ones(2, np.float32)), (), FIT, "encoder", "as stored")
        with pytest.raises(edgesam.OutOfMemory):
            _ = embedding.array
        assert embedding.array.sum() == 2

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_what_is_sent_elsewhere_is_in_host_memory(
        self, sam: Sam, engine: Device, noise: Noise, duplicate: Callable[[Embedding], Embedding]
    ) -> None:
        embedding = sam.embed(noise(60, 80))
        sent = duplicate(embedding)
        for mine, theirs in zip((sent.held, *sent.side), engine.made, strict=True):
            assert isinstance(mine, np.ndarray)
            assert not mine.flags.writeable
            np.testing.assert_array_equal(mine, theirs.host())
        assert (sent.fit, sent.encoder, sent.mapping, sent.place) == (
            embedding.fit,
            embedding.encoder,
            embedding.mapping,
            embedding.place,
        )
        sam.segment(sent, Prompt.box(10, 10, 30, 30))


class TestHost:
    def test_an_array_is_the_engines_own(self) -> None:
        array = np.ones((1, 2), np.float32)
        embedding = Embedding(array, (array,), FIT, "encoder", "as stored")
        assert embedding.array is embedding.held is array
        assert on_host(array) is array
        assert embedding.nbytes == 2 * array.nbytes


class TestUsers:
    def test_the_cache_keeps_what_lies_on_the_device(
        self, sam: Sam, engine: Device, noise: Noise, tmp_path: Path
    ) -> None:
        memory = EmbeddingCache()
        first = memory.embed(sam, noise(60, 80))
        assert memory.embed(sam, noise(60, 80)).held is first.held
        assert copies(engine) == 0
        on_disk = EmbeddingCache(0, folder=tmp_path / "kept")
        stored = on_disk.embed(sam, noise(60, 80))
        assert copies(engine) == 1, "for the file; no array stays with the embedding"
        found = on_disk.embed(sam, noise(60, 80))
        assert on_disk.hits == 1
        assert isinstance(engine.given[-1], np.ndarray), "the session brings it to its device"
        np.testing.assert_array_equal(found.array, stored.array)

    def test_the_predictors_features_are_an_array(
        self, sam: Sam, engine: Device, noise: Noise
    ) -> None:
        predictor = SamPredictor(sam)
        predictor.set_image(noise(60, 80, 3))
        assert isinstance(predictor.features, np.ndarray)
        for _ in range(3):
            predictor.predict(box=np.array([10, 10, 30, 30]), multimask_output=False)
        assert copies(engine) == 1
        assert len([t for t in engine.given if t is engine.made[0]]) == 1

    def test_two_threads_ask_for_one_copy(self) -> None:
        """The second waits for the first instead of copying, too."""
        waits, goes = threading.Event(), threading.Event()

        class Slow(Far):
            def host(self) -> NDArray[np.float32]:
                waits.set()
                assert goes.wait(10)
                return super().host()

        far = Slow(np.ones(2, np.float32))
        embedding = Embedding(far, (), FIT, "encoder", "as stored")
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(lambda: embedding.array) for _ in range(2)]
            assert waits.wait(10)
            goes.set()
            first, second = (future.result(10) for future in asked)
        assert first is second
        assert far.copies == 1


def test_a_cpu_engine_takes_another_engines_tensors(lite_graphs: Graphs, noise: Noise) -> None:
    """And gives the same numbers as with arrays."""
    session = edgesam.engines.ENGINES["onnxruntime"].open(
        lite_graphs, precision="fp32", device="cpu", threads=1
    )
    embedding = on_host(session.encode(noise(1, 3, 256, 256).astype(np.float32) / 255))
    nothing = MaskPrompts.none(256)
    side = [on_host(part) for part in session.image_side(embedding, nothing)]
    far = session.image_side(Far(embedding), nothing)
    prompts = Prompts(np.full((1, 2, 2), 90, np.float32), np.array([[2, 3]], np.int32))
    wanted, _ = session.decode(tuple(side), prompts, (0,))
    found, _ = session.decode(tuple(Far(on_host(part)) for part in far), prompts, (0,))
    np.testing.assert_array_equal(found, wanted)
