"""Pictures prepared on a device: the kernels' own code on the host, and what waits for what."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import EngineUnavailable, Image, ImageError, OutOfMemory, Percentiles, Window
from edgesam.engines.device.pictures import Pictures
from edgesam_kernels import cpu
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.device import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.grey import GreyTable, as_stored

from ....kernels.host_cuda import why_not
from ....kernels.host_device import HostDevice

MEAN_STD = Preparation("pil-bilinear", 32, 24, 32, "mean-std", (120.0, 116, 104), (58.0, 57, 57))
MIN_MAX = Preparation("area", 32, 24, 32, "min-max")

on_host = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def noise(seed: int, shape: tuple[int, ...] = (40, 30), dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


class There:
    """Somebody's array on a device, in a stream of its own."""

    def __init__(self, array: NDArray[Any], device: Any) -> None:
        self.array = array
        base = array if array.base is None else array.base
        offset = array.ctypes.data - base.ctypes.data
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (device.lend(base) + offset, False),
            "shape": array.shape,
            "typestr": array.dtype.str,
            "strides": None if array.flags.c_contiguous else array.strides,
            "stream": 7,
        }


@on_host
class TestValues:
    """The same as on the CPU, to the bit."""

    @pytest.mark.parametrize("rule", [MEAN_STD, MIN_MAX], ids=["mean-std", "min-max"])
    def test_many_pictures_one_after_another(self, rule: Preparation) -> None:
        pictures, found, wanted = Pictures(HostDevice()), [], []
        for seed in range(5):
            pixels = noise(seed)
            wanted.append(cpu.prepare(pixels, as_stored(), rule))
            found.append(pictures.prepare(pixels, as_stored(), rule))
            pixels[:] = 0  # it is the caller's again
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_array_equal(ours.host(), theirs)
        pictures.close()

    def test_rgb_and_levels_found_anew_for_each_picture(self) -> None:
        pictures, found, wanted = Pictures(HostDevice()), [], []
        for seed in range(5):
            rgb = noise(seed, (40, 30, 3))
            wanted.append(cpu.prepare(rgb, None, MEAN_STD))
            found.append(pictures.prepare(rgb, None, MEAN_STD))
            image = Image(noise(seed, dtype="int16") * np.int16(seed + 1))
            answer = image.grey_table(Percentiles())
            assert answer is not None
            wanted.append(cpu.prepare(image.pixels, answer[0], MEAN_STD))
            found.append(pictures.prepare(image.pixels, answer[0], MEAN_STD))
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours.host(), theirs)

    def test_any_layout_in_host_memory(self) -> None:
        pixels = noise(3, (80, 60))[::-2, ::2]
        found = Pictures(HostDevice()).prepare(pixels, None, MIN_MAX)
        np.testing.assert_array_equal(found.host(), cpu.prepare(pixels, as_stored(), MIN_MAX))

    def test_what_lies_there_is_read_there(self) -> None:
        device = HostDevice()
        pictures = Pictures(device)
        whole = noise(4, (40, 50))
        part = pictures.adopt(There(whole[:, 10:40], device))
        row = pictures.adopt(There(whole[:1], device))
        found = [pictures.prepare(one, as_stored(), MIN_MAX) for one in (part, row)]
        for ours, pixels in zip(found, (whole[:, 10:40], whole[:1]), strict=True):
            theirs = cpu.prepare(pixels, as_stored(), MIN_MAX)
            np.testing.assert_array_equal(ours.host(), theirs)


@pytest.fixture
def pictures(fake_device: FakeDevice) -> Pictures:
    return Pictures(fake_device)


def since(device: FakeDevice, start: int) -> list[str]:
    return device.names()[start:]


