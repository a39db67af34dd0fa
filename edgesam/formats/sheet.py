"""Pictures for a person to look at: labels over their slices, as a sheet or moving. No patient."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesam.atomic import write_atomic
from edgesam.cine import Cine
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.shown import Shown, between, shown
from edgesam.labels import Labels, Source
from edgesam.levels import Levels
from edgesam.overlay import COLOURS, tint

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_TILE = 480  # long side of a slice, in pixels
_WIDTH = 2000  # of a sheet, at most, unless one slice is wider
_TILES = 20  # on a sheet
_FRAMES = 120  # of an animation
_LINE = 22  # height of a line of text
_TEXT = 15  # size of its letters
_GAP = 6  # around slices and words
_NAMED = 12  # labels in the legend
_PACE = 100  # milliseconds from slice to slice
_FASTEST = 20  # viewers slow down GIFs that ask for less
_PAPER, _INK = (24, 24, 24), (235, 235, 235)

Colour = tuple[int, int, int]
_Item = TypeVar("_Item")


def write_sheet(
    path: str | os.PathLike[str], labels: Labels, source: Source, window: Levels | None = None
) -> None:
    """Writes labels tinted and outlined over what they lie on.

    ``.png`` is a sheet of the slices or frames that hold a label, at most 20, evenly chosen;
    ``.gif`` moves through all from the first of these to the last, at most 120. The picture says
    how many there are. Pixels that are not square are stretched until they are.

    Args:
        path: to write, ending in .png or .gif; replaced if it exists.
        labels: on the source's grid.
        source: what they lie on.
        window: grey levels to show, else those of :meth:`edgesam.Image.to_rgb8`.

    Raises:
        VolumeError: the labels are not of the source's size, or no pixel has one.
        ImageError: another ending, the file cannot be written, a slice cannot be decoded, or is in
            colour and a window was given.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".gif"):
        raise ImageError(f"cannot write {path}: a sheet is a .png, or a .gif that moves")
    pictures = shown(labels, source) if suffix == ".png" else between(labels, source)
    if not pictures:
        raise VolumeError(f"cannot draw {path}: no pixel has a label")
    if suffix == ".png":
        data = _sheet(pictures, labels, window)
    else:
        pace = source.milliseconds if isinstance(source, Cine) else None
        data = _animation(pictures, labels, window, pace or _PACE)
    write_atomic(path, data)


