"""The voxels of a stack of DICOM slices, each decoded when it is asked for; knows no geometry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ImageError, VolumeError
from edgesam.formats.dicom.header import Header, image_header
from edgesam.formats.dicom.image import values_of
from edgesam.formats.dicom.lut import default_voi
from edgesam.formats.dicom.slice import Slice
from edgesam.formats.quiet import quiet
from edgesam.image import Image, LookupTable
from edgesam.window import Window


class DicomVoxels:
    """Voxels (slices, rows, columns) in the modality's units. Threads may share it.

    A plane across the slices is decoded each time, and nothing of it kept; other planes need the
    whole array, which is decoded once and then kept.
    """

    def __init__(self, slices: Sequence[Slice], header: Header | None = None) -> None:
        """Of slices of one size, in order.

        Args:
            slices: where each is.
            header: that of the one file which holds them all; None where each has its own.
        """
        self._slices = tuple(slices)
        self._header = header
        self._dtype = np.result_type(*{piece.dtype for piece in slices})
        self._array: NDArray[Any] | None = None
        self._seen: tuple[int, Window | LookupTable | None] | None = None
        self._filling = threading.Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return (len(self._slices), *self._slices[0].size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds all slices, as far as headers tell.

        Where a header is wrong about that, values need a larger one once they are read.
        """
        return self._dtype if self._array is None else self._array.dtype

    def plane(self, axis: int, index: int) -> NDArray[Any]:
        """(A, B): the plane across that axis, its own axes in the array's order.

        Raises:
            ImageError: a slice cannot be decoded.
        """
        if axis != 0 or self._array is not None:
            plane: NDArray[Any] = self.array()[(slice(None),) * axis + (index,)]
            return plane
        with quiet("pydicom"):
            picture = self._decoded(index)
        self._seen = index, picture.voi
        return self._common(picture.pixels)

    def voi(self, axis: int, index: int) -> Window | LookupTable | None:
        """The file's own for a slice; for planes across slices that of the middle slice."""
        at = index if axis == 0 else len(self._slices) // 2
        seen = self._seen
        if seen is not None and seen[0] == at:
            return seen[1]
        piece = self._slices[at]
        with quiet("pydicom"):
            header = self._header_of(piece)
            signed = not piece.dtype.startswith("u")
            try:
                found = default_voi(header.dataset, piece.part.frame, signed, piece.part.file)
            except Exception:  # not chained: pydicom's messages quote values
                raise ImageError(
                    f"{piece.part.file}: its lookup tables or window cannot be read; "
                    "get a fresh copy"
                ) from None
        self._seen = at, found
        return found

    def array(self) -> NDArray[Any]:
        """All slices, decoded at the first use, then kept.

        Raises:
            ImageError: a slice cannot be decoded; VolumeError: they do not fit into memory.
        """
        with self._filling:
            if self._array is None:
                self._array = self._decode_all()
            return self._array

    def _decode_all(self) -> NDArray[Any]:
        try:
            whole: NDArray[Any] = np.empty(self.shape, self._dtype)
            for index in range(len(self._slices)):
                with quiet("pydicom"):  # others may decode between two slices
                    pixels = self._decoded(index).pixels
                if not np.can_cast(pixels.dtype, whole.dtype):
                    whole = whole.astype(np.result_type(whole, pixels))
                whole[index] = pixels
        except MemoryError:
            count, rows, columns = self.shape
            raise VolumeError(
                f"{self._slices[0].part.file.path.parent}: {count} slices of {rows} x {columns} do "
                "not fit into memory; use single slices, or fewer of them"
            ) from None
        return whole

    def _decoded(self, index: int) -> Image:
        piece = self._slices[index]
        picture = values_of(piece.part, self._header_of(piece))
        if picture.pixels.shape != piece.size:
            raise ImageError(f"{piece.part.file}: has changed since it was opened; open it again")
        return picture

    def _header_of(self, piece: Slice) -> Header:
        return image_header(piece.part.file) if self._header is None else self._header

    def _common(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if np.can_cast(pixels.dtype, self._dtype):
            return pixels.astype(self._dtype, copy=False)
        return pixels
