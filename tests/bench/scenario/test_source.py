"""Where a scenario's pictures come from, and what is too little."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
from edgesam.errors import EdgeSamError, ImageError
from edgesam_bench.scenario.script import LEAST
from edgesam_bench.scenario.source import RATE, opened

Noise = Callable[..., NDArray[np.uint8]]


def test_drawn_ones() -> None:
    source = opened(None)
    assert len(source.readers) >= LEAST
    first, second = (source.readers[n]().pixels for n in (0, 1))
    assert first.shape == (source.height, source.width) == (512, 512)
    assert np.any(first != second)
    boxes = [source.prompt(number).corners for number in (0, 1)]
    assert all(box is not None for box in boxes)
    assert not np.array_equal(boxes[0], boxes[1])  # type: ignore[arg-type]


def test_a_folder_of_pictures_in_the_order_of_their_names(tmp_path: Path, noise: Noise) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1, LEAST + 1):
        Pillow.fromarray(noise(20, 30, seed=number)).save(folder / f"{number}.png")
    source = opened(folder)
    assert (source.name, source.height, source.width, source.rate) == ("pictures", 20, 30, RATE)
    pixels = source.readers[9]().pixels
    np.testing.assert_array_equal(pixels, noise(20, 30, seed=10))


def test_a_cine_keeps_its_pace(tmp_path: Path, noise: Noise) -> None:
    frames = [Pillow.fromarray(noise(20, 30, seed=n)) for n in range(LEAST)]
    path = tmp_path / "heart.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    assert isinstance(edgesam.read(path), edgesam.Cine)
    source = opened(path)
    assert (len(source.readers), source.rate) == (LEAST, 20.0)


def test_too_few(tmp_path: Path, noise: Noise) -> None:
    path = tmp_path / "one.png"
    Pillow.fromarray(noise(20, 30)).save(path)
    with pytest.raises(ImageError, match=f"needs at least {LEAST} pictures, here is 1: name a"):
        opened(path)
    with pytest.raises(EdgeSamError, match=r"nothing\.png"):
        opened(tmp_path / "nothing.png")
