"""Opening a checkpoint: which format a file is, by its bytes; knows no format's inside."""

from __future__ import annotations

import os
from pathlib import Path

from edgesam.errors import ExportError
from edgesam_export.checkpoint.checkpoint import Checkpoint
from edgesam_export.checkpoint.foreign import HEAD, describe
from edgesam_export.checkpoint.mapped_file import MappedFile
from edgesam_export.checkpoint.safetensors import read_safetensors
from edgesam_export.checkpoint.state_dict import find_state_dict
from edgesam_export.checkpoint.tensors import Contents
from edgesam_export.checkpoint.torch_legacy import read_legacy
from edgesam_export.checkpoint.torch_zip import read_zip
from edgesam_export.checkpoint.unreadable import UnreadableError


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a PyTorch or safetensors checkpoint; nothing in it is executed, no tensor is read yet.

    Args:
        path: the file; its suffix does not matter.

    Raises:
        ExportError: it is missing, broken, no checkpoint, or asks for more than tensors.
    """
    path = Path(path)
    try:
        file = MappedFile(path)
        try:
            contents = _contents(file)
            return Checkpoint(path, file, contents, find_state_dict(contents.root))
        except BaseException:
            file.close()
            raise
    except UnreadableError as fault:
        raise ExportError(f"{path} {fault}") from None


def _contents(file: MappedFile) -> Contents:
    head = file.read(0, HEAD)
    # First: a file begins with its header's length, whose bytes may be those of the others.
    if head[8:9] == b"{" and head[4:8] == bytes(4):
        return read_safetensors(file)
    if head.startswith(b"PK"):
        return read_zip(file)
    if head.startswith(b"\x80"):
        return read_legacy(file)
    raise UnreadableError(describe(head))
