"""A list of pictures, prompts and outputs as CSV, checked whole. Opens no picture and no model."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.commands import chosen, prompts
from edgesam.commands.results import Output
from edgesam.errors import EdgeSamError
from edgesam.sidecar import path_of

if TYPE_CHECKING:
    from edgesam.levels import Levels
    from edgesam.prompt import Prompt

COLUMNS = ("image", "output", "box", "points", "slice", "frame", "series", "name", "window")
"""Those that a list may have; the first two and one of the next two it must have."""


@dataclass(frozen=True, eq=False)
class Row:
    """One mask that is asked for.

    Attributes:
        line: of the file, from 1, as an editor shows it.
        image: of the picture, volume or cine.
        prompt: one object.
        output: the mask's file.
        slice: of a volume.
        frame: of a multi-frame file.
        series: of several in a folder.
        window: grey levels, None for the picture's own.
    """

    line: int
    image: Path
    prompt: Prompt
    output: Output
    slice: int | None
    frame: int | None
    series: int | str | None
    window: Levels | None

    @property
    def picture(self) -> tuple[object, ...]:
        """What rows of the same picture have in common."""
        return self.image, self.slice, self.frame, self.series, self.window


def read_rows(
    path: Path, window: Levels | None, kind: str | None, *, empty_frames: bool
) -> list[Row]:
    """The rows of a list, in its order, at least one; paths are relative to the list's folder.

    Args:
        path: the list.
        window: where a row names none.
        kind: what the outputs hold, None to go by their suffixes.
        empty_frames: keep them, in DICOM SEG.

    Raises:
        EdgeSamError: it cannot be read, or a row of it cannot be meant; with the line's number.
    """
    rows = []
    try:
        for line, cells in _lines(path):
            try:
                rows.append(_row(path, line, cells, window, kind, empty_frames))
            except (EdgeSamError, argparse.ArgumentTypeError) as error:
                raise _wrong(path, line, str(error)) from None
    except UnicodeDecodeError:
        raise EdgeSamError(f"{path}: is not text in UTF-8; save the list as CSV UTF-8") from None
    except OSError as error:
        raise EdgeSamError(f"{path}: cannot be opened: {error.strerror}") from None
    if not rows:
        raise EdgeSamError(f"{path}: holds no row below the header")
    _check_files(path, rows)
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each row that is not empty."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] = []
        while True:
            line = reader.line_num + 1
            try:
                words = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                raise _wrong(path, line, f"is no line of CSV: {error}") from None
            if not any(words):
                continue
            if not header:
                header = [word.lower() for word in words]
                _check_header(path, header)
                continue
            if len(words) != len(header):
                raise _wrong(
                    path,
                    line,
                    f"has {len(words)} cells and the header {len(header)}; cells that hold "
                    'commas need quotes, as "10,20,110,120"',
                )
            yield line, dict(zip(header, words, strict=True))


def _check_header(path: Path, header: list[str]) -> None:
    known = ", ".join(COLUMNS)
    if len(header) == 1 and ";" in header[0]:
        raise EdgeSamError(f"{path}: semicolons stand between its columns; save it with commas")
    for name in header:
        if name not in COLUMNS:
            raise EdgeSamError(f"{path}: there is no column {name!r}; there are {known}")
        if header.count(name) > 1:
            raise EdgeSamError(f"{path}: has two columns {name}")
    for name in COLUMNS[:2]:
        if name not in header:
            raise EdgeSamError(f"{path}: has no column {name}; columns are {known}")
    if "box" not in header and "points" not in header:
        raise EdgeSamError(f"{path}: has neither a column box nor points; columns are {known}")


def _row(
    path: Path,
    line: int,
    cells: dict[str, str],
    window: Levels | None,
    kind: str | None,
    empty_frames: bool,
) -> Row:
    from edgesam.levels import parse_levels

    given = {name: cells.get(name, "") for name in COLUMNS}
    for name in COLUMNS[:2]:
        if not given[name] or "\0" in given[name]:
            raise EdgeSamError(f"the column {name} holds no file name")
    boxes = [prompts.box(given["box"])] if given["box"] else []
    clicks = prompts.points(given["points"]) if given["points"] else []
    if not boxes and not clicks:
        raise EdgeSamError("has neither a box nor points")
    if given["slice"] and given["frame"]:
        raise EdgeSamError("a slice is of a volume, a frame of a multi-frame file: give one")
    name = given["name"]
    if name and not prompts.is_name(name):
        raise EdgeSamError("a name has 1 to 64 printable characters and no backslash")
    return Row(
        line=line,
        image=path.parent / given["image"],
        prompt=prompts.prompts(boxes, clicks)[0],
        output=Output(path.parent / given["output"], kind, (name,) if name else (), empty_frames),
        slice=_count(given, "slice"),
        frame=_count(given, "frame"),
        series=chosen.series(given["series"] or None),
        window=parse_levels(given["window"]) if given["window"] else window,
    )


def _count(given: dict[str, str], name: str) -> int | None:
    text = given[name]
    if text and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise EdgeSamError(f"the {name} {text!r} is not a whole number from 0")
    return int(text) if text else None


def _check_files(path: Path, rows: list[Row]) -> None:
    """No file is written twice, and none that is read."""
    inputs = {_key(path): "the list itself"}
    for row in rows:
        inputs.setdefault(_key(row.image), f"the image of line {row.line}")
    outputs: dict[str, str] = {}
    for row in rows:
        mask = row.output.path
        try:
            row.output.check()
        except EdgeSamError as error:
            raise _wrong(path, row.line, str(error)) from None
        for file, what in ((mask, "the output"), (path_of(mask), "the output's sidecar")):
            key = _key(file)
            if key in inputs:
                raise _wrong(path, row.line, f"{what} {file} is {inputs[key]}")
            if key in outputs:
                raise _wrong(path, row.line, f"{what} {file} is {outputs[key]}, too")
            outputs[key] = f"{what} of line {row.line}"


def _key(path: Path) -> str:
    """The same for two ways to write one path."""
    return os.path.normcase(os.path.realpath(path))


def _wrong(path: Path, line: int, said: str) -> EdgeSamError:
    return EdgeSamError(f"{path}, line {line}: {said}")