def _sheet(pictures: Sequence[Shown], labels: Labels, window: Levels | None) -> bytes:
    from PIL import Image as Pillow

    chosen = _evenly(pictures, _TILES)
    tiles, mappings = _tiles(chosen, window)
    across = max(tile.width for tile in tiles) + _GAP
    down = max(tile.height for tile in tiles) + _GAP
    columns = min(len(tiles), max(1, _WIDTH // across))
    rows = -(-len(tiles) // columns)
    head = _head(_counted(pictures, chosen), mappings, _named(chosen, labels), columns * across)
    paper = Pillow.new("RGB", (columns * across, head.height + rows * down), _PAPER)
    paper.paste(head, (0, 0))
    for i, tile in enumerate(tiles):
        paper.paste(tile, (i % columns * across, head.height + i // columns * down))
    data = io.BytesIO()
    paper.save(data, "PNG")
    return data.getvalue()


def _animation(
    pictures: Sequence[Shown], labels: Labels, window: Levels | None, milliseconds: float
) -> bytes:
    from PIL import Image as Pillow

    chosen = _evenly(pictures, _FRAMES)
    tiles, mappings = _tiles(chosen, window)
    width = tiles[0].width
    head = _head(_counted(pictures, chosen), mappings, _named(chosen, labels), width)
    frames: list[Picture] = []
    for tile in tiles:
        frame = Pillow.new("RGB", (width, head.height + tile.height), _PAPER)
        frame.paste(head, (0, 0))
        frame.paste(tile, (0, head.height))
        frames.append(frame.quantize(256, dither=Pillow.Dither.NONE))
    pace = max(_FASTEST, round(milliseconds * len(pictures) / len(chosen)))
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:], duration=pace, loop=0)
    return data.getvalue()


def _tiles(chosen: Sequence[Shown], window: Levels | None) -> tuple[list[Picture], list[str]]:
    """Each slice drawn, and the words for its grey levels."""
    drawn = [_tile(picture, window) for picture in chosen]
    return [tile for tile, _ in drawn], [mapping for _, mapping in drawn]


def _tile(picture: Shown, window: Levels | None) -> tuple[Picture, str]:
    """One slice with its labels, its pixels square, its number above it."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    image = picture.image()
    rgb, mapping = image.to_rgb8(window)
    tall = image.height * image.pixel_aspect  # in widths of a pixel
    scale = _TILE / max(tall, image.width)
    size = max(1, round(image.width * scale)), max(1, round(tall * scale))
    drawn = np.array(Pillow.fromarray(rgb).resize(size, Pillow.Resampling.BILINEAR))
    for number, mask in picture.objects():
        tint(drawn, _resized(mask, size), _colour(number))
    tile = Pillow.new("RGB", (size[0], _LINE + size[1]), _PAPER)
    tile.paste(Pillow.fromarray(drawn), (0, _LINE))
    words = picture.kind if picture.kind == "picture" else f"{picture.kind} {picture.index}"
    ImageDraw.Draw(tile).text((_GAP, 2), words, fill=_INK, font_size=_TEXT)
    return tile, mapping


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask at (width, height); a shrinking one keeps all that it touches."""
    from PIL import Image as Pillow

    grey = Pillow.fromarray(mask.astype(np.float32))
    return np.asarray(grey.resize(size, Pillow.Resampling.BOX)) > 0


def _counted(pictures: Sequence[Shown], chosen: Sequence[Shown]) -> str:
    """How many are shown, of how many."""
    kind, first, last = pictures[0].kind, pictures[0].index, pictures[-1].index
    if len(pictures) == 1:
        return f"1 {kind}"
    if len(chosen) == len(pictures):
        return f"{len(pictures)} {kind}s, {first} to {last}"
    return f"{len(chosen)} of {len(pictures)} {kind}s, evenly chosen from {first} to {last}"


def _named(chosen: Sequence[Shown], labels: Labels) -> list[tuple[str, Colour]]:
    """Names of the labels that are shown, each in its colour, as far as there is room."""
    here = sorted({int(number) for picture in chosen for number in np.unique(picture.array)} - {0})
    names = [(_line(labels.labels[n - 1].name), _colour(n)) for n in here[:_NAMED]]
    return names if len(here) <= _NAMED else [*names, (f"and {len(here) - _NAMED} more", _INK)]


def _line(name: str) -> str:
    return " ".join(name.split())


def _colour(label: int) -> Colour:
    return COLOURS[(label - 1) % len(COLOURS)]


def _head(
    counted: str, mappings: Sequence[str], names: Sequence[tuple[str, Colour]], width: int
) -> Picture:
    """What is shown, in which grey levels, and the labels' names in their colours."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    same = len(set(mappings)) == 1
    levels = mappings[0] if same else f"grey levels differ, of the first: {mappings[0]}"
    words = [(counted, _INK), (levels, _INK), *names]
    font = ImageFont.load_default(_TEXT)
    placed, x, line = [], _GAP, 0
    for text, colour in words:
        length = round(font.getlength(text))
        if x > _GAP and x + length > width:
            x, line = _GAP, line + 1
        placed.append(((x, line * _LINE + 2), text, colour))
        x += length + 3 * _GAP
    head = Pillow.new("RGB", (width, (line + 1) * _LINE), _PAPER)
    for at, text, colour in placed:
        ImageDraw.Draw(head).text(at, text, fill=colour, font=font)
    return head


def _evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most that many, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]
