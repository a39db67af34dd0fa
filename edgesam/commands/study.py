"""How ``edgesam doctor`` looks at a file or a study: how it is read, what is odd, what comes back.

Of what the files hold only geometry, grey levels and faults are told, no tags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesam.commands.findings import Finding
from edgesam.errors import EdgeSamError

_TOLD = 1e-3  # millimetres: less is rounding

if TYPE_CHECKING:
    from edgesam.cine import Cine
    from edgesam.image import Image
    from edgesam.volume import Volume


def read_and_describe(
    path: Path, frame: int | None, series: str | None
) -> tuple[dict[str, Any], Iterator[Finding]]:
    """What a program wants to know of a picture, and findings for everybody.

    Raises:
        EdgeSamError: it is one file, and cannot be read.
    """
    from edgesam.formats import is_study, read

    if is_study(path):
        return {}, _study(path, series)
    with _heard() as warnings:
        found = read(path, frame=frame)
    said = [Finding("read", "note", text) for text in dict.fromkeys(warnings)]
    return _facts(found), chain(said, _findings(found))


def _study(path: Path, wanted: str | None) -> Iterator[Finding]:
    """Each series; of those that are asked for, or the only one, also what writers make of it."""
    from edgesam.formats.dicom.problems import problems
    from edgesam.formats.dicom.reading import open_series
    from edgesam.formats.dicom.series import choose_series
    from edgesam.formats.dicom.study import find_series

    found = find_series(path)
    chosen = found if wanted is None else [choose_series(path, found, wanted)]
    for series in chosen:
        yield Finding("series", "ok", str(series))
        for sentence in problems(series):
            yield Finding(f"series {series.number}", "note", sentence)
        try:
            with _heard():  # what it would warn of has just been told
                opened = open_series(series)
        except EdgeSamError as error:
            yield Finding(f"series {series.number}", "problem", str(error))
            continue
        if len(chosen) == 1:
            yield from _findings(opened)
    if len(chosen) > 1:
        yield Finding("series", "note", "choose one with --series N to see it read and written")


@contextmanager
def _heard() -> Iterator[list[str]]:
    """The warnings that are logged meanwhile: they are findings, and not shown twice."""
    log = logging.getLogger("edgesam")
    warnings: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        warnings.append(record.getMessage())
        return False

    log.addFilter(keep)
    try:
        yield warnings
    finally:
        log.removeFilter(keep)


def _findings(found: Image | Volume | Cine) -> Iterator[Finding]:
    """What was read, how a model would see it, and the test mask's way through the writers."""
    from edgesam.image import Image
    from edgesam.volume import Volume

    if isinstance(found, Image):
        yield Finding("picture", "ok", _size(found))
        image = found
    elif isinstance(found, Volume):
        yield Finding("volume", "ok", str(found))
        image = found.slice(found.count() // 2)
    else:
        yield Finding("cine", "ok", str(found))
        image = found.frame(len(found) // 2)
    yield Finding("pixel size", "ok" if image.place and image.place.regions else "note", _mm(image))
    _, mapping = image.to_rgb8()
    yield Finding("grey levels", "ok", f"shown to a model as: {mapping}")
    if isinstance(found, Volume):
        yield from _trips(found)
    elif image.place is not None and image.place.affine is not None and image.pixels.ndim == 2:
        yield from _trips(Volume.of_image(image))


def _trips(volume: Volume) -> Iterator[Finding]:
    from edgesam.roundtrip import round_trips

    apart: dict[str, list[str]] = {}  # formats that were not tried, by reason
    for trip in round_trips(volume):
        if trip.millimetres is None and not trip.problem:
            apart.setdefault(trip.reason.removeprefix(f"{trip.kind} "), []).append(trip.kind)
            continue
        text = trip.reason
        if trip.millimetres is not None:
            shown = f"{trip.millimetres:.3g}" if trip.millimetres >= _TOLD else "0"
            text = f"a test mask came back {shown} mm from where it was"
        yield Finding(f"write {trip.kind}", "problem" if trip.problem else "ok", text)
    for reason, kinds in apart.items():
        yield Finding(f"write {', '.join(kinds)}", "note", reason)


def _facts(found: Image | Volume | Cine) -> dict[str, Any]:
    from edgesam.image import Image

    if not isinstance(found, Image):
        return {}
    _, mapping = found.to_rgb8()
    return {
        "width": found.width,
        "height": found.height,
        "pixels": _stored(found),
        "mapping": mapping,
    }


def _size(image: Image) -> str:
    return f"{image.width} x {image.height} pixels (as stored: {_stored(image)})"


def _stored(image: Image) -> str:
    return f"{'x'.join(map(str, image.pixels.shape))} {image.pixels.dtype}"


def _mm(image: Image) -> str:
    regions = image.place.regions if image.place else ()
    if not regions:
        return "unknown spacing: sizes are in pixels"
    first = regions[0]
    told = f"{first.column:.4g} x {first.row:.4g} mm ({first.source})"
    more = len(regions) - 1
    return f"{told}, and {more} more region{'s' if more > 1 else ''}" if more else told
