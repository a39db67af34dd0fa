"""edgesam: Segment Anything on medical images, where they are made, without PyTorch.

import edgesam
from edgesam import Prompt

with edgesam.load("lite-medsam") as sam:
    embedding = sam.embed(edgesam.read("slice.dcm"))
    mask = sam.segment(embedding, Prompt.box(120, 80, 260, 210))
"""

import logging

from edgesam.embedding import Embedding
from edgesam.errors import (
    BundleError,
    ChecksumMismatch,
    EdgeSamError,
    EngineUnavailable,
    ExportError,
    ImageError,
    ModelNotFound,
    ParityError,
    PrecisionMismatch,
    PromptError,
    VolumeError,
)
from edgesam.fit import Fit
from edgesam.formats import read
from edgesam.image import Image
from edgesam.mask import Mask
from edgesam.prompt import Prompt
from edgesam.sam import Sam, load
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
    "ParityError",
    "PrecisionMismatch",
    "Prompt",
    "PromptError",
    "Sam",
    "VolumeError",
    "Window",
    "__version__",
    "load",
    "read",
]

__version__ = "0.1.0"

logging.getLogger("edgesam").addHandler(logging.NullHandler())
