"""Arrays that lie on the device already, whoever made them. Copies nothing, knows no kernel.

Taken are the CUDA array interface (CuPy, Numba, pycuda's GPUArray, PyTorch) and DLPack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgesam_kernels.device.dlpack import CPU, CUDA, CUDA_MANAGED, compact, unpack
from edgesam_kernels.device.protocol import Device, Stream

LEGACY = 1  # the default stream, by the number that both interfaces give it


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """Where an array lies on the device and how; it can be handed on as it is.

    Attributes:
        pointer: its first element.
        shape: of its axes.
        dtype: of its elements.
        strides: in bytes.
        ordinal: of its device.
        ready: the stream in which it is complete: what is given to that may read it.
        owner: kept as long as this is; whoever gave work to a stream keeps the array until then.
        readonly: it must not be written to.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    ordinal: int
    ready: Stream
    owner: object = field(default=None, repr=False)
    readonly: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, without gaps between them."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether they lie one after the other, in C's order."""
        there = compact(self.shape, self.dtype.itemsize)
        return not self.nbytes or all(
            side == 1 or step == wanted
            for side, step, wanted in zip(self.shape, self.strides, there, strict=True)
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """Version 3, with the stream in which it is complete."""
        return {
            "version": 3,
            "data": (self.pointer, self.readonly),
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": None if self.contiguous else self.strides,
            "stream": self.ready.handle or LEGACY,
        }


def adopt(array: Any, device: Device, stream: Stream) -> DeviceArray:
    """An array of anybody's on the device, that ``stream`` may read from now on. Nothing is copied
    and nothing waits on the host; ``stream`` waits for the stream that computes the array.

    An array whose maker names no stream is taken to be computed in the default stream, as it is
    in pycuda and PyTorch, unless it can also be had by DLPack, whose makers see to the order.

    Args:
        array: has ``__cuda_array_interface__`` (2 or 3) or ``__dlpack__``.
        device: where it lies.
        stream: where it will be read.

    Raises:
        TypeError: it is no array on a device.
        ValueError: it lies elsewhere, has a mask, or elements that are no plain numbers.
        DeviceError: the order of the streams cannot be had.
    """
    if isinstance(array, DeviceArray):
        _check_place((CUDA, array.ordinal), device)
        if array.ready is not stream:
            stream.wait(array.ready.record())
        return replace(array, ready=stream)
    interface = getattr(array, "__cuda_array_interface__", None)
    lends = hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__")
    if lends:
        _check_place(array.__dlpack_device__(), device)
    if interface is not None and (interface.get("stream") is not None or not lends):
        return _of_interface(array, interface, device, stream)
    if lends:
        return _of_dlpack(array, device, stream)
    raise TypeError(
        f"a {type(array).__name__} is no array on the device: it has neither "
        "__cuda_array_interface__ nor __dlpack__"
    )


def _of_interface(
    array: object, interface: Mapping[str, Any], device: Device, stream: Stream
) -> DeviceArray:
    if interface.get("mask") is not None:
        raise ValueError("an array with a mask cannot be taken: fill what is masked first")
    shape = tuple(int(side) for side in interface["shape"])
    dtype = _plain(np.dtype(interface["typestr"]))
    steps = interface.get("strides")
    pointer, readonly = interface["data"]
    made_in = interface.get("stream")
    if made_in is not None and (isinstance(made_in, bool) or int(made_in) == 0):
        raise ValueError(
            f"stream {made_in!r} of __cuda_array_interface__ names no stream: 1 is the default one"
        )
    found = DeviceArray(
        pointer=int(pointer or 0),
        shape=shape,
        dtype=dtype,
        strides=compact(shape, dtype.itemsize) if steps is None else tuple(map(int, steps)),
        ordinal=device.ordinal,
        ready=stream,
        owner=array,
        readonly=bool(readonly),
    )
    _check_pointer(found)
    handle = LEGACY if made_in is None else int(made_in)
    if handle != stream.handle:
        stream.wait(device.foreign_stream(handle).record())
    return found


def _of_dlpack(array: Any, device: Device, stream: Stream) -> DeviceArray:
    handle = stream.handle or LEGACY
    try:
        capsule = array.__dlpack__(stream=handle, max_version=(1, 0))
    except TypeError:  # an exporter from before there were versions
        capsule = array.__dlpack__(stream=handle)
    tensor = unpack(capsule)
    _check_place(tensor.device, device)
    found = DeviceArray(
        pointer=tensor.pointer,
        shape=tensor.shape,
        dtype=tensor.dtype,
        strides=tensor.strides,
        ordinal=device.ordinal,
        ready=stream,
        owner=tensor.owner,
        readonly=tensor.readonly,
    )
    _check_pointer(found)
    return found


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "biuf" or not dtype.isnative or dtype.itemsize > 8:
        raise ValueError(f"elements of type {dtype.str} cannot be taken: give plain numbers")
    return dtype


def _check_place(place: tuple[int, int], device: Device) -> None:
    kind, ordinal = int(place[0]), int(place[1])
    if kind == CPU:
        raise ValueError("the array lies on the host, not on the device: give it as a NumPy array")
    if kind not in (CUDA, CUDA_MANAGED):
        raise ValueError(f"the array lies on no CUDA device (DLPack's device type {kind})")
    if ordinal != device.ordinal:
        raise ValueError(
            f"the array lies on device {ordinal} and work is done on device {device.ordinal}: "
            "copy it there first"
        )


def _check_pointer(array: DeviceArray) -> None:
    if array.nbytes and not array.pointer:
        raise ValueError(f"the array of shape {array.shape} has no memory (pointer 0)")
