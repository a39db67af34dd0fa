"""The CUDA C sources, one file per kernel; knows only where they lie."""

from __future__ import annotations

import re
from importlib.resources import files

_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def source(name: str) -> str:
    """The text of a kernel's file, as ``finish``, with what it shares with others in its place.

    Raises:
        FileNotFoundError: there is no such kernel.
    """
    text = files(__name__).joinpath(f"{name}.cu").read_text("utf-8")
    return _INCLUDE.sub(lambda include: _shared(include[1]), text)


def names() -> list[str]:
    """Of all kernels, sorted."""
    here = files(__name__).iterdir()
    return sorted(entry.name[:-3] for entry in here if entry.name.endswith(".cu"))


def _shared(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
