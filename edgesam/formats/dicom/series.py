"""Sorts the slices of a study into series, each of which is one volume, cine or picture.

A DICOM series (one SeriesInstanceUID) becomes several here where its slices cannot stand in one
stack: other sizes, other orientations, several phases at the same positions. Opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgesam.errors import VolumeError
from edgesam.formats.dicom.geometry import Stack, along_normal, clusters, stack_of
from edgesam.formats.dicom.slice import Slice

MOSAIC = "Siemens mosaic: tiles of one picture, not split; sizes across tiles mean nothing"

_PARALLEL = 1e-4  # of a direction's components: headers round
_LISTED = 20  # series named in one message


@dataclass(frozen=True, eq=False)
class Series:
    """One stack of slices, one cine, or one picture.

    Attributes:
        path: where it was found: a file, a folder or an archive.
        number: in the list of what was found there, from 1.
        slices: in order along their normal, or else of their InstanceNumber.
        notes: how it was told apart from the rest of its DICOM series, a short sentence each.
        part: which one of that series' stacks it is, from 1, and how many there are.
    """

    path: Path
    number: int
    slices: tuple[Slice, ...]
    notes: tuple[str, ...] = ()
    part: tuple[int, int] = (1, 1)

    @property
    def uid(self) -> str:
        """SeriesInstanceUID; empty if the files give none."""
        return self.slices[0].series

    @property
    def modality(self) -> str | None:
        """DICOM's code."""
        return self.slices[0].modality

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.slices[0].size

    @property
    def count(self) -> int:
        """Slices or frames."""
        return sum(piece.frames for piece in self.slices)

    @property
    def kind(self) -> Literal["image", "volume", "cine"]:
        """What it opens as; a stack with faults is a volume that does not open."""
        if self.count == 1:
            return "image"
        first = self.slices[0]
        stacked = first.grid.position is not None and first.grey and not first.mosaic
        return "volume" if stacked else "cine"

    def __str__(self) -> str:
        what = "frame" if self.kind == "cine" else "slice"
        plural = "" if self.count == 1 else "s"
        told = (
            f"{self.number}: {self.modality or 'unknown'}, {self.count} {what}{plural} of "
            f"{self.size[0]} x {self.size[1]}"
        )
        which, of = self.part
        return told if of == 1 else f"{told} (part {which} of {of} of its series)"


def sort_series(path: Path, found: Iterable[Slice]) -> list[Series]:
    """All series, by SeriesNumber, then SeriesInstanceUID, then the order within."""
    by_uid: dict[str, list[Slice]] = {}
    for piece in found:
        by_uid.setdefault(piece.series, []).append(piece)
    order = sorted(by_uid, key=lambda uid: (_or_last(by_uid[uid][0].series_number), uid))
    series: list[Series] = []
    for uid in order:
        stacks = _stacks(by_uid[uid])
        for part, (slices, notes) in enumerate(stacks, start=1):
            series.append(Series(path, len(series) + 1, slices, notes, (part, len(stacks))))
    return series


def choose_series(path: Path, found: Sequence[Series], wanted: int | str | None) -> Series:
    """The series of that number or SeriesInstanceUID; the only one needs neither.

    Raises:
        VolumeError: there are several, or none of that number or UID; one line that lists them.
    """
    if wanted is None:
        fitting = list(found)
    elif isinstance(wanted, int) or wanted.isdecimal():
        fitting = [series for series in found if series.number == int(wanted)]
    else:
        fitting = [series for series in found if series.uid == wanted]
    if len(fitting) == 1:
        return fitting[0]
    shown = [str(series) for series in (fitting or found)[:_LISTED]]
    rest = len(fitting or found) - len(shown)
    listed = "; ".join(shown) + (f"; and {rest} more" if rest else "")
    how = "choose one with series=N or --series N"
    if fitting:
        raise VolumeError(f"{path}: holds {len(fitting)} series: {listed}; {how}")
    raise VolumeError(f"{path}: holds no such series; there are: {listed}; {how}")


