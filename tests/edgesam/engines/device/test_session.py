"""The three plans as a session: what goes to which, many prompts, masks, threads, cancelling."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import BundleError, PromptError
from edgesam.cancel import Cancel, Cancelled
from edgesam.embedding import on_host
from edgesam.engines.device.session import DeviceSession, Limits
from edgesam.engines.device.tensor import OnDevice
from edgesam.engines.protocol import MaskPrompts, Prompts
from edgesam.engines.tensorrt.flavour import CLASSIC
from edgesam.engines.tensorrt.graph import TensorRtGraph
from edgesam_kernels.device.fake import FakeDevice

IMAGE = np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8)


@pytest.fixture
def session(
    fake_trt: Any, fake_device: FakeDevice, fake_plan: Callable[..., bytes]
) -> Iterator[DeviceSession]:
    encoder, side, decoder = (
        TensorRtGraph(CLASSIC, fake_device, fake_plan(name), name=name, precision="fp16")
        for name in ("encoder", "side", "decoder")
    )
    with closing(
        DeviceSession(encoder, side, decoder, description="tensorrt:cuda", limits=Limits(4, 64, 4))
    ) as session:
        yield session


def prompts_of(count: int, points: int, masks: MaskPrompts | None = None) -> Prompts:
    draw = np.random.default_rng(count * 100 + points)
    coords = draw.integers(0, 8, (count, points, 2)).astype(np.float32)
    return Prompts(coords, draw.integers(0, 3, (count, points)).astype(np.int32), masks)


def wanted(
    embedding: NDArray[np.float32], told: NDArray[np.float32], prompts: Prompts, tokens: list[int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """By numpy, what the small graphs of the tests compute."""
    keys = embedding.reshape(1, 4, 4) + told[:, None, None]
    base = prompts.coords.sum((1, 2)) + 100.0 * prompts.labels.sum(1)
    base = base + keys.mean((1, 2)) + (keys[:, 0] + 1).mean(1)
    return base[:, None] + 10.0 * np.array(tokens), base[:, None] + np.arange(4)


def test_a_click(session: DeviceSession, fake_device: FakeDevice) -> None:
    embedding = session.encode(IMAGE)
    side = session.image_side(embedding, MaskPrompts.none(8))
    assert all(isinstance(tensor, OnDevice) for tensor in (embedding, *side))
    assert "download" not in fake_device.names(), "nothing came to the host yet"
    start = len(fake_device.calls)
    prompts = prompts_of(1, 2)
    logits, iou = session.decode(side, prompts, (0, 2))
    assert fake_device.names()[start:].count("upload") == 1, "points, labels and tokens together"
    expected = wanted(on_host(embedding), np.zeros(1, np.float32), prompts, [0, 2])
    np.testing.assert_allclose(logits[:, :, 3, 3], expected[0], rtol=1e-6)
    np.testing.assert_allclose(iou, expected[1], rtol=1e-6)
    assert (logits.dtype, logits.shape, iou.dtype) == (np.float32, (1, 2, 8, 8), np.float32)


def test_nothing_waits_between_a_picture_and_its_side(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    """The picture lies on the device, and so does what stands for no mask."""
    image = session._encoder.put("image", IMAGE)
    session.image_side(session.encode(image), MaskPrompts.none(8))
    start = len(fake_device.calls)
    for _ in range(3):
        side = session.image_side(session.encode(image), MaskPrompts.none(8))
    names = fake_device.names()[start:]
    assert not {"synchronize", "upload", "download"} & set(names)
    expected = wanted(IMAGE[:, :1, :2, :2].repeat(4, 1) * 2, np.zeros(1), prompts_of(1, 1), [0])
    found = session.decode(side, prompts_of(1, 1), (0,))
    np.testing.assert_allclose(found[0][:, :, 0, 0], expected[0], rtol=1e-6)


@pytest.mark.parametrize("count", [2, 4, 5, 9])
@pytest.mark.parametrize("points", [0, 1, 64])
def test_many_prompts(session: DeviceSession, fake_trt: Any, count: int, points: int) -> None:
    embedding = session.encode(IMAGE)
    side = session.image_side(embedding, MaskPrompts.none(8))
    prompts = prompts_of(count, points)
    fake_trt.calls.clear()
    logits, iou = session.decode(side, prompts, (1,))
    # What comes twice in one shape is recorded: two more, the first in a context of its own.
    again = 2 if count == 9 else 0
    assert sum(call[0] == "execute_async_v3" for call in fake_trt.calls) == -(-count // 4) + again
    expected = wanted(on_host(embedding), np.zeros(1, np.float32), prompts, [1])
    np.testing.assert_allclose(logits[:, :, 0, 0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(iou, expected[1], rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 3])
def test_masks(session: DeviceSession, rows: int) -> None:
    """One for all prompts, or one for each."""
    masks = MaskPrompts(
        np.arange(rows, dtype=np.float32)[:, None, None, None]
        + np.ones((rows, 1, 8, 8), np.float32),
        np.array([1, 0, 1], np.float32)[:rows],
    )
    embedding = session.encode(IMAGE)
    side = session.image_side(embedding, masks)
    assert [tensor.shape[0] for tensor in side] == [rows, rows]
    prompts = prompts_of(3, 2, masks)
    logits, _ = session.decode(side, prompts, (0, 1, 2))
    told = (np.arange(rows) + 1.0) * masks.given
    expected = wanted(on_host(embedding), told, prompts, [0, 1, 2])
    np.testing.assert_allclose(logits[:, :, 0, 0], expected[0], rtol=1e-6)


def test_arrays_from_elsewhere(session: DeviceSession) -> None:
    """What a program kept, or another engine made."""
    embedding = on_host(session.encode(IMAGE))
    side = session.image_side(embedding, MaskPrompts.none(8))
    prompts = prompts_of(2, 3)
    first = session.decode(side, prompts, (0,))
    second = session.decode(tuple(on_host(tensor) for tensor in side), prompts, (0,))
    np.testing.assert_array_equal(first[0], second[0])


def test_more_points_than_plans_take(session: DeviceSession) -> None:
    side = session.image_side(session.encode(IMAGE), MaskPrompts.none(8))
    with pytest.raises(PromptError) as error:
        session.decode(side, prompts_of(1, 65), (0,))
    assert str(error.value) == (
        "a prompt of 65 points, with its box or padding point: TensorRT's plans take 64; give "
        "fewer points, or take another engine"
    )


def test_cancelling(session: DeviceSession, fake_trt: Any) -> None:
    told = Cancel()
    told.tell()
    with pytest.raises(Cancelled):
        session.encode(IMAGE, told)
    assert not any(call[0] == "execute_async_v3" for call in fake_trt.calls)
    during = Cancel()
    note = fake_trt.note
    fake_trt.note = lambda *call: (during.tell(), note(*call))[1]
    with pytest.raises(Cancelled):
        session.encode(IMAGE, during)
    fake_trt.note = note
    assert on_host(session.encode(IMAGE, Cancel())).shape == (1, 4, 2, 2)


def test_many_threads(session: DeviceSession) -> None:
    side = session.image_side(session.encode(IMAGE), MaskPrompts.none(8))
    asked = [prompts_of(1 + n % 4, n % 5) for n in range(16)]
    alone = [session.decode(side, prompts, (0,)) for prompts in asked]
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = session.decode(side, asked[number], (0,))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (logits, iou) in enumerate(alone):
        np.testing.assert_array_equal(found[number][0], logits)
        np.testing.assert_array_equal(found[number][1], iou)


def test_closing_frees_all_but_what_was_handed_out(
    session: DeviceSession, fake_device: FakeDevice
) -> None:
    embedding = session.encode(IMAGE)
    session.image_side(on_host(embedding), MaskPrompts.none(8))
    session.close()
    assert len(fake_device.leaks()) == 1
    assert on_host(embedding).shape == (1, 4, 2, 2)
    del embedding
    assert fake_device.leaks() == []


class TestSeveralPictures:
    """In one run of an encoder whose graph takes them."""

    @pytest.fixture
    def several(
        self, fake_trt: Any, fake_device: FakeDevice, fake_plan: Callable[..., bytes]
    ) -> Iterator[DeviceSession]:
        plan = json.loads(fake_plan("encoder"))
        plan["tensors"]["image"] |= {"shape": ["image[0]", 3, 8, 8], "to": [4, 3, 8, 8]}
        plan["tensors"]["image_embeddings"]["shape"] = ["image[0]", 4, 2, 2]
        plans = [json.dumps(plan).encode(), fake_plan("side"), fake_plan("decoder")]
        graphs = (
            TensorRtGraph(CLASSIC, fake_device, one, name="one", precision="fp16") for one in plans
        )
        limits = Limits(4, 64, 4)
        with closing(DeviceSession(*graphs, description="tensorrt:cuda", limits=limits)) as session:
            yield session

    def test_they_are_each_what_they_are_alone(
        self, several: DeviceSession, fake_trt: Any, fake_device: FakeDevice
    ) -> None:
        """In host memory, on the device, and mixed; also after runs of one."""
        images: list[Any] = [IMAGE + 1000 * number for number in range(6)]
        alone = [on_host(several.encode(image)) for image in images]
        images[1::2] = [several._encoder.put("image", image) for image in images[1::2]]
        fake_trt.calls.clear()
        found = several.encode_batch(images)
        runs = [call[2] for call in fake_trt.calls if call[0] == "set_input_shape"]
        assert runs == [(4, 3, 8, 8), (2, 3, 8, 8)]
        assert [one.shape for one in found] == [(1, 4, 2, 2)] * 6
        for one, wanted in zip(found, alone, strict=True):
            np.testing.assert_array_equal(on_host(one), wanted)

    def test_each_can_be_clicked_on_and_let_go_of(
        self, several: DeviceSession, fake_device: FakeDevice
    ) -> None:
        images = [IMAGE + 1000 * number for number in range(4)]
        sides = [
            several.image_side(embedding, MaskPrompts.none(8))
            for embedding in several.encode_batch(images)
        ]
        told = np.zeros(1, np.float32)
        for image, side in zip(images, sides, strict=True):
            logits, _ = several.decode(side, prompts_of(1, 2), (0, 2))
            expected = wanted(on_host(several.encode(image)), told, prompts_of(1, 2), [0, 2])
            np.testing.assert_allclose(logits[:, :, 3, 3], expected[0], rtol=1e-6)
        del sides, side
        several.close()
        assert fake_device.leaks() == []

    def test_one_and_none(self, several: DeviceSession) -> None:
        assert several.encode_batch([]) == []
        (found,) = several.encode_batch([IMAGE])
        np.testing.assert_array_equal(on_host(found), on_host(several.encode(IMAGE)))

    def test_an_encoder_of_one_picture_is_run_for_each(
        self, session: DeviceSession, fake_trt: Any
    ) -> None:
        found = session.encode_batch([IMAGE, IMAGE + 1])
        assert sum(call[0] == "execute_async_v3" for call in fake_trt.calls) == 2
        np.testing.assert_array_equal(on_host(found[1]), on_host(session.encode(IMAGE + 1)))

    def test_sizes_that_differ(self, several: DeviceSession) -> None:
        with pytest.raises(BundleError, match="does not take image of several sizes in one run"):
            several.encode_batch([IMAGE, IMAGE[:, :, :4]])
