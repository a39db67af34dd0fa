"""A DICOMDIR (PS3.10 8.6): which files it names; reads none of them."""

from __future__ import annotations

import logging
from pathlib import Path

from edgesam.errors import ImageError

_DIRECTORY = b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage

_log = logging.getLogger("edgesam")


def is_dicomdir(head: bytes, path: Path) -> bool:
    """Whether a file is one, by its first 400 bytes or so, or else by its name."""
    if head[128:132] == b"DICM":
        return _DIRECTORY in head
    return path.name.upper() == "DICOMDIR"


def named_files(path: Path) -> list[Path]:
    """The files that the DICOMDIR at ``path`` names and that are there; the others are logged.

    To be called inside ``quiet("pydicom")``.

    Raises:
        ImageError: it cannot be read, or none of its files is there.
    """
    from pydicom import dcmread
    from pydicom.dataelem import RawDataElement

    try:
        header = dcmread(path)
        records = header.get_item("DirectoryRecordSequence")
        # pydicom reads what is left of a file that was cut short.
        if isinstance(records, RawDataElement) and len(records.value or b"") < records.length:
            raise EOFError
        names = [
            record.get("ReferencedFileID")
            for record in header.DirectoryRecordSequence
            if record.get("ReferencedFileID")
        ]
        parts = [
            [name] if isinstance(name, str) else [str(part) for part in name] for name in names
        ]
    except Exception:  # not chained: pydicom's messages quote values
        raise ImageError(
            f"{path}: damaged or not a DICOMDIR; give the folder that holds its files instead"
        ) from None
    found = [there for part in parts if (there := _below(path.parent, part)) is not None]
    missing = len(parts) - len(found)
    if not found:
        raise ImageError(
            f"{path}: none of the {missing} files that it names is there; keep it with its files"
        )
    if missing:
        _log.warning("%s: %d of the %d files it names are missing", path, missing, len(parts))
    return found


def _below(folder: Path, parts: list[str]) -> Path | None:
    """The file, in the case it was copied from a disc in; None if missing or not in the folder."""
    # A name is one of the folder's own: a directory must not lead to other people's files.
    if any(part in ("", ".", "..") or "/" in part or "\\" in part or ":" in part for part in parts):
        return None
    for names in (parts, [part.lower() for part in parts]):
        file = folder.joinpath(*names)
        if file.is_file():
            return file
    return None
