"""A click on a fake card: what is given to it and when, what is recorded, what failures leave."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import EngineUnavailable, OutOfMemory
from edgesam.engines.device.session import DeviceSession, Limits
from edgesam.engines.protocol import Answer, Finishing, MaskPrompts, Prompts
from edgesam.engines.tensorrt.flavour import CLASSIC, RTX, Flavour
from edgesam.engines.tensorrt.graph import TensorRtGraph
from edgesam_kernels.device import DeviceError
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import TABLE

FRAME = MaskFrame(8, (8, 6), (20, 15))
OTHER = MaskFrame(8, (5, 8), (31, 64))
IMAGE = np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8)
CLICK = Prompts(np.array([[[1, 2], [3, 4]]], np.float32), np.array([[2, 3]], np.int32))
ALLOCATIONS = {"memory", "pinned", "stream", "module"}


def finish(device: FakeDevice, grid: Any, block: Any, arguments: Any) -> None:
    """In the kernel's place: writes as each mask's area the sum of its logits."""
    logits, low, table, masks = arguments[0], int(arguments[1]), arguments[-1], grid[2]
    found = device.view(logits, masks * low * low * 4).view(np.float32).reshape(masks, -1)
    target = device.view(table, masks * TABLE * 4).view(np.int32).reshape(masks, TABLE)
    assert not target.any(), "it was not cleared"
    target[:, 0] = found.sum(1)


@pytest.fixture
def make(
    fake_trt: Any, fake_device: FakeDevice, fake_plan: Callable[..., bytes]
) -> Callable[..., DeviceSession]:
    fake_device.register("finish", finish, writes=[9, 10])

    def made(flavour: Flavour = CLASSIC) -> DeviceSession:
        graphs = [
            TensorRtGraph(
                flavour,
                fake_device,
                fake_plan(name),
                name=name,
                precision="fp16",
                repeats=name == "decoder",
            )
            for name in ("encoder", "side", "decoder")
        ]
        return DeviceSession(*graphs, description="tensorrt:cuda", limits=Limits(4, 64, 4))

    return made


@pytest.fixture
def session(make: Callable[..., DeviceSession]) -> DeviceSession:
    return make()


def side_of(session: DeviceSession, scale: float = 1.0) -> Any:
    return session.image_side(session.encode(IMAGE * np.float32(scale)), MaskPrompts.none(8))


def click(session: Finishing, side: Any, frame: MaskFrame = FRAME, shift: float = 0.0) -> Answer:
    coords = CLICK.coords + np.float32(shift)
    return session.finish(side, Prompts(coords, CLICK.labels), (0,), frame)


def level(side: Any, shift: float = 0.0) -> NDArray[Any]:
    """What the small decoder of the tests says of a click: one number."""
    keys, queries = (part.host() for part in side)
    return np.float32(10 + 4 * shift + 500.0 + keys.mean() + queries.mean())


def assert_answers(answer: Answer, side: Any, shift: float = 0.0) -> None:
    expected = level(side, shift)
    np.testing.assert_allclose(answer.logits, np.full((1, 1, 8, 8), expected), rtol=1e-6)
    np.testing.assert_allclose(answer.iou[0], expected + np.arange(4), rtol=1e-6)
    assert answer.masks is not None
    assert answer.masks.area[0] == pytest.approx(64 * expected, abs=1)


def since(device: FakeDevice, start: int) -> list[str]:
    return device.names()[start:]


def test_one_copy_up_one_down_and_one_wait(session: DeviceSession, fake_device: FakeDevice) -> None:
    side = side_of(session)
    click(session, side)
    for shift in (1.0, 2.0, 3.0):
        start = len(fake_device.calls)
        answer = click(session, side, shift=shift)
        names = since(fake_device, start)
        if shift > 1:  # the second click has recorded the shape
            assert names == ["graph", "synchronize"]
        else:
            own = names[: names.index("synchronize")]
            assert [name for name in own if name in ("upload", "download")] == [
                "upload",
                "download",
            ]
        assert_answers(answer, side, shift)


def test_a_shape_that_comes_twice_is_recorded_once(
    session: DeviceSession, fake_device: FakeDevice, fake_trt: Any
) -> None:
    side = side_of(session)
    for shift in range(5):
        assert_answers(click(session, side, shift=shift), side, shift)
    assert fake_device.names().count("capture") == 1
    assert fake_device.names().count("graph") == 3
    contexts = sum(call[0] == "create_execution_context" for call in fake_trt.calls)
    assert contexts == 3 + 1, "a graph has a context of its own: changing one undoes it"


def test_nothing_is_allocated_after_the_first_clicks(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    side = side_of(session)
    for _ in range(2):
        click(session, side)
    start = len(fake_device.calls)
    for shift in range(4):
        click(session, side, shift=shift)
        session.finish(side, CLICK, (0,), FRAME, 1.0)
    assert not ALLOCATIONS & set(since(fake_device, start))


def test_another_picture_is_one_copy_of_its_side(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    """The graph's addresses stay; clicks on one picture after another are right, too."""
    one, other = side_of(session), side_of(session, 3)
    for _ in range(3):
        click(session, one)
    start = len(fake_device.calls)
    assert_answers(click(session, other), other)
    assert since(fake_device, start).count("copy") == 2, "keys and queries"
    assert {"upload", "capture"}.isdisjoint(since(fake_device, start))
    start = len(fake_device.calls)
    assert_answers(click(session, other, shift=1), other, 1)
    assert "copy" not in since(fake_device, start)
    assert_answers(click(session, one), one)


