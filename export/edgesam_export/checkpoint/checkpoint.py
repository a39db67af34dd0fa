"""An opened checkpoint: tensors by name, read when asked for; knows no file format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from edgesam.errors import ExportError
from edgesam_export.checkpoint.mapped_file import MappedFile
from edgesam_export.checkpoint.tensors import Contents, Tensor
from edgesam_export.checkpoint.unreadable import UnreadableError


class Checkpoint(Mapping[str, npt.NDArray[Any]]):
    """A model's flat state dict, in the order it was saved. Made by :func:`read_checkpoint`.

    Each access reads that tensor anew and gives an array of its own, so a checkpoint larger than
    memory can be walked tensor by tensor, and an array outlives :meth:`close`.

    Attributes:
        path: of the file.
        format: ``zip``, ``legacy`` or ``safetensors``.
        shapes: name -> shape, without reading data.
        dtypes: name -> element type in the file (``float32``, ``bfloat16``...), without reading.
    """

    def __init__(
        self, path: Path, file: MappedFile, contents: Contents, tensors: Mapping[str, Tensor]
    ) -> None:
        self.path = path
        self.format = contents.format
        self.shapes = MappingProxyType({name: t.shape for name, t in tensors.items()})
        self.dtypes = MappingProxyType({name: t.dtype.name for name, t in tensors.items()})
        self._file = file
        self._contents = contents
        self._tensors = tensors

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The tensor, C-contiguous: bfloat16 as float32 (exact), others in their own type."""
        if self._file.closed:
            raise ValueError(f"the checkpoint {self.path} is closed")
        tensor = self._tensors[name]
        extent = self._contents.extents[tensor.storage.key]
        try:
            return tensor.read(self._file, extent, self._contents.byteorder)
        except UnreadableError as fault:
            raise ExportError(f"{self.path} {fault}") from None
        except MemoryError:
            raise ExportError(
                f"{self.path} has a tensor {name} of shape {tensor.shape} "
                "that does not fit into this machine's free memory"
            ) from None
        finally:
            self._file.release()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        # Mapping's own would read the tensor to find out.
        return name in self._tensors

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, {self.format}, {len(self)} tensors)"

    def close(self) -> None:
        """Release the file (on Windows it cannot be replaced before); harmless when repeated."""
        self._file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
