"""edgesam: Segment Anything on medical images, where they are made, without PyTorch.

import edgesam
from edgesam import Prompt

with edgesam.load("lite-medsam") as sam:
    embedding = sam.embed(edgesam.read("slice.dcm"))
    mask = sam.segment(embedding, Prompt.box(120, 80, 260, 210))
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesam.automatic import everything
    from edgesam.embedding import Embedding
    from edgesam.errors import (
        BundleError,
        ChecksumMismatch,
        EdgeSamError,
        EngineUnavailable,
        ExportError,
        ImageError,
        ModelNotFound,
        OutOfMemory,
        ParityError,
        PrecisionMismatch,
        PromptError,
    )
    from edgesam.fit import Fit
    from edgesam.formats import read
    from edgesam.image import Image
    from edgesam.loading import load
    from edgesam.mask import Mask
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam
    from edgesam.window import Window

__all__ = [
    "BundleError",
    "ChecksumMismatch",
    "EdgeSamError",
    "Embedding",
    "EngineUnavailable",
    "ExportError",
    "Fit",
    "Image",
    "ImageError",
    "Mask",
    "ModelNotFound",
    "OutOfMemory",
    "ParityError",
    "PrecisionMismatch",
    "Prompt",
    "PromptError",
    "Sam",
    "Window",
    "__version__",
    "everything",
    "load",
    "read",
]

__version__ = "0.1.0"

# Public names live in the module of their noun and are fetched at their first use: a command that
# only lists models, or a viewer that may never segment, does not wait for numpy.
_MODULE_OF = {
    "Embedding": "embedding",
    "Fit": "fit",
    "Image": "image",
    "Mask": "mask",
    "Prompt": "prompt",
    "Sam": "sam",
    "Window": "window",
    "everything": "automatic",
    "load": "loading",
    "read": "formats",
}

logging.getLogger("edgesam").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgesam' has no attribute {name!r}")
    value = getattr(import_module(f"edgesam.{_MODULE_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