def test_a_side_that_is_gone_is_not_taken_for_another(session: DeviceSession) -> None:
    """Memory of a side that was let go of goes round: the next one lies at its address."""
    for scale in range(1, 6):
        side = side_of(session, scale)
        for shift in (0, 1):
            assert_answers(click(session, side, shift=shift), side, shift)
        del side


def test_a_click_waits_for_its_picture_on_the_device(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    """The side is still in the making: the fake tells what is read before it is there."""
    side = side_of(session)
    start = len(fake_device.calls)
    click(session, side)
    names = since(fake_device, start)
    assert "wait" in names[: names.index("copy")]
    assert names.count("synchronize") == 1


def test_sizes_have_graphs_of_their_own_and_few_are_kept(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    side = side_of(session)
    frames = [MaskFrame(8, (8, 8), (10 + n, 10)) for n in range(7)]
    for frame in frames:
        for shift in range(3):
            answer = click(session, side, frame, shift)
            assert answer.masks is not None
            assert answer.masks.size == frame.size
            assert_answers(answer, side, shift)
    assert fake_device.names().count("capture") == 7
    start = len(fake_device.calls)
    click(session, side, frames[-4])
    assert "graph" in since(fake_device, start), "of the last four"
    click(session, side, frames[0])
    assert since(fake_device, start).count("graph") == 1, "the first was given up"


def test_a_larger_answer_moves_and_old_graphs_are_not_used(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    side = side_of(session)
    for _ in range(3):
        click(session, side)
    click(session, side, MaskFrame(8, (8, 8), (3000, 3000)))
    start = len(fake_device.calls)
    assert_answers(click(session, side), side)
    assert "graph" not in since(fake_device, start)


def test_tables_of_many_sizes_go(session: DeviceSession, fake_device: FakeDevice) -> None:
    side = side_of(session)
    sizes = [(10 + n, 9) for n in range(40)]
    for size in sizes:
        click(session, side, MaskFrame(8, (8, 8), size))
    leaks = len(fake_device.leaks())
    for size in sizes:
        click(session, side, MaskFrame(8, (8, 8), size))
    assert len(fake_device.leaks()) == leaks


def test_without_graphs(
    make: Callable[..., DeviceSession], fake_device: FakeDevice, caplog: Any
) -> None:
    """As with pycuda: plain calls, and nothing is said each time."""
    fake_device.can_capture = False
    session = make()
    side = side_of(session)
    for shift in range(4):
        assert_answers(click(session, side, shift=shift), side, shift)
    assert "capture" not in fake_device.names()
    assert caplog.records == []


def test_tensorrt_rtx_records_itself(
    make: Callable[..., DeviceSession], fake_device: FakeDevice, fake_trt: Any
) -> None:
    """Its kernels for a size come after the first run: only it knows when to record."""
    session = make(RTX)
    decoder = session._decoder._context.engine.config
    assert decoder.cuda_graph_strategy is fake_trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    encoder = session._encoder._context.engine.config
    assert encoder.cuda_graph_strategy is fake_trt.CudaGraphStrategy.DISABLED
    side = side_of(session)
    fake_trt.calls.clear()
    for shift in range(4):
        assert_answers(click(session, side, shift=shift), side, shift)
    assert "capture" not in fake_device.names()
    placed = {c[1:] for c in fake_trt.calls if c[0] == "set_tensor_address"}
    assert len(placed) == 7, "each tensor stays where it is"


@pytest.mark.parametrize("call", ["upload", "launch", "fill", "download", "copy", "synchronize"])
@pytest.mark.parametrize("after", [0, 3], ids=["first", "recorded"])
def test_a_device_that_fails_leaves_a_session_that_works(
    session: DeviceSession, fake_device: FakeDevice, call: str, after: int
) -> None:
    side = side_of(session)
    for shift in range(after):
        click(session, side, shift=shift)
    if after:  # of a graph these are not calls; a new picture is copied
        call, side = ("graph", side) if call != "copy" else (call, side_of(session, 2))
    fake_device.fail(call, DeviceError("it fell off the bus"))
    with pytest.raises(EngineUnavailable, match=r"failed in the mask decoder: it fell off the bus"):
        click(session, side)
    for shift in range(4):
        assert_answers(click(session, side, shift=shift), side, shift)


@pytest.mark.parametrize("call", ["memory", "pinned"])
def test_no_memory(session: DeviceSession, fake_device: FakeDevice, call: str) -> None:
    from edgesam_kernels.device import DeviceOutOfMemory

    side = side_of(session)
    fake_device.fail(call, DeviceOutOfMemory("no bytes"))
    with pytest.raises(OutOfMemory, match="not enough memory for masks on Fake H200"):
        click(session, side)
    for shift in range(3):
        assert_answers(click(session, side, shift=shift), side, shift)


@pytest.mark.parametrize("what", ["capture", "context"])
def test_what_cannot_be_recorded_runs_without(
    session: DeviceSession, fake_device: FakeDevice, fake_trt: Any, caplog: Any, what: str
) -> None:
    """The click is answered; that it is slower from now on is said, once."""
    side = side_of(session)
    if what == "capture":
        fake_device.fail("capture", DeviceError("not permitted"))
    else:
        fake_trt.fails["create_execution_context"] = "out of memory"
    with caplog.at_level(logging.WARNING, "edgesam"):
        for shift in range(4):
            assert_answers(click(session, side, shift=shift), side, shift)
    (record,) = caplog.records
    assert record.getMessage().startswith("clicks run without a CUDA graph, and slower: ")
    assert "graph" not in fake_device.names()


def test_an_error_while_recording_is_not_the_clicks(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    side = side_of(session)
    click(session, side)
    fake_device.fail("download", DeviceError("not now"), after=1)  # of the run before a recording
    for shift in range(3):
        assert_answers(click(session, side, shift=shift), side, shift)


def test_prompts_with_sides_of_their_own(session: DeviceSession) -> None:
    masks = MaskPrompts(np.ones((3, 1, 8, 8), np.float32), np.array([1, 0, 1], np.float32))
    side = session.image_side(session.encode(IMAGE), masks)
    prompts = Prompts(np.ones((3, 2, 2), np.float32), np.ones((3, 2), np.int32), masks)
    answer = session.finish(side, prompts, (0, 1), FRAME)
    logits, iou = session.decode(side, prompts, (0, 1))
    np.testing.assert_array_equal(answer.logits, logits)
    np.testing.assert_array_equal(answer.iou, iou)
    assert answer.masks is not None
    assert len(answer.masks) == 6
    np.testing.assert_allclose(answer.masks.area, logits.sum((2, 3)).reshape(-1), atol=1)


def test_closing_gives_everything_back(session: DeviceSession, fake_device: FakeDevice) -> None:
    side = side_of(session)
    for frame in (FRAME, OTHER):
        for shift in range(3):
            click(session, side, frame, shift)
    session.close()
    with pytest.raises(ValueError, match="closed"):
        click(session, side)
    del side
    assert fake_device.leaks() == []
