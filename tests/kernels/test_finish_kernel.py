"""The finish kernel itself, through its launcher on the host: the reference's very bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels.cpu import finish
from edgesam_kernels.device import DeviceError
from edgesam_kernels.device.finish import Finish
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import Finished, read_finished

from .host_cuda import why_not
from .host_device import HostDevice

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def on_device(
    logits: NDArray[np.float32], frame: MaskFrame, offset: float = 1.0, *, backwards: bool = False
) -> Finished:
    """As a program does it: upload, launch, download."""
    device = HostDevice(backwards=backwards)
    stream, count = device.stream(), len(logits)
    kernel = Finish(device, logits.shape[1], frame, stream)
    source, target = device.memory(logits.nbytes), device.memory(kernel.nbytes(count))
    answer = device.pinned(kernel.nbytes(count))
    device.upload(source.pointer, logits, stream)
    kernel(stream, source.pointer, count, target.pointer, offset)
    device.download(answer, target.pointer, stream)
    stream.synchronize()
    found = read_finished(answer.bytes, count, frame.size)
    for memory in (kernel, source, target, answer):
        memory.close()
    device.close()
    return found


def assert_same(found: Finished, expected: Finished) -> None:
    assert found.size == expected.size
    for name in ("bits", "area", "boxes", "above", "below"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs, err_msg=name)


def draw(count: int, side: int, seed: int) -> NDArray[np.float32]:
    raw = np.random.PCG64(seed).random_raw(count * side * side) >> np.uint64(11)
    return (raw * 2.0**-52 - 1).astype(np.float32).reshape(count, side, side) * np.float32(9)


SAM = 256, 1024
EDGES = [
    (MaskFrame(256, (256, 171), (512, 341)), "LiteMedSAM, grows"),
    (MaskFrame(1024, (1024, 768), (1031, 773)), "SAM, odd"),
    (MaskFrame(1024, (1024, 1024), (100, 100)), "smaller than the logits"),
    (MaskFrame(1024, (1024, 1), (2000, 1)), "one column"),
    (MaskFrame(1024, (1, 1024), (1, 2001)), "one row"),
    (MaskFrame(1024, (1024, 1024), (1, 1)), "one pixel"),
    (MaskFrame(1024, (1024, 700), (33, 23)), "a thumbnail: low rows are passed over"),
    (MaskFrame(256, (256, 256), (300, 517), probabilities=True), "MedSAM"),
]


@pytest.mark.parametrize(("frame", "what"), EDGES, ids=[what for _, what in EDGES])
def test_equals_the_reference_at_full_size(frame: MaskFrame, what: str) -> None:
    logits = draw(2, 256, len(what))
    # Real logits are smooth: in places the noise gives way to slopes and to plains.
    logits[1] = np.linspace(-20, 20, 256, dtype=np.float32) * np.float32(0.7)
    assert_same(on_device(logits, frame), finish(logits, frame))


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, MaskFrame]:
    # Few squares: each number of taps is compiled once.
    low = draw(st.sampled_from([1, 2, 8, 13]))
    if draw(st.booleans()):
        size = draw(st.tuples(st.integers(1, 150), st.integers(1, 300)))
        return low, MaskFrame(low, (low, low), size, probabilities=True)
    square = draw(st.sampled_from([2, 16, 40]))
    crop = draw(st.tuples(st.integers(1, square), st.integers(1, square)))
    return low, MaskFrame(square, crop, draw(st.tuples(st.integers(1, 150), st.integers(1, 300))))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@example((8, MaskFrame(16, (16, 9), (65, 257))), 1, 3, 0.5, False)
@given(cases(), st.integers(0, 1000), st.integers(1, 3), st.sampled_from([0.0, 1.0]), st.booleans())
def test_equals_the_reference(
    case: tuple[int, MaskFrame], seed: int, count: int, offset: float, backwards: bool
) -> None:
    low, frame = case
    logits = draw(count, low, seed)
    found = on_device(logits, frame, offset, backwards=backwards)
    assert_same(found, finish(logits, frame, offset))


@pytest.mark.parametrize("probabilities", [False, True])
def test_all_background_all_foreground_and_no_numbers(probabilities: bool) -> None:
    frame = MaskFrame(8, (8, 8), (21, 35), probabilities)
    levels = [-30, -1e-6, -0.0, 0, 1e-6, 30, np.nan, np.inf, -np.inf, 1e-40]
    logits = np.empty((len(levels), 8, 8), np.float32)
    logits[:] = np.array(levels)[:, None, None]
    found = on_device(logits, frame)
    assert_same(found, finish(logits, frame))
    assert found.area.tolist()[:7] == [0, 0, 0, 0, 735, 735, 0]
    assert found.box(4) == (0, 0, 34, 20)
    assert found.box(0) is None


@pytest.mark.parametrize(("x", "y"), [(0, 0), (16, 16), (0, 16), (7, 8), (8, 7), (16, 1)])
def test_a_single_pixel_is_where_it_is(x: int, y: int) -> None:
    logits = np.full((1, 17, 17), -1, np.float32)
    logits[0, y, x] = 1
    found = on_device(logits, MaskFrame(17, (17, 17), (17, 17)))
    assert found.box(0) == (x, y, x, y)
    assert found.area.tolist() == [1]
    assert np.argwhere(found.mask(0)).tolist() == [[y, x]]


def test_an_answers_memory_is_used_again() -> None:
    device = HostDevice()
    frame = MaskFrame(16, (16, 9), (65, 257))
    stream = device.stream()
    kernel = Finish(device, 8, frame, stream)
    source, target = device.memory(2 * 8 * 8 * 4), device.memory(kernel.nbytes(2))
    answer = device.pinned(kernel.nbytes(2))
    graph = device.capture(stream, lambda: kernel(stream, source.pointer, 2, target.pointer))
    for seed in range(3):
        logits = draw(2, 8, seed)
        device.upload(source.pointer, logits, stream)
        graph.launch(stream)
        device.download(answer, target.pointer, stream)
        stream.synchronize()
        assert_same(read_finished(answer.bytes, 2, frame.size), finish(logits, frame))


BREAKS = {
    "a wrong weight": ("weight_x[t * columns + x]", "weight_x[x]"),
    "a weight of another row": ("weight_y[t * rows + y]", "weight_y[t * rows + y0]"),
    "a threshold that is not strict": ("sum > 0.0f", "sum >= -1e-3f"),
    "bits from the lowest": ("is << 1 | (sum > 0.0f)", "is | (sum > 0.0f) << i"),
    "no first barrier": ("totals[me] = 0;\n  __syncthreads();", "totals[me] = 0;"),
    "no second barrier": ("__syncthreads();\n  if (me < ENTRIES", "if (me < ENTRIES"),
    "a row less": ("min(y0 + ROWS, rows)", "min(y0 + ROWS, rows - 1)"),
    "columns past the end": ("is &= inside;", ""),
    "counts past the end": ("__popc(is_below & inside)", "__popc(is_below)"),
    "a box one too wide": ("x0 + 8 - __ffs(any)", "x0 + 9 - __ffs(any)"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_kernel_that_is_wrong_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgesam_kernels.device import finish as module

    right, wrong = BREAKS[what]
    text = module.source("finish")
    assert right in text
    monkeypatch.setattr(module, "source", lambda name: text.replace(right, wrong))
    frame = MaskFrame(16, (16, 9), (65, 257))
    logits = draw(2, 8, 1)
    expected = finish(logits, frame)

    def both_ways() -> None:
        for backwards in (False, True):
            assert_same(on_device(logits, frame, backwards=backwards), expected)

    with pytest.raises((AssertionError, DeviceError)):
        both_ways()


def test_perturbed_tables_show(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = MaskFrame(16, (16, 9), (65, 257))
    logits = draw(1, 8, 1)
    expected = finish(logits, frame)
    down, across = frame.taps(8)
    weight = across.weight.copy()
    weight[:, 100] = weight[::-1, 100]
    perturbed = down, across._replace(weight=weight)
    monkeypatch.setattr(MaskFrame, "taps", lambda self, low: perturbed)
    with pytest.raises(AssertionError):
        assert_same(on_device(logits, frame), expected)
