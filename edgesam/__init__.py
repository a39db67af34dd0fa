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
    from edgesam.batch import embed_batch
    from edgesam.cine import Cine
    from edgesam.embedding import Embedding
    from edgesam.embedding_cache import EmbeddingCache
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
        VolumeError,
    )
    from edgesam.fit import Fit
    from edgesam.formats import read, write
    from edgesam.image import Image
    from edgesam.labels import Code, Label
    from edgesam.levels import Percentiles, Windows
    from edgesam.loading import load
    from edgesam.mask import Mask
    from edgesam.prompt import Prompt
    from edgesam.sam import Sam
    from edgesam.session import Session
    from edgesam.streaming import Stream, stream
    from edgesam.volume import Volume
    from edgesam.window import Window

__all__ = [
    "BundleError",
    "ChecksumMismatch",
    "Cine",
    "Code",
    "EdgeSamError",
    "Embedding",
    "EmbeddingCache",
    "EngineUnavailable",
    "ExportError",
    "Fit",
    "Image",
    "ImageError",
    "Label",
    "Mask",
    "ModelNotFound",
    "OutOfMemory",
    "ParityError",
    "Percentiles",
    "PrecisionMismatch",
    "Prompt",
    "PromptError",
    "Sam",
    "Session",
    "Stream",
    "Volume",
    "VolumeError",
    "Window",
    "Windows",
    "__version__",
    "embed_batch",
    "everything",
    "load",
    "read",
    "stream",
    "write",
]

__version__ = "0.1.0"

# Public names live in the module of their noun and are fetched at their first use: a command that
# only lists models, or a viewer that may never segment, does not wait for numpy.
_MODULE_OF = {
    "Cine": "cine",
    "Code": "labels",
    "Embedding": "embedding",
    "EmbeddingCache": "embedding_cache",
    "Fit": "fit",
    "Image": "image",
    "Label": "labels",
    "Mask": "mask",
    "Percentiles": "levels",
    "Prompt": "prompt",
    "Sam": "sam",
    "Session": "session",
    "Stream": "streaming",
    "Volume": "volume",
    "Window": "window",
    "Windows": "levels",
    "embed_batch": "batch",
    "everything": "automatic",
    "load": "loading",
    "read": "formats",
    "stream": "streaming",
    "write": "formats",
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
