"""What is known of how a mask's file was made, as JSON beside it. Knows no model and no patient.

``mask.png`` has ``mask.png.json``. It is written after the mask and holds the mask's sha256, so
that the two agree or the mask is known to be unfinished. One JSON object:

=============  ==================================================================================
schema         1
mask           ``sha256`` and ``bytes`` of the mask's file
request        what was asked for: ``input`` (:func:`edgesam.fingerprint.fingerprint` of the
               picture), ``window``, ``prompts``, ``select``, ``names``, ``kind`` of file,
               ``empty_frames``, ``model``, ``variant``, ``engine``, ``graphs`` (their sha256),
               ``profile`` (how pictures are prepared); ``files``, the sha256 of those that a DICOM
               object refers to
edgesam        version of edgesam
width, height  of the picture
mapping        how pixels became grey levels, in words
passport       mask IoU of the parity report that vouches for the graphs, or null
objects        of each object ``score``, ``area``, ``box``, and size in millimetres (``measured``)
milliseconds   ``read`` and ``wait`` (for the embedding) of the picture; ``segment`` and ``write``
=============  ==================================================================================

It holds no name, tag or path of the input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesam.atomic import write_atomic
from edgesam.digest import sha256_of
from edgesam.errors import ImageError

SCHEMA = 1

_LARGEST = 64 << 20  # bytes that are read; ours have a few kilobytes


def path_of(mask: Path) -> Path:
    """Where the sidecar of a mask's file is."""
    return mask.with_name(f"{mask.name}.json")


def write(mask: Path, request: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the sidecar of a mask that has just been written.

    Args:
        mask: its file.
        request: what was asked for, ready for JSON: all that :func:`is_done` compares.
        facts: the other entries.

    Raises:
        ImageError: it cannot be written.
        OSError: the mask cannot be read.
    """
    entries = {
        "schema": SCHEMA,
        "mask": {"sha256": sha256_of(mask), "bytes": mask.stat().st_size},
        "request": request,
        **facts,
    }
    text = json.dumps(entries, indent=1, allow_nan=False) + "\n"
    write_atomic(path_of(mask), text.encode(), error=ImageError)


def read(mask: Path) -> dict[str, Any] | None:
    """The sidecar's entries; None if there is none, or none that can be read."""
    try:
        with path_of(mask).open("rb") as file:
            entries = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(entries, dict) and entries.get("schema") == SCHEMA
    return entries if known else None


def is_done(mask: Path, request: Mapping[str, Any]) -> bool:
    """Whether the mask is there as it was written, and was made by that very request."""
    entries = read(mask)
    if entries is None or entries.get("request") != json.loads(json.dumps(request)):
        return False
    written = entries.get("mask")
    try:
        return isinstance(written, dict) and written.get("sha256") == sha256_of(mask)
    except OSError:
        return False
