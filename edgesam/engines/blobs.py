"""Compiled graphs kept on disk for the next start, each with its digest. Knows no engine.

A blob that is missing, damaged or not writable costs time, never a wrong mask: its graph is
compiled anew. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesam.atomic import write_atomic
from edgesam.errors import EdgeSamError
from edgesam.home import home

logger = logging.getLogger("edgesam")

_MOST = 24  # eight models of three graphs; the oldest go first
_DIGEST = hashlib.sha256().digest_size
# How a tensor in an ONNX file says that its values lie in another one (TensorProto.external_data).
_BESIDE = b"\n\x08location\x12"


def blob_of(graph: Path, engine: str, facts: Sequence[str]) -> Blob | None:
    """Where an engine keeps what it made of a graph; None if that is not to be kept.

    Weights that lie beside their graph would be copied whole, gigabytes of ViT-H, and there is
    nowhere to keep anything where there is no home folder.

    Args:
        graph: an ONNX file; its bytes count, not its name or its times.
        engine: names the folder below EDGESAM_HOME.
        facts: all else that a compiled graph depends on.

    Raises:
        OSError: the graph cannot be read.
    """
    content = graph.read_bytes()
    if _BESIDE in content:
        return None
    key = hashlib.sha256("\n".join([hashlib.sha256(content).hexdigest(), *facts]).encode())
    try:
        return Blob(home() / engine / f"{key.hexdigest()}.blob")
    except EdgeSamError:
        return None


@dataclass(frozen=True)
class Blob:
    """One compiled graph, there or not: a sha256 and the bytes that it is of."""

    path: Path

    def load(self) -> bytes | None:
        """The bytes as they were stored, or None."""
        try:
            with self.path.open("rb") as file:
                digest, content = file.read(_DIGEST), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.debug("a compiled graph cannot be read: %s", error)
            return None
        if hashlib.sha256(content).digest() != digest:
            logger.debug("a compiled graph is damaged and will be made anew: %s", self.path)
            return None
        return content

    def store(self, content: bytes) -> None:
        """Keep them, if the folder can be written."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, hashlib.sha256(content).digest() + content, error=EdgeSamError)
            kept = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime_ns)
        except (OSError, EdgeSamError) as error:  # a read-only home costs time, not correctness
            logger.debug("compiled graphs are not kept: %s", error)
            return
        for old in kept[:-_MOST]:
            with contextlib.suppress(OSError):  # another process reads it, or was faster
                old.unlink()
