"""A bundle from raw pixels to masks on a card that is the host: real kernels and real graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import EmbeddingCache, Mask, Prompt, Sam, Window
from edgesam.embedding import on_host
from edgesam.engines.device.tensor import OnDevice
from edgesam.postprocess import mask_frame
from edgesam_kernels.bilinear import resize_logits

from ....kernels.host_cuda import why_not
from ..card import Card
from ..ort_double import OrtDouble

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

Noise = Callable[..., NDArray[np.uint8]]
BOXES = [Prompt.box(5, 10, 40, 50), Prompt.box(1, 2, 30, 33)]


@pytest.fixture
def card_of_ort() -> Card:
    return Card()


@pytest.fixture
def both(lite_bundle: Path, fake_ort: OrtDouble) -> Iterator[tuple[Sam, Sam]]:
    """On the card and on the CPU; the double takes the place of the latter's sessions last."""
    with pytest.MonkeyPatch.context() as patch:
        import onnxruntime

        patch.setattr(onnxruntime, "InferenceSession", fake_ort.Session.__base__)
        cpu = edgesam.load(lite_bundle, engine="onnxruntime", device="cpu")
    with edgesam.load(lite_bundle, engine="onnxruntime", device="cuda") as card, cpu:
        yield card, cpu


def test_it_says_where_it_runs(both: tuple[Sam, Sam]) -> None:
    assert [sam.engine for sam in both] == ["onnxruntime:cuda", "onnxruntime:cpu"]
    assert both[0].pixels is not None
    assert both[1].pixels is None


def test_embeddings_are_the_cpus(both: tuple[Sam, Sam], noise: Noise, card_of_ort: Card) -> None:
    """Bit for bit: the same input of the network, the same graphs, run plainly and recorded."""
    pictures: list[tuple[NDArray[Any], Window | None]] = [
        (noise(60, 80), None),
        (noise(301, 203).astype(np.int16) * 9 - 1000, Window(40, 400)),
        (noise(300, 20, 3), None),
        (noise(60, 80, seed=1), None),
    ]
    for pixels, window in pictures:
        found, wanted = (sam.embed(pixels, window) for sam in both)
        assert isinstance(found.held, OnDevice)
        np.testing.assert_array_equal(found.array, wanted.array)
        for ours, theirs in zip(found.side, wanted.side, strict=True):
            np.testing.assert_array_equal(on_host(ours), on_host(theirs))
        assert found.mapping == wanted.mapping
    assert "prepare_resize" in card_of_ort.launches


def test_masks_are_the_cpus(both: tuple[Sam, Sam], noise: Noise, card_of_ort: Card) -> None:
    """But for pixels whose logit is closer to 0 than float32 rounds."""
    for seed in range(2):
        embeddings = [sam.embed(noise(90, 70, seed=seed)) for sam in both]
        for _ in range(3):
            found, wanted = (
                sam.segment_batch(embedding, BOXES)
                for sam, embedding in zip(both, embeddings, strict=True)
            )
            for one, other in zip(found, wanted, strict=True):
                same(one, other, both[1], embeddings[1].fit)
    assert "finish" in card_of_ort.launches


def same(found: Mask, wanted: Mask, sam: Sam, fit: Any) -> None:
    np.testing.assert_array_equal(found.logits, wanted.logits)
    assert found.score == wanted.score
    frame = mask_frame(found.logits.shape[-1], fit, sam.manifest.profile)
    values = np.tanh(found.logits / 2) if frame.probabilities else found.logits
    clear = (
        np.abs(resize_logits(values, frame.square, frame.crop, frame.size))
        > 4e-7 * np.abs(values).max()
    )
    assert np.count_nonzero(~clear) <= 1 + clear.size // 1000
    np.testing.assert_array_equal(found.array[clear], wanted.array[clear])


def test_a_stream_is_the_loop(both: tuple[Sam, Sam], noise: Noise) -> None:
    pictures = [noise(64, 64, seed=seed) for seed in range(4)]
    wanted = [both[1].embed(picture).array for picture in pictures]
    found = [embedding.array for embedding in edgesam.stream(both[0], pictures, ahead=2)]
    np.testing.assert_array_equal(found, wanted)


def test_a_cache_knows_a_picture_again(both: tuple[Sam, Sam], noise: Noise) -> None:
    cache = EmbeddingCache()
    for _ in range(2):
        cache.embed(both[0], noise(64, 64))
    assert (cache.hits, cache.misses) == (1, 1)
