"""Several pictures embedded at once, for those who have them all. Knows no device and no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.embedding import Embedding
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.on_gpu import OnGpu
from edgesam.prepared import prepare
from edgesam.sam import Sam
from edgesam.volume import Volume

_PREPARED = 4  # pictures at a time: as many as a run takes


def embed_batch(
    sam: Sam,
    images: Sequence[Image | Volume | Cine | NDArray[Any] | OnGpu],
    window: Levels | None = None,
) -> list[Embedding]:
    """:meth:`edgesam.sam.Sam.embed` of several pictures, in their order.

    Up to four in one run of the encoder where its graph takes several (SAM's ViT in fp16) and the
    engine is TensorRT; elsewhere one after the other. All embeddings are in memory at the end, 14
    MiB each: :func:`edgesam.stream` hands them out one by one.

    Args:
        sam: a model.
        images: as :meth:`edgesam.sam.Sam.embed` takes them, of any sizes.
        window: grey levels to show, of all of them.

    Raises:
        ImageError, OutOfMemory: as :meth:`edgesam.sam.Sam.embed`.
    """
    found: list[Embedding] = []
    for start in range(0, len(images), _PREPARED):
        some = images[start : start + _PREPARED]
        made = [prepare(each, window, sam.manifest, sam.pixels) for each in some]
        found += sam.encode_batch(made)
    return found
