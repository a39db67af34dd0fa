"""Which files of a folder belong together: DICOM series, archives, files alone. Decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesam.errors import EdgeSamError, ImageError
from edgesam.formats.dicom.dicomdir import is_dicomdir
from edgesam.formats.dicom.header import looks_like_dicom
from edgesam.formats.dicom.study import find_series
from edgesam.formats.quiet import quiet

_HEAD = 544
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Stack:
    """Files of one kind, taken one after another: each is read by itself.

    Attributes:
        files: in the order of their names; mostly one.
        series: number of the series inside the file that is meant, where it holds several.
        study: the DICOM study that they belong to, else their folder; empty of other
            formats. Only to keep what belongs together in one part.
    """

    files: tuple[Path, ...]
    series: int | None = None
    study: str = ""


def stacks_in(folder: Path, faults: list[str]) -> Iterator[Stack]:
    """All there are; a line is added to ``faults`` for what cannot be opened."""
    series: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            head = _head(path)
            if is_dicomdir(head, path) or _voxels_of_a_pair(path):
                continue  # the files that it names are here, too; the header reads them
            if head[:4] == _ZIP:
                yield from (Stack((path,), one.number) for one in find_series(path))
            elif looks_like_dicom(head):
                found = find_series(path)
                study = _study(path) or str(path.parent)  # without any, a folder is one study
                if len(found) > 1:
                    yield from (Stack((path,), one.number, study) for one in found)
                else:
                    series.setdefault((study, found[0].uid), []).append(path)
            else:
                yield Stack((path,))
        except EdgeSamError as error:
            faults.append(" ".join(str(error).split()))
    for (study, _), files in series.items():
        yield Stack(tuple(files), None, study)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened: {error.strerror}") from None


def _voxels_of_a_pair(path: Path) -> bool:
    return path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file()


def _study(path: Path) -> str:
    """StudyInstanceUID, empty if the file gives none."""
    from pydicom import dcmread

    with quiet("pydicom"):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
            return str(header.get("StudyInstanceUID", ""))
        except Exception:  # not chained: pydicom's messages quote values
            return ""
