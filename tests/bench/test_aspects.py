"""One picture of each aspect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesam_bench.aspects import one_of_each_aspect
from edgesam_bench.pictures import Picture


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Square, wide, wider, large, each with its own number in the corner."""
    made = []
    for number, (width, height) in enumerate([(40, 40), (50, 40), (90, 30), (100, 80)]):
        pixels = np.zeros((height, width), np.uint8)
        pixels[0, -1] = number
        file = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(file)
        made.append(Picture(str(number), file, file, "ct", "made", instances=True))
    return made


def test_square_wide_high(pictures: list[Picture]) -> None:
    chosen = one_of_each_aspect(pictures)
    assert [p.name for p in chosen] == ["0", "3", "2-turned"]
    assert [p.pixels().shape for p in chosen] == [(40, 40, 3), (80, 100, 3), (90, 30, 3)]


def test_the_high_one_is_turned_with_its_labels(pictures: list[Picture]) -> None:
    turned = one_of_each_aspect(pictures)[2]
    assert turned.pixels()[0, 0].tolist() == [2, 2, 2]  # the right end of its top row, before
    assert turned.labels()[0, 0] == 2
    assert np.array_equal(turned.labels(), turned.pixels()[:, :, 0])


def test_without_them_it_says_so(pictures: list[Picture]) -> None:
    for few in (pictures[1:], pictures[:2], []):
        with pytest.raises(ValueError, match="lists no square picture, or fewer than two wide"):
            one_of_each_aspect(few)
