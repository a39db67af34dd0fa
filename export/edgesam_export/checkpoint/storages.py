"""Storages as torch's pickles name them (persistent ids); knows not where their bytes lie."""

from __future__ import annotations

from dataclasses import dataclass

from edgesam_export.checkpoint.dtypes import DType
from edgesam_export.checkpoint.tensors import MAX_COUNT, Storage
from edgesam_export.checkpoint.unreadable import UnreadableError, shown


@dataclass(frozen=True)
class StorageType:
    """A class such as ``torch.FloatStorage``, of which only the element type matters here."""

    dtype: DType


@dataclass(frozen=True)
class StorageId:
    """A persistent id: a whole storage, or (legacy format only) a stretch of it.

    Attributes:
        root: the whole storage.
        view: what the pickle means by the id; ``root`` itself but for legacy storage views.
    """

    root: Storage
    view: Storage


def parse_storage_id(saved: object) -> StorageId:
    """The storage meant by ``("storage", type, key, location, count[, view])``.

    Layout: ``persistent_id`` in torch/serialization.py. ``view`` is None or
    ``(view key, offset, count)`` in elements. The location (``cpu``, ``cuda:0``) says where the
    tensor lived when it was saved, which does not matter here.
    """
    match saved if isinstance(saved, tuple) else None:
        case ("storage", StorageType(dtype=dtype), str(key), str(), int(count)):
            view: object = None
        case ("storage", StorageType(dtype=dtype), str(key), str(), int(count), view):
            pass
        case _:
            raise UnreadableError("has a persistent id that is not a storage's: refused")
    if not 0 <= count <= MAX_COUNT:
        raise UnreadableError(f"has a storage {shown(key)!r} of impossible length")
    root = Storage(key, dtype, count * dtype.itemsize)
    match view:
        case None:
            return StorageId(root, root)
        case (str(), int(offset), int(length)) if 0 <= offset <= offset + length <= count:
            size = dtype.itemsize
            return StorageId(root, Storage(key, dtype, length * size, start=offset * size))
        case _:
            raise UnreadableError(f"has a view of storage {shown(key)!r} that leaves the storage")
