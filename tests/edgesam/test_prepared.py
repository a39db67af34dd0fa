"""The two halves of Sam.embed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Cine, Image, ImageError, OutOfMemory, Window
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine
from edgesam.place import Place, Region
from edgesam.prepared import prepare

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]


def test_the_halves_make_the_whole(make_bundle: Make, noise: Noise) -> None:
    sam = edgesam.load(make_bundle().path, engine=FakeEngine())
    place = Place(regions=(Region((0, 0, 29, 19), 1.0, 1.0, "PixelSpacing"),))
    image = Image(noise(20, 30).astype(np.int16), place=place)
    prepared = prepare(image, Window(100, 50), sam.manifest)
    half, whole = sam.encode(prepared), sam.embed(image, Window(100, 50))
    np.testing.assert_array_equal(half.array, whole.array)
    assert (half.fit, half.mapping, half.place) == (whole.fit, whole.mapping, place)
    assert prepared.network.shape == (1, 3, 1024, 1024)
    assert prepared.network.dtype == np.float32


def test_pictures_of_another_model_are_refused(make_bundle: Make, noise: Noise) -> None:
    bundle = make_bundle()
    sam = edgesam.load(bundle.path, engine=FakeEngine())
    lite = edgesam.load(make_bundle("lite", model="lite-medsam").path, engine=FakeEngine())
    with pytest.raises(ImageError, match="another model than mobile-sam"):
        sam.encode(prepare(noise(9, 9), None, lite.manifest))
    # of the same size, but normalised otherwise
    other = replace(sam.manifest, profile=replace(sam.manifest.profile, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(ImageError, match="another model"):
        sam.encode(prepare(noise(9, 9), None, other))


def test_what_cannot_be_prepared(
    make_bundle: Make, make_cine: Callable[..., Cine], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_bundle().manifest
    with pytest.raises(ImageError, match="NaN"):
        prepare(np.full((5, 5), np.nan), None, manifest)
    with pytest.raises(ImageError, match="choose one"):
        prepare(make_cine(), None, manifest)

    def too_much(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("edgesam.prepared.network_input", too_much)
    with pytest.raises(OutOfMemory, match="6 x 5 pixels"):
        prepare(np.zeros((5, 6), np.uint8), None, manifest)
