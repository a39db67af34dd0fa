"""Which TensorRT is here, the classic one or TensorRT-RTX. Knows packages, no graph and no GPU."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

_OLDEST, _BEFORE = 10, 12  # of classic TensorRT: those whose names the contract tests hold


@dataclass(frozen=True)
class Flavour:
    """One of the two libraries; what is called in them has the same names.

    Attributes:
        name: as on the package index and in plan keys.
        title: in messages.
        module: to import.
    """

    name: str
    title: str
    module: str

    @property
    def is_rtx(self) -> bool:
        """Whether it builds plans without a GPU, and finishes them on the GPU when they load."""
        return self is RTX

    def is_installed(self) -> bool:
        """Whether there is such a package, working or not."""
        return importlib.util.find_spec(self.module) is not None

    def load(self) -> Any:
        """The module.

        Raises:
            ImportError: it cannot be imported, or is of a version that nobody has looked at.
        """
        found = importlib.import_module(self.module)
        version = getattr(found, "__version__", None)
        if version is None:  # a folder that is left of a package that was removed
            raise ImportError(f"{self.module} has no version")
        if not self.is_rtx and not _OLDEST <= int(version.split(".")[0]) < _BEFORE:
            raise ImportError(f"it is {version}, and edgesam takes 10 and 11")
        return found


CLASSIC = Flavour("tensorrt", "TensorRT", "tensorrt")
RTX = Flavour("tensorrt-rtx", "TensorRT-RTX", "tensorrt_rtx")
# Nobody has classic TensorRT by accident, and it knows GPUs that TensorRT-RTX refuses.
FLAVOURS = (CLASSIC, RTX)


def flavour_here() -> Flavour | None:
    """The one to use: the first that is installed."""
    return next((flavour for flavour in FLAVOURS if flavour.is_installed()), None)


def flavour_called(name: str) -> Flavour:
    """The one of that name."""
    return next(flavour for flavour in FLAVOURS if flavour.name == name)
