"""The picture for a person: masks tinted and outlined where they are, prompts where they were."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam import Prompt
from edgesam.overlay import draw_overlay


def black(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "zoom"),
    [((512, 300), 1), ((2000, 8), 1), ((256, 256), 2), ((100, 60), 6), ((1, 1), 512)],
)
def test_small_pictures_are_enlarged_by_whole_factors(size: tuple[int, int], zoom: int) -> None:
    drawn = draw_overlay(black(*size), [], [])
    assert drawn.shape == (size[0] * zoom, size[1] * zoom, 3)
    assert drawn.dtype == np.uint8


def test_without_masks_and_prompts_it_is_the_picture() -> None:
    raw = np.random.PCG64(3).random_raw(600 * 520 * 3 // 8).astype("<u8").tobytes()
    picture = np.frombuffer(raw, np.uint8).reshape(600, 520, 3)
    np.testing.assert_array_equal(draw_overlay(picture, [], []), picture)
    np.testing.assert_array_equal(
        draw_overlay(picture[:256, :256], [], []),
        picture[:256, :256].repeat(2, axis=0).repeat(2, axis=1),
    )


def test_the_mask_is_tinted_and_outlined_where_it_is() -> None:
    mask = np.zeros((600, 520), np.bool_)
    mask[100:200, 50:90] = True
    drawn = draw_overlay(black(600, 520), [mask], [])
    touched = drawn.any(axis=2)
    np.testing.assert_array_equal(touched, mask)
    colour, tint = drawn[100, 50].astype(int), drawn[150, 70].astype(int)
    assert (drawn[100, 50:90] == colour).all()
    assert (drawn[199, 50:90] == colour).all()
    assert (drawn[100:200, 50] == colour).all()
    assert (drawn[100:200, 89] == colour).all()
    np.testing.assert_allclose(tint, 0.35 * colour, atol=1)


def test_objects_have_colours_of_their_own() -> None:
    masks = []
    for i in range(3):
        mask = np.zeros((600, 600), np.bool_)
        mask[100:200, 100 * i : 100 * i + 50] = True
        masks.append(mask)
    drawn = draw_overlay(black(600, 600), masks, [])
    colours = {tuple(drawn[100, 100 * i].tolist()) for i in range(3)}
    assert len(colours) == 3
    assert draw_overlay(black(600, 600), masks * 4, []).shape == (600, 600, 3)


def test_prompts_are_drawn_at_their_place() -> None:
    box = draw_overlay(black(256, 256), [], [Prompt.box(20, 40, 60, 100)]).any(axis=2)
    ys, xs = np.nonzero(box)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (40, 80, 120, 200)
    assert not box[100:180, 60:100].any()
    inside = draw_overlay(black(256, 256), [], [Prompt.point(20, 40)])
    outside = draw_overlay(black(256, 256), [], [Prompt.point(20, 40, 0)])
    ys, xs = np.nonzero(inside.any(axis=2))
    assert abs(xs.mean() - 41) < 1
    assert abs(ys.mean() - 81) < 1
    assert inside[81, 41, 1] > inside[81, 41, 0]  # green
    assert outside[81, 41, 0] > outside[81, 41, 1]  # red


def test_prompts_beside_the_picture_do_no_harm() -> None:
    prompts = [Prompt.box(-50, -50, 900, 900), Prompt.box(-1e9, 3, 1e9, 9), Prompt.point(256, 256)]
    assert draw_overlay(black(256, 256), [], prompts).shape == (512, 512, 3)


def test_the_input_is_not_changed() -> None:
    picture, mask = black(600, 600), np.ones((600, 600), np.bool_)
    draw_overlay(picture, [mask], [Prompt.box(1, 1, 9, 9)])
    assert not picture.any()
    assert mask.all()


@pytest.mark.parametrize(("aspect", "size"), [(2.5, (500, 600)), (0.5, (200, 1200))])
def test_pixels_are_drawn_square(aspect: float, size: tuple[int, int]) -> None:
    rgb = np.zeros((200, 600, 3), np.uint8)
    mask = np.zeros((200, 600), np.bool_)
    mask[100:150, 300:400] = True
    drawn = draw_overlay(rgb, [mask], [], aspect)
    assert drawn.shape == (*size, 3)
    rows, columns = np.nonzero(drawn.any(axis=2))
    height, width = size
    assert rows.min() == height // 2
    assert rows.max() == 3 * height // 4 - 1
    assert (columns.min(), columns.max()) == (width // 2, 2 * width // 3 - 1)
