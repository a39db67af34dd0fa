"""Arrays on the device are taken as they are, in the right order, or refused in one line."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from edgesam_kernels.device import Device
from edgesam_kernels.device.arrays import DeviceArray, adopt
from edgesam_kernels.device.dlpack import CPU, CUDA, CUDA_MANAGED
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.fake_clock import Misuse


class Array:
    """An array of another library, with the interface that is given."""

    def __init__(self, **words: Any) -> None:
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": (4, 6),
            "typestr": "<f4",
            "data": (0x1000, False),
            **words,
        }


@pytest.fixture
def fake() -> FakeDevice:
    return FakeDevice()


def waits(fake: FakeDevice) -> list[int | None]:
    """The handles of the streams that were waited for, by way of foreign_stream."""
    return [call.detail for call in fake.calls if call.name == "foreign_stream"]  # type: ignore[misc]


def test_the_interface(fake: FakeDevice) -> None:
    array = Array(data=(0x1000, True), strides=(48, 8))
    found = adopt(array, fake, fake.stream())
    assert (found.pointer, found.shape, found.strides) == (0x1000, (4, 6), (48, 8))
    assert found.dtype == np.float32
    assert found.nbytes == 96
    assert found.readonly
    assert not found.contiguous
    assert found.owner is array


@pytest.mark.parametrize(
    ("words", "handle"),
    [
        ({"stream": 1}, 1),
        ({"stream": 2}, 2),
        ({"stream": 0xABC0}, 0xABC0),
        ({"stream": None}, 1),  # as pycuda says of what its default stream still computes
        ({}, 1),
        ({"version": 2}, 1),
    ],
)
def test_the_stream_of_the_maker_is_waited_for(
    fake: FakeDevice, words: dict[str, Any], handle: int
) -> None:
    stream = fake.stream()
    adopt(Array(**words), fake, stream)
    assert waits(fake) == [handle]
    assert fake.names()[-2:] == ["record", "wait"]
    assert fake.calls[-1].stream == 0
    assert "synchronize" not in fake.names()


def test_our_own_stream_is_not_waited_for(fake: FakeDevice) -> None:
    stream = fake.stream()
    adopt(Array(stream=stream.handle), fake, stream)
    assert waits(fake) == []


def test_without_the_wait_it_would_be_a_race(fake: FakeDevice) -> None:
    """That the wait is the right way round."""
    theirs, stream = fake.foreign_stream(0xABC0), fake.stream()
    pointer = fake.lend(np.zeros(96, np.uint8))
    target = fake.memory(96)
    fake.fill(pointer, 7, 96, theirs)
    with pytest.raises(Misuse, match="nothing orders"):
        fake.copy(target.pointer, pointer, 96, stream)
    found = adopt(Array(data=(pointer, False), stream=0xABC0), fake, stream)
    fake.copy(target.pointer, found.pointer, 96, stream)
    stream.synchronize()
    assert fake.view(target.pointer, 96)[5] == 7


@pytest.mark.parametrize("stream", [0, False])
def test_a_stream_that_is_none(fake: FakeDevice, stream: int) -> None:
    with pytest.raises(ValueError, match="names no stream"):
        adopt(Array(stream=stream), fake, fake.stream())


def test_a_mask(fake: FakeDevice) -> None:
    with pytest.raises(ValueError, match="mask"):
        adopt(Array(mask=Array()), fake, fake.stream())


@pytest.mark.parametrize("typestr", ["|O", ">f4", "<c8", "<f16", "|V8", "<U4"])
def test_elements_that_are_no_plain_numbers(fake: FakeDevice, typestr: str) -> None:
    with pytest.raises(ValueError, match="cannot be taken"):
        adopt(Array(typestr=typestr), fake, fake.stream())


def test_memory_that_is_not_there(fake: FakeDevice) -> None:
    with pytest.raises(ValueError, match="no memory"):
        adopt(Array(data=(0, False)), fake, fake.stream())
    empty = adopt(Array(data=(0, False), shape=(0, 3)), fake, fake.stream())
    assert (empty.nbytes, empty.contiguous) == (0, True)
    one = adopt(Array(shape=()), fake, fake.stream())
    assert (one.nbytes, one.strides, one.contiguous) == (4, (), True)


@pytest.mark.parametrize(
    ("shape", "strides", "contiguous"),
    [
        ((4, 6), (24, 4), True),
        ((4, 6), (4, 16), False),
        ((1, 6), (999, 4), True),
        ((4, 6), (28, 4), False),
        ((4, 6), (-24, 4), False),
    ],
)
def test_contiguous(
    fake: FakeDevice, shape: tuple[int, ...], strides: tuple[int, ...], contiguous: bool
) -> None:
    found = adopt(Array(shape=shape, strides=strides), fake, fake.stream())
    assert found.contiguous is contiguous
    told = found.__cuda_array_interface__["strides"]
    assert told == (None if contiguous else strides)


def test_our_arrays_are_handed_on(fake: FakeDevice) -> None:
    stream = fake.stream()
    found = adopt(Array(), fake, stream)
    assert found.__cuda_array_interface__ == {
        "version": 3,
        "data": (0x1000, False),
        "shape": (4, 6),
        "typestr": "<f4",
        "strides": None,
        "stream": stream.handle,
    }
    default = DeviceArray(1, (1,), np.dtype("u1"), (1,), 0, Default())
    assert default.__cuda_array_interface__["stream"] == 1


class Default:
    """A stream whose handle is 0."""

    handle = 0

    def record(self, *, timed: bool = False) -> Any: ...
    def wait(self, event: Any) -> None: ...
    def synchronize(self) -> None: ...


def test_our_arrays_are_taken_again(fake: FakeDevice) -> None:
    first, second = fake.stream(), fake.stream()
    found = adopt(Array(stream=first.handle), fake, first)
    before = len(fake.calls)
    assert adopt(found, fake, first).ready is first
    assert len(fake.calls) == before
    again = adopt(found, fake, second)
    assert again.ready is second
    assert fake.names()[before:] == ["record", "wait"]
    with pytest.raises(ValueError, match="lies on device 0 and work is done on device 1"):
        adopt(found, FakeDevice(ordinal=1), first)


# DLPack, as a library would export it: structures and capsules made by hand.


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("type", ctypes.c_uint8 * 2),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


class Exporter:
    """An array by DLPack; counts how often it is given back."""

    def __init__(
        self,
        device: tuple[int, int] = (CUDA, 0),
        shape: tuple[int, ...] = (4, 6),
        strides: tuple[int, ...] | None = None,
        kind: tuple[int, int, int] = (2, 32, 1),
        offset: int = 0,
        versioned: bool = True,
        version: tuple[int, int] = (1, 0),
        flags: int = 0,
        interface: dict[str, Any] | None = None,
    ) -> None:
        self.device, self.versioned, self.deleted, self.asked = device, versioned, [], []
        if interface is not None:
            self.__cuda_array_interface__ = interface
        self._deleter = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(self.deleted.append)
        self._shape = (ctypes.c_int64 * len(shape))(*shape)
        self._strides = (ctypes.c_int64 * len(shape))(*strides) if strides else None
        tensor = Tensor(
            0x2000,
            device,
            len(shape),
            kind[:2],
            kind[2],
            ctypes.addressof(self._shape),
            ctypes.addressof(self._strides) if self._strides is not None else None,
            offset,
        )
        deleter = ctypes.cast(self._deleter, ctypes.c_void_p)
        self.managed: Any = (
            Versioned(version, None, deleter, flags, tensor)
            if versioned
            else Managed(tensor, None, deleter)
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int | None = None, **words: Any) -> object:
        if words and not self.versioned:
            raise TypeError("unexpected keyword argument 'max_version'")
        self.asked.append((stream, words))
        make = ctypes.pythonapi.PyCapsule_New
        make.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        make.restype = ctypes.py_object
        name = b"dltensor_versioned" if self.versioned else b"dltensor"
        self._name = ctypes.create_string_buffer(name)  # capsules keep a pointer to it
        return make(ctypes.addressof(self.managed), ctypes.addressof(self._name), None)


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack(fake: FakeDevice, versioned: bool) -> None:
    exporter = Exporter(versioned=versioned, strides=(8, 1), offset=16)
    stream = fake.stream()
    found = adopt(exporter, fake, stream)
    assert (found.pointer, found.shape, found.strides) == (0x2010, (4, 6), (32, 4))
    assert found.dtype == np.float32
    assert not found.readonly
    # The maker is told our stream and makes it wait; nothing is left for us to do.
    assert exporter.asked[-1][0] == stream.handle
    assert "wait" not in fake.names()


@pytest.mark.parametrize("versioned", [True, False])
def test_it_is_given_back_once(fake: FakeDevice, versioned: bool) -> None:
    exporter = Exporter(versioned=versioned)
    found = adopt(exporter, fake, fake.stream())
    again = adopt(found, fake, fake.stream())
    del found
    gc.collect()
    assert exporter.deleted == []
    del again
    gc.collect()
    assert exporter.deleted == [ctypes.addressof(exporter.managed)]


def test_the_default_stream_is_1_in_dlpack(fake: FakeDevice) -> None:
    exporter = Exporter()
    adopt(exporter, fake, Default())
    assert exporter.asked == [(1, {"max_version": (1, 0)})]


def test_without_strides_it_is_compact(fake: FakeDevice) -> None:
    found = adopt(Exporter(shape=(2, 3, 4), kind=(1, 16, 1)), fake, fake.stream())
    assert (found.strides, found.dtype, found.contiguous) == ((24, 8, 2), np.uint16, True)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ((0, 16, 1), "i2"),
        ((1, 8, 1), "u1"),
        ((2, 16, 1), "f2"),
        ((2, 64, 1), "f8"),
        ((6, 8, 1), "?"),
    ],
)
def test_elements(fake: FakeDevice, kind: tuple[int, int, int], dtype: str) -> None:
    assert adopt(Exporter(kind=kind), fake, fake.stream()).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "kind", [(2, 32, 4), (4, 16, 1), (5, 64, 1), (2, 8, 1), (0, 4, 1), (3, 64, 1)]
)
def test_elements_that_are_unknown(fake: FakeDevice, kind: tuple[int, int, int]) -> None:
    exporter = Exporter(kind=kind)
    with pytest.raises(ValueError, match="not known"):
        adopt(exporter, fake, fake.stream())
    assert exporter.deleted == []  # its capsule was not taken: it gives back itself


def test_a_version_that_is_unknown(fake: FakeDevice) -> None:
    with pytest.raises(ValueError, match=r"DLPack 2\.3 is not known"):
        adopt(Exporter(version=(2, 3)), fake, fake.stream())


def test_flags_and_managed_memory(fake: FakeDevice) -> None:
    assert adopt(Exporter(flags=1), fake, fake.stream()).readonly
    assert adopt(Exporter(device=(CUDA_MANAGED, 0)), fake, fake.stream()).pointer == 0x2000


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ((CPU, 0), "lies on the host"),
        ((3, 0), "no CUDA device .* type 3"),
        ((CUDA, 1), "lies on device 1 and work is done on device 0"),
    ],
)
def test_it_lies_elsewhere(fake: FakeDevice, device: tuple[int, int], words: str) -> None:
    exporter = Exporter(device=device)
    with pytest.raises(ValueError, match=words) as told:
        adopt(exporter, fake, fake.stream())
    assert exporter.asked == []
    assert "\n" not in str(told.value)


def test_a_capsule_that_was_taken(fake: FakeDevice) -> None:
    exporter = Exporter()
    capsule = exporter.__dlpack__()
    exporter.__dlpack__ = lambda **words: capsule  # type: ignore[method-assign]
    kept = adopt(exporter, fake, fake.stream())
    with pytest.raises(ValueError, match="no DLPack capsule"):
        adopt(exporter, fake, fake.stream())
    assert exporter.deleted == []
    assert kept.pointer == 0x2000


def test_who_knows_of_streams_is_asked(fake: FakeDevice) -> None:
    """PyTorch's interface (version 2) names no stream; its DLPack sees to the order."""
    interface = Array(version=2).__cuda_array_interface__
    torch = Exporter(interface=interface)
    assert adopt(torch, fake, fake.stream()).pointer == 0x2000
    cupy = Exporter(interface={**interface, "version": 3, "stream": 7})
    assert adopt(cupy, fake, fake.stream()).pointer == 0x1000
    assert (len(torch.asked), len(cupy.asked), waits(fake)) == (1, 0, [7])
    elsewhere = Exporter(device=(CUDA, 1), interface={**interface, "stream": 7})
    with pytest.raises(ValueError, match="lies on device 1"):
        adopt(elsewhere, fake, fake.stream())


