"""The kernels on a card: NumPy's very bits, as on the host. Skipped, with the reason, elsewhere.

Needs no package that only the other tests of kernels need.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.window import Window
from edgesam_kernels.cpu import Preparation, finish, prepare
from edgesam_kernels.device import Device
from edgesam_kernels.device.finish import Finish
from edgesam_kernels.device.opening import LIBRARIES, open_device, why_not
from edgesam_kernels.device.prepare import Prepare
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import read_finished
from edgesam_kernels.grey import GreyTable, as_stored, grey_table

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SHAPES = [(40, 30), (301, 203), (1, 90), (700, 512, 3)]
FRAMES = [
    MaskFrame(256, (256, 171), (512, 341)),
    MaskFrame(1024, (1024, 768), (1031, 773)),
    MaskFrame(1024, (1, 1024), (1, 2001)),
    MaskFrame(1024, (1024, 700), (33, 23)),
]


@pytest.fixture(params=LIBRARIES)
def gpu(request: pytest.FixtureRequest) -> Iterator[Device]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(f"no NVIDIA driver (or its library): {reason}")
    found = open_device(request.param)
    yield found
    found.close()


def prepared(
    gpu: Device, pixels: NDArray[np.generic], grey: GreyTable, rule: Preparation
) -> NDArray[np.generic]:
    stream = gpu.stream()
    plan = Prepare(gpu, pixels.shape, grey, rule, stream)
    result = np.empty((1, 3, rule.square, rule.square), rule.dtype)
    source, network = gpu.memory(pixels.nbytes), gpu.memory(result.nbytes)
    gpu.upload(source.pointer, pixels, stream)
    plan(stream, source.pointer, pixels.nbytes // len(pixels), network.pointer)
    gpu.download(result, network.pointer, stream)
    for each in (plan, source, network):
        each.close()
    return result


@pytest.mark.parametrize("resize", ["pil-bilinear", "area", "spline-cubic"])
@pytest.mark.parametrize("normalization", ["mean-std", "min-max"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_prepare(gpu: Device, resize: str, normalization: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        colour = len(shape) == 3
        if colour and dtype != "uint8":
            continue
        pixels = rng.integers(0, 256, shape).astype(dtype)
        grey = as_stored() if dtype == "uint8" else grey_table(dtype, Window(100, 180).apply)
        longest = max(shape[:2])
        size = tuple(max(1, side * 256 // longest) for side in shape[:2])
        rule = Preparation(resize, *size, 256, normalization, MEAN, STD)  # type: ignore[arg-type]
        expected = prepare(pixels, grey, rule)
        np.testing.assert_array_equal(prepared(gpu, pixels, grey, rule), expected, str(shape))


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_finish(gpu: Device, frame: MaskFrame) -> None:
    logits = np.random.default_rng(2).normal(0, 4, (3, 256, 256)).astype(np.float32)
    logits[1], logits[2] = -9, 9  # nothing and everything
    stream = gpu.stream()
    kernel = Finish(gpu, 256, frame, stream)
    source, target = gpu.memory(logits.nbytes), gpu.memory(kernel.nbytes(3))
    answer = gpu.pinned(kernel.nbytes(3))
    gpu.upload(source.pointer, logits, stream)
    kernel(stream, source.pointer, 3, target.pointer, 1.0)
    gpu.download(answer, target.pointer, stream)
    stream.synchronize()
    found, expected = read_finished(answer.bytes, 3, frame.size), finish(logits, frame)
    for name in ("bits", "area", "boxes", "above", "below"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    for each in (kernel, source, target, answer):
        each.close()
