"""The folder edgesam keeps its files in. Knows nothing of what lies there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgesam.errors import EdgeSamError


def home() -> Path:
    """``EDGESAM_HOME``, else the system's cache folder for this user; it need not exist.

    Raises:
        EdgeSamError: there is no home folder to derive it from.
    """
    if chosen := os.environ.get("EDGESAM_HOME"):
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError:
            raise EdgeSamError(
                f"EDGESAM_HOME is {chosen!r}, and there is no such home folder: "
                "set it to a writable folder"
            ) from None
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "edgesam"
        cache = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG specification: a relative path is invalid and ignored.
        return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "edgesam"
    except RuntimeError:
        raise EdgeSamError(
            "this user has no home folder: set EDGESAM_HOME to a writable folder"
        ) from None


def bundle_path(model: str) -> Path:
    """Where ``edgesam pull`` puts a known model's bundle; it need not be there."""
    return home() / "bundles" / model
