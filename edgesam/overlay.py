"""A picture for a person: masks tinted and outlined over what the model saw, prompts drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgesam.prompt import Prompt

_TINT = 0.35
_DOT = 4  # radius of a point, in pixels of the result
_LEGIBLE = 512  # pictures smaller than this are enlarged by whole factors
_INSIDE, _OUTSIDE, _BOX = (80, 220, 100), (230, 70, 70), (255, 210, 60)
# Okabe and Ito's palette (2008): told apart by people who see colours differently.
COLOURS = ((0, 158, 255), (230, 159, 0), (0, 200, 140), (204, 121, 187), (240, 228, 66))


def draw_overlay(
    rgb: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    prompts: Sequence[Prompt],
    pixel_aspect: float = 1.0,
) -> NDArray[np.uint8]:
    """Tint each mask in its own colour, outline it, and draw the prompts.

    Args:
        rgb: (H, W, 3) as the model saw it.
        masks: (H, W) each.
        prompts: in pixels of the picture.
        pixel_aspect: height of a pixel by its width; the result's pixels are square.

    Returns:
        (H k, W k, 3) uint8, k being the whole factor that makes a small picture legible; of pixels
        that are not square, the shorter side is enlarged further.
    """
    from PIL import Image, ImageDraw

    zoom = max(1, -(-_LEGIBLE // max(rgb.shape[:2])))
    down, right = zoom * max(1.0, pixel_aspect), zoom * max(1.0, 1 / pixel_aspect)
    rows, columns = _nearest(rgb.shape[0], down), _nearest(rgb.shape[1], right)
    canvas = rgb[rows][:, columns]
    for i, mask in enumerate(masks):
        tint(canvas, mask[rows][:, columns], COLOURS[i % len(COLOURS)])
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for prompt in prompts:
        if prompt.corners is not None:
            sides = zip(prompt.corners, (right, down, right, down), strict=True)
            pen.rectangle([float(v) * scale for v, scale in sides], outline=_BOX, width=2)
        if prompt.point_coords is not None and prompt.point_labels is not None:
            for (x, y), label in zip(prompt.point_coords, prompt.point_labels, strict=True):
                left, top = (x + 0.5) * right - _DOT, (y + 0.5) * down - _DOT
                pen.ellipse(
                    (left, top, left + 2 * _DOT, top + 2 * _DOT),
                    fill=_INSIDE if label else _OUTSIDE,
                    outline=(255, 255, 255),
                )
    return np.asarray(picture)


def _nearest(count: int, scale: float) -> NDArray[np.intp]:
    """For each row or column of the enlarged picture, which one it shows."""
    shown = np.arange(max(1, round(count * scale)))
    return np.minimum(((shown + 0.5) / scale).astype(np.intp), count - 1)


def tint(canvas: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Blend and outline in place; the work and the memory are those of the mask's own pixels."""
    blended = (1 - _TINT) * canvas[mask].astype(np.float32) + _TINT * np.array(colour, np.float32)
    canvas[mask] = np.rint(blended).astype(np.uint8)
    canvas[_outline(mask)] = colour


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask that touch its outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
