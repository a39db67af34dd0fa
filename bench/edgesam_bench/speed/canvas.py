"""Shapes and words on a picture, in points of a page; draws four times as fine. Knows no figure."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Colour = str
Anchor = Literal["left", "middle", "right"]

INK, SOFT, FAINT, HAIR, PAPER, CARD = (
    "#16202b",
    "#566372",
    "#8a95a1",
    "#e3e7ec",
    "#f4f6f8",
    "#ffffff",
)

_FINE = 4  # drawn so many times larger: Pillow does not smooth edges
_GIVEN = 2  # and given back so many times larger, for screens of twice the density
_ANCHORS = {"left": "ls", "middle": "ms", "right": "rs"}


class Canvas:
    """A page of a width and height in points, top left first."""

    def __init__(self, width: float, height: float) -> None:
        size = round(width * _FINE), round(height * _FINE)
        self._image = Image.new("RGB", size, PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0.0
    ) -> None:
        """A filled rectangle, its corners rounded."""
        if x1 - x0 < 0.25:
            return
        corners = [value * _FINE for value in (x0, y0, x1, y1)]
        corners[2] -= 1  # Pillow's last pixel is inside
        corners[3] -= 1
        self._draw.rounded_rectangle(corners, radius * _FINE, fill=fill)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: float = 1.0
    ) -> None:
        """With round ends where it is thick."""
        points = [value * _FINE for value in (x0, y0, x1, y1)]
        self._draw.line(points, fill=colour, width=max(1, round(width * _FINE)))
        if width > 2:
            for x, y in ((x0, y0), (x1, y1)):
                self.disk(x, y, width / 2, colour)

    def disk(
        self, x: float, y: float, radius: float, fill: Colour, rim: Colour | None = None
    ) -> None:
        """A filled circle; a rim of one point lies outside it."""
        if rim is not None:
            self.disk(x, y, radius + 1, rim)
        corners = [
            (x - radius) * _FINE,
            (y - radius) * _FINE,
            (x + radius) * _FINE,
            (y + radius) * _FINE,
        ]
        self._draw.ellipse(corners, fill=fill)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 12.0,
        colour: Colour = INK,
        anchor: Anchor = "left",
    ) -> None:
        """On the base line ``y``."""
        where = x * _FINE, y * _FINE
        self._draw.text(where, words, colour, _font(size), _ANCHORS[anchor])

    def heading(self, x: float, y: float, words: str, size: float) -> None:
        """Heavier text: Pillow's own typeface has one weight, so its outline is drawn, too."""
        stroke = max(1, round(0.022 * size * _FINE))
        self._draw.text(
            (x * _FINE, y * _FINE),
            words,
            INK,
            _font(size),
            "ls",
            stroke_width=stroke,
            stroke_fill=INK,
        )

    def fitting(self, words: str, size: float, width: float) -> str:
        """The text, its end cut off where it would be wider."""
        if text_width(words, size) <= width:
            return words
        while words and text_width(words + "…", size) > width:
            words = words[:-1]
        return words.rstrip() + "…"

    def image(self) -> Image.Image:
        """What was drawn, smooth."""
        width, height = (side * _GIVEN // _FINE for side in self._image.size)
        return self._image.resize((width, height), Image.Resampling.LANCZOS)


def text_width(words: str, size: float) -> float:
    """In points."""
    return _font(size).getlength(words) / _FINE


def tint(colour: Colour, share: float) -> Colour:
    """The colour, mixed with so much white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _FINE)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType")
    return font