@pytest.mark.parametrize("thing", [np.zeros((4, 6), np.float32), [1, 2], None, 5])
def test_what_is_no_array_on_the_device(fake: FakeDevice, thing: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"on the host|no array on the device"):
        adopt(thing, fake, fake.stream())


def test_a_capsule_of_numpys() -> None:
    """A real exporter's structures are those that are read here."""
    from edgesam_kernels.device.dlpack import unpack

    array = np.arange(24, dtype=np.int16).reshape(4, 6)[:, ::2]
    for words in ({}, {"max_version": (1, 0)}):
        found = unpack(array.__dlpack__(**words))
        assert found.pointer == array.ctypes.data
        assert (found.shape, found.strides, found.dtype) == (array.shape, array.strides, np.int16)
        assert found.device == (CPU, 0)


def test_pycudas_streams_of_others(fake_pycuda: Any) -> None:
    """pycuda cannot name such a stream: what waits for it waits for the device, on the host."""
    from edgesam_kernels.device.opening import open_device

    device: Device = open_device("pycuda")
    stream = device.stream()
    fake_pycuda.recorded.clear()
    adopt(Array(stream=1), device, stream)
    names = [name for name, *_ in fake_pycuda.recorded]
    assert "Context.synchronize" not in names
    adopt(Array(stream=0xABC0), device, stream)
    names = [name for name, *_ in fake_pycuda.recorded]
    assert names.index("Context.synchronize") < len(names) - names[::-1].index(
        "Stream.wait_for_event"
    )
    device.close()
