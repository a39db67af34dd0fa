"""Boxes and points as words, for the command line and for lists. Knows no picture and no model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from edgesam.prompt import Prompt
    from edgesam.selection import Select

SELECTIONS = ("single", "best", "stability", "0", "1", "2")
"""Of :mod:`edgesam.selection`, in words."""

Numbers = tuple[float, ...]


def box(text: str) -> Numbers:
    """``x0,y0,x1,y1``.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    return _numbers(text, (4,), "x0,y0,x1,y1")


def point(text: str) -> Numbers:
    """``x,y`` or ``x,y,label`` as three numbers.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    numbers = _numbers(text, (2, 3), "x,y or x,y,0|1")
    return numbers if len(numbers) == 3 else (*numbers, 1.0)


def points(text: str) -> list[Numbers]:
    """Several :func:`point` with semicolons between them.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    return [point(part) for part in text.split(";")]


def prompts(boxes: Sequence[Numbers], clicks: Sequence[Numbers]) -> list[Prompt]:
    """One object from points and at most one box, or one object per box.

    Raises:
        PromptError: one of them cannot be meant.
    """
    from edgesam.prompt import Prompt

    if not clicks:
        return [Prompt(box=box) for box in boxes]
    coords, labels = [click[:2] for click in clicks], [click[2] for click in clicks]
    return [Prompt(coords, labels, box=boxes[0] if boxes else None)]


def selected(word: str | None) -> Select:
    """What ``--select`` means; None is the default."""
    return cast("Select", int(word) if word and word.isdecimal() else word or "single")


def is_name(text: str) -> bool:
    """What DICOM takes as a label (VR LO); every other format takes that too."""
    return bool(text.strip()) and len(text) <= 64 and text.isprintable() and "\\" not in text


def _numbers(text: str, counts: tuple[int, ...], form: str) -> Numbers:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return numbers
