"""The CUDA C sources, one file per kernel; knows only where they lie."""

from __future__ import annotations

from importlib.resources import files


def source(name: str) -> str:
    """The text of a kernel's file, as ``finish``; it includes nothing.

    Raises:
        FileNotFoundError: there is no such kernel.
    """
    return files(__name__).joinpath(f"{name}.cu").read_text("utf-8")


def names() -> list[str]:
    """Of all kernels, sorted."""
    here = files(__name__).iterdir()
    return sorted(entry.name[:-3] for entry in here if entry.name.endswith(".cu"))