class TestWaiting:
    def test_nothing_is_allocated_after_the_first(
        self, pictures: Pictures, fake_device: FakeDevice
    ) -> None:
        for seed in range(3):
            pictures.prepare(noise(seed), None, MIN_MAX)
        start = len(fake_device.calls)
        for seed in range(20):
            pictures.prepare(noise(seed), None, MIN_MAX)
        names = since(fake_device, start)
        assert names.count("upload") == 20
        assert not {"memory", "pinned", "close", "module"} & set(names)

    def test_nothing_waits_after_the_upload(
        self, pictures: Pictures, fake_device: FakeDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also not with a table of its own for each picture, which is page-locked, too: a copy of
        other memory waits for the stream.
        """
        kept, upload = [], fake_device.upload

        def locked_only(pointer: int, source: NDArray[Any], stream: Any) -> None:
            assert not kept or fake_device.locked.holds(source.ctypes.data, source.nbytes)
            upload(pointer, source, stream)

        monkeypatch.setattr(fake_device, "upload", locked_only)
        for seed in range(6):
            image = Image(noise(seed, dtype="uint16") * np.uint16(1 + seed))
            found = image.grey_table(Window(100, 50 + seed))
            assert found is not None
            start = len(fake_device.calls)
            kept.append(pictures.prepare(image.pixels, found[0], MIN_MAX))
            names = since(fake_device, start)
            tail = names[len(names) - names[::-1].index("launch") :]
            after = names[names.index("upload") :] if seed else tail
            assert "synchronize" not in after
            assert names.count("upload") >= (2 if seed else 1)

    def test_it_runs_some_pictures_ahead_and_then_waits(
        self, pictures: Pictures, fake_device: FakeDevice
    ) -> None:
        start = len(fake_device.calls)
        kept = [pictures.prepare(noise(seed), None, MIN_MAX) for seed in range(2)]
        assert "synchronize" not in since(fake_device, start)
        kept.append(pictures.prepare(noise(2), None, MIN_MAX))
        assert since(fake_device, start).count("synchronize") == 1

    def test_frames_there_are_kept_until_they_were_read_and_bounded(
        self, pictures: Pictures, fake_device: FakeDevice
    ) -> None:
        for seed in range(6):
            frame = pictures.adopt(There(noise(seed), fake_device))
            pictures.prepare(frame, as_stored(), MIN_MAX)
            assert len(pictures._read) <= 2
            assert pictures._read[-1][1].pointer == frame.pointer
        assert "upload" not in fake_device.names()[-40:]
        assert "pinned" not in fake_device.names()

    def test_sizes_come_and_go(self, pictures: Pictures, fake_device: FakeDevice) -> None:
        for side in range(20, 30):
            pictures.prepare(noise(1, (side, side)), None, MIN_MAX)
        assert len(pictures._plans) == 4
        pictures.close()
        pictures.close()
        assert fake_device.leaks() == []
        with pytest.raises(ValueError, match="this session is closed"):
            pictures.prepare(noise(1), None, MIN_MAX)


class TestFailing:
    def test_layouts_that_cannot_be_read(self, pictures: Pictures, fake_device: FakeDevice) -> None:
        whole = noise(1, (40, 60))
        for array in (whole[:, ::2], whole.T, whole[::-1]):
            frame = pictures.adopt(There(array, fake_device))
            with pytest.raises(ImageError, match="cannot be read where it lies: its pixels must"):
                pictures.prepare(frame, as_stored(), MIN_MAX)

    def test_what_lies_elsewhere(self, pictures: Pictures) -> None:
        with pytest.raises(ImageError, match="cannot be read on the GPU: a list is no array"):
            pictures.adopt([1])

    @pytest.mark.parametrize(
        ("call", "failure", "raised"),
        [
            ("pinned", DeviceOutOfMemory, OutOfMemory),
            ("memory", DeviceOutOfMemory, OutOfMemory),
            ("upload", DeviceError, EngineUnavailable),
            ("launch", DeviceError, EngineUnavailable),
        ],
    )
    def test_the_device_and_the_next_picture_is_fine(
        self,
        pictures: Pictures,
        fake_device: FakeDevice,
        call: str,
        failure: type[Exception],
        raised: type[Exception],
    ) -> None:
        if raised is EngineUnavailable:
            pictures.prepare(noise(1), None, MIN_MAX)
        fake_device.fail(call, failure("none left"))
        with pytest.raises(raised):
            pictures.prepare(noise(1), None, MIN_MAX)
        for seed in range(4):
            pictures.prepare(noise(seed), None, MIN_MAX)
        pictures.close()
        gc.collect()  # what the error's frames held
        assert fake_device.leaks() == []


def test_tables_of_other_kinds_have_plans_of_their_own(pictures: Pictures) -> None:
    three = GreyTable(np.dtype(np.uint8), np.repeat(as_stored().entries, 3, axis=0))
    for grey in (as_stored(), three, as_stored(), three):
        pictures.prepare(noise(1), grey, MIN_MAX)
    assert len(pictures._plans) == 2
