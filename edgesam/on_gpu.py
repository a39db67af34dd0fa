"""Pictures that lie on a GPU already, and how their pixels become levels there. Knows no engine.

What would have to look at all pixels to find its levels is refused: it would copy them to the host.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.image import Image
from edgesam.levels import Levels, Windows
from edgesam.volume import Volume
from edgesam.window import Window
from edgesam_kernels.device.dlpack import CUDA, CUDA_MANAGED
from edgesam_kernels.grey import GreyTable

_TYPES = ("uint8", "uint16", "int16", "float32")


class CudaArray(Protocol):
    """As CuPy, Numba, pycuda and PyTorch have it."""

    @property
    def __cuda_array_interface__(self) -> Any: ...


class DlpackArray(Protocol):
    """An array of any library that has DLPack, on any device."""

    def __dlpack_device__(self) -> Any: ...


OnGpu = CudaArray | DlpackArray
"""A picture (H, W) or (H, W, 3) of somebody's in the memory of a GPU."""


def lies_on_gpu(image: object) -> bool:
    """Whether it is an array in the memory of an NVIDIA GPU."""
    if isinstance(image, Image | Volume | Cine | np.ndarray):
        return False
    if hasattr(image, "__cuda_array_interface__"):
        return True
    place = getattr(image, "__dlpack_device__", None)
    return place is not None and int(place()[0]) in (CUDA, CUDA_MANAGED)


def grey_of(
    shape: tuple[int, ...], dtype: np.dtype[Any], window: Levels | None
) -> tuple[GreyTable, str]:
    """What makes levels of such a picture, and in words, as :meth:`Image.grey_table` says it.

    Raises:
        ImageError: it is no picture, or its levels could only be found by looking at its pixels.
    """
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or 0 in shape:
        raise ImageError(
            f"a picture on a GPU must be (height, width) or (height, width, 3); found shape {shape}"
        )
    if dtype.name not in _TYPES:
        raise ImageError(f"pixels on a GPU must be one of {', '.join(_TYPES)}; found {dtype}")
    if window is None and dtype.name != "uint8":
        raise ImageError(
            f"{dtype} pixels on a GPU need a window, as Window(40, 400): their percentiles are not "
            "looked for there"
        )
    if not isinstance(window, Window | Windows | None):
        raise ImageError(
            f"{window} needs all pixels on the host: give a window, or the picture as a NumPy array"
        )
    like = Image(np.zeros((1, 1, *shape[2:]), dtype))  # levels of these rules need no pixels
    found = like.grey_table(window)
    assert found is not None, "there is a table for each of these types"
    return found