def stack_of_series(series: Series) -> Stack | None:
    """The geometry of a volume; None for a picture or cine.

    The stack's faults include those that lie in the slices' values and not their places.
    """
    if series.kind != "volume":
        return None
    stack = stack_of([piece.grid for piece in series.slices])
    inverted = sum(piece.inverted for piece in series.slices)
    if 0 < inverted < len(series.slices):
        fault = f"{inverted} of {len(series.slices)} slices are MONOCHROME1, the others are not"
        return replace(stack, faults=(*stack.faults, fault))
    return stack


Stacked = tuple[tuple[Slice, ...], tuple[str, ...]]


def _stacks(pieces: list[Slice]) -> list[Stacked]:
    """One DICOM series -> its stacks with notes."""
    notes: list[str] = []
    kept = list({_identity(piece): piece for piece in pieces}.values())
    if len(kept) < len(pieces):
        notes.append(f"{len(pieces) - len(kept)} copies of slices in other files were left out")
    cines = [piece for piece in kept if piece.frames > 1]
    singles = [piece for piece in kept if piece.frames == 1]
    sizes = {piece.size for piece in singles}
    if len(sizes) > 1:
        listed = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        notes.append(f"mixed sizes in one DICOM series: {listed}")
    alike: dict[object, list[Slice]] = {}
    for piece in singles:
        alike.setdefault((piece.size, piece.grey, piece.mosaic), []).append(piece)
    flat = [group for pieces in alike.values() for group in _by_orientation(pieces)]
    if len(flat) > len(alike):
        notes.append(f"mixed orientations in one DICOM series: {len(flat)} stacks")
    flat.sort(key=lambda group: min(_in_time(piece) for piece in group))
    stacks: list[Stacked] = [((piece,), tuple(notes)) for piece in sorted(cines, key=_in_time)]
    for group in flat:
        phases = _phases(group)
        own = list(notes)
        if len(phases) > 1:
            own.append(f"every position occurs {len(phases)} times: split into phases")
        if any(piece.mosaic for piece in group):
            own.append(MOSAIC)
        if group[0].grid.position is None and len(group) > 1:
            own.append("no position in the patient: frames in the order of InstanceNumber")
        stacks += [(tuple(phase), tuple(own)) for phase in phases]
    return stacks


def _identity(piece: Slice) -> object:
    """What copies of one slice share; a file without a UID is like no other."""
    if not piece.uid:
        return piece.part
    return piece.uid, piece.part.frame, piece.instance, piece.grid, piece.times, piece.size


def _by_orientation(pieces: list[Slice]) -> list[list[Slice]]:
    """Slices with nearly the same directions; those without a place are a group of their own."""
    groups: list[list[Slice]] = []
    for piece in pieces:
        for group in groups:
            if _parallel(group[0], piece):
                group.append(piece)
                break
        else:
            groups.append([piece])
    return groups


def _parallel(one: Slice, other: Slice) -> bool:
    first = (*(one.grid.along_row or ()), *(one.grid.along_column or ()))
    second = (*(other.grid.along_row or ()), *(other.grid.along_column or ()))
    if len(first) != len(second):
        return False
    return all(abs(a - b) <= _PARALLEL for a, b in zip(first, second, strict=True))


def _phases(pieces: list[Slice]) -> list[list[Slice]]:
    """A stack, or the phases of one whose positions all occur equally often; each in order."""
    in_time = sorted(pieces, key=_in_time)
    if pieces[0].grid.position is None or len(pieces) == 1:
        return [in_time]
    distances = along_normal([piece.grid for piece in in_time])
    order = np.argsort(distances, kind="stable")
    numbers = clusters(distances[order])
    counts = np.bincount(numbers)
    # Order of position, then of time: neither is lost where positions are a rounding apart.
    ranked = [in_time[at] for _, at in sorted(zip(numbers.tolist(), order.tolist(), strict=True))]
    times = int(counts[0])
    if times == 1 or (counts != times).any():
        return [ranked]
    return [ranked[phase::times] for phase in range(times)]


def _in_time(piece: Slice) -> tuple[float, ...]:
    return (*map(_or_last, piece.times), _or_last(piece.instance), piece.part.frame)


def _or_last(number: int | None) -> float:
    return float("inf") if number is None else number
