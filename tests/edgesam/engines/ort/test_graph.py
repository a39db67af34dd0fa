"""ONNX Runtime on a stream of ours: real graphs, computed when the fake device comes to it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import BundleError, EngineUnavailable, OutOfMemory
from edgesam.cancel import Cancel, Cancelled
from edgesam.embedding import on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.device.session import DeviceSession
from edgesam.engines.device.tensor import OnDevice
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.engines.ort.graph import OrtGraph
from edgesam_kernels.device import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice

from ..ort_double import OrtDouble

Noise = Callable[..., NDArray[np.uint8]]
NOTHING = MaskPrompts.none(256)
OUTPUTS = ("image_embeddings", "keys", "low_res_masks")
WAITS = {"synchronize", "download", "upload"}


@pytest.fixture(scope="module")
def graphs(lite_graphs: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """With an encoder that takes no time."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    path = tmp_path_factory.mktemp("quick") / "image_encoder.onnx"
    weights = np.random.default_rng(0).normal(0, 1, (256, 3, 4, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["image_embeddings"], strides=[4, 4])],
        "quick",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 256, 256])],
        [helper.make_tensor_value_info("image_embeddings", TensorProto.FLOAT, [1, 256, 64, 64])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
    return replace(lite_graphs, image_encoder=path)


@pytest.fixture(scope="module")
def plain(graphs: Graphs) -> Session:
    return OnnxRuntime().open(graphs, precision="fp32", device="cpu", threads=1)


@pytest.fixture
def there(plain: Session, fake_ort: OrtDouble, graphs: Graphs) -> Iterator[DeviceSession]:
    session = OnnxRuntime().open(graphs, precision="fp32", device="cuda", threads=None)
    assert isinstance(session, DeviceSession)
    yield session
    session.close()


def picture(noise: Noise, seed: int = 0) -> NDArray[np.float32]:
    return noise(1, 3, 256, 256, seed=seed).astype(np.float32) / 255


def click(x: float = 90.0, count: int = 1, points: int = 2) -> Prompts:
    coords = np.linspace(x, 200, count * points * 2, dtype=np.float32)
    return Prompts(coords.reshape(count, points, 2), np.ones((count, points), np.int32))


def masks(noise: Noise, count: int) -> MaskPrompts:
    logits = noise(count, 1, 256, 256).astype(np.float32) / 20 - 5
    return MaskPrompts(logits, np.ones(count, np.float32))


class TestAgainstArrays:
    """Bit for bit what the same graphs give through ``run``."""

    def test_clicks(self, there: DeviceSession, plain: Session, noise: Noise) -> None:
        for seed in range(4):  # plainly, by what is then recorded, and by that twice
            image = picture(noise, seed)
            wanted, found = plain.encode(image), there.encode(image)
            assert isinstance(found, OnDevice)
            assert found.shape == wanted.shape
            np.testing.assert_array_equal(found.host(), on_host(wanted))
            sides = plain.image_side(wanted, NOTHING), there.image_side(found, NOTHING)
            for ours, theirs in zip(sides[1], sides[0], strict=True):
                assert isinstance(ours, OnDevice)
                np.testing.assert_array_equal(ours.host(), on_host(theirs))
            for tokens, prompts in (
                ((0,), click()),
                ((2,), click(30)),
                ((1, 2, 3), click(count=6)),
                ((0, 1, 2, 3), click(points=70)),
            ):
                these = plain.decode(sides[0], prompts, tokens)
                those = there.decode(sides[1], prompts, tokens)
                for one, other in zip(these, those, strict=True):
                    np.testing.assert_array_equal(other, one)

    @pytest.mark.parametrize("count", [1, 2])
    def test_mask_prompts(
        self, there: DeviceSession, plain: Session, noise: Noise, count: int
    ) -> None:
        embedding = on_host(plain.encode(picture(noise)))
        for given in (embedding, there.encode(picture(noise))):
            sides = (
                plain.image_side(embedding, masks(noise, count)),
                there.image_side(given, masks(noise, count)),
            )
            these, those = (
                one.decode(side, click(count=count), (0,))[0]
                for one, side in zip((plain, there), sides, strict=True)
            )
            np.testing.assert_allclose(those, these, atol=1e-4 * np.abs(these).max())

    def test_tensors_of_the_other_session(
        self, there: DeviceSession, plain: Session, noise: Noise
    ) -> None:
        mine = there.image_side(there.encode(picture(noise)), NOTHING)
        theirs = plain.image_side(plain.encode(picture(noise)), NOTHING)
        wanted, _ = plain.decode(theirs, click(), (0,))
        for session, side in ((there, theirs), (plain, mine), (there, mine)):
            np.testing.assert_array_equal(session.decode(side, click(), (0,))[0], wanted)

    def test_an_embedding_outlives_the_next_ones(self, there: DeviceSession, noise: Noise) -> None:
        kept = []
        for seed in range(4):
            embedding = there.encode(picture(noise, seed))
            side = there.image_side(embedding, NOTHING)
            kept.append(((embedding, *side), [on_host(part) for part in (embedding, *side)]))
        for parts, before in kept:
            for part, array in zip(parts, before, strict=True):
                np.testing.assert_array_equal(on_host(part), array)

    def test_many_at_once(self, there: DeviceSession, noise: Noise) -> None:
        sides = [there.image_side(there.encode(picture(noise, s)), NOTHING) for s in (0, 1)]
        wanted = [there.decode(side, click(), (0,))[0] for side in sides]
        embedding = on_host(there.encode(picture(noise)))
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(there.decode, sides[i % 2], click(), (0,)) for i in range(12)]
            again = [pool.submit(there.encode, picture(noise)) for _ in range(3)]
            for i, one in enumerate(asked):
                np.testing.assert_array_equal(one.result()[0], wanted[i % 2])
            for encoded in again:
                np.testing.assert_array_equal(on_host(encoded.result()), embedding)


class TestRecorded:
    def test_what_comes_twice_is_asked_of_onnxruntime_no_more(
        self, there: DeviceSession, fake_ort: OrtDouble, fake_device: FakeDevice, noise: Noise
    ) -> None:
        """The second time it runs as it will be recorded, and is recorded."""
        for count in (1, 2, 3, 4):
            there.decode(there.image_side(there.encode(picture(noise)), NOTHING), click(), (0,))
            asked = [fake_ort.runs.count(name) for name in OUTPUTS]
            assert asked == ([1, 1, 1] if count == 1 else [3, 3, 4])
        assert fake_device.names().count("capture") == 3

    def test_nobody_waits_from_a_picture_to_its_side(
        self, there: DeviceSession, fake_device: FakeDevice, noise: Noise
    ) -> None:
        image = there._encoder.put("image", picture(noise))
        for _ in range(3):
            there.image_side(there.encode(image), NOTHING)
        start = len(fake_device.calls)
        kept = [there.image_side(there.encode(image), NOTHING) for _ in range(3)]
        assert not WAITS & set(fake_device.names()[start:])
        assert len(kept) == 3

    def test_nothing_is_allocated_after_the_first(
        self, there: DeviceSession, fake_device: FakeDevice, noise: Noise
    ) -> None:
        image = there._encoder.put("image", picture(noise))
        for _ in range(4):
            there.decode(there.image_side(there.encode(image), NOTHING), click(), (0,))
        start = len(fake_device.calls)
        for _ in range(4):
            there.decode(there.image_side(there.encode(image), NOTHING), click(), (0,))
        assert not {"memory", "pinned", "close"} & set(fake_device.names()[start:])

    def test_a_device_without_graphs(
        self, fake_ort: OrtDouble, fake_device: FakeDevice, graphs: Graphs, noise: Noise
    ) -> None:
        fake_device.can_capture = False
        session = OnnxRuntime().open(graphs, precision="fp32", device="cuda", threads=None)
        found = [on_host(session.encode(picture(noise))) for _ in range(3)]
        np.testing.assert_array_equal(found[0], found[2])
        assert "capture" not in fake_device.names()
        assert fake_ort.runs == ["image_embeddings"] * 3
        session.close()

    def test_what_cannot_be_recorded_runs_plainly(
        self,
        there: DeviceSession,
        fake_ort: OrtDouble,
        fake_device: FakeDevice,
        noise: Noise,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        wanted = on_host(there.encode(picture(noise)))
        fake_device.fail("capture", DeviceError("operation not permitted"))
        with caplog.at_level(logging.WARNING):
            found = [on_host(there.encode(picture(noise))) for _ in range(3)]
        for one in found:
            np.testing.assert_array_equal(one, wanted)
        (record,) = caplog.records
        said = "runs without a CUDA graph, and slower: operation not permitted"
        assert record.getMessage() == f"{there._encoder.name} {said}"
        assert fake_ort.runs == ["image_embeddings"] * (1 + 2 + 2)

    def test_no_room_for_what_is_recorded(
        self, there: DeviceSession, fake_device: FakeDevice, noise: Noise
    ) -> None:
        """It needs inputs and outputs of its own; without them pictures are made as before."""
        wanted = on_host(there.encode(picture(noise)))
        fake_device.fail("memory", DeviceOutOfMemory("none left"))
        for _ in range(2):
            np.testing.assert_array_equal(on_host(there.encode(picture(noise))), wanted)
        assert "capture" not in fake_device.names()

    def test_runs_are_waited_for_until_one_is_recorded(
        self, there: DeviceSession, fake_ort: OrtDouble, noise: Noise
    ) -> None:
        """What ONNX Runtime staged for a run it frees there alone; what is recorded reads it."""
        for _ in range(3):
            there.encode(picture(noise))
        assert fake_ort.waited == [True, True, False]
        side = there.image_side(there.encode(picture(noise)), NOTHING)
        del fake_ort.waited[:]
        for _ in range(3):  # plainly, plainly and as it will be recorded and is, and that
            there.decode(side, click(), (0,))
        assert fake_ort.waited == [True, True, True, False]
        for points in (3, 4):
            there.decode(side, click(points=points), (0,))
        assert fake_ort.waited[4:] == [False, False]

    def test_runs_are_waited_for_where_none_is_recorded(
        self, there: DeviceSession, fake_ort: OrtDouble, fake_device: FakeDevice, noise: Noise
    ) -> None:
        fake_device.fail("capture", DeviceError("operation not permitted"))
        for _ in range(4):
            there.encode(picture(noise))
        assert fake_ort.waited == [True] * 5

    def test_runs_are_waited_for_again_when_nothing_is_recorded_any_more(
        self, there: DeviceSession, fake_ort: OrtDouble, noise: Noise
    ) -> None:
        side = there.image_side(there.encode(picture(noise)), NOTHING)
        for _ in range(2):
            there.decode(side, click(), (0,))
        there.decode(side, click(count=40), (0, 1, 2, 3))  # more than there was room for
        assert fake_ort.waited[-2:] == [False, True]

    def test_nothing_is_put_into_what_is_recorded(
        self,
        there: DeviceSession,
        fake_device: FakeDevice,
        noise: Noise,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        held, upload = [], fake_device.upload

        def watched(*given: Any) -> None:
            held.append(there._encoder._lock.locked())
            upload(*given)

        monkeypatch.setattr(fake_device, "upload", watched)
        there._encoder.put("image", picture(noise))
        assert held == [True]


class TestFailing:
    def test_a_run(self, there: DeviceSession, fake_ort: OrtDouble, noise: Noise) -> None:
        fake_ort.fails = [RuntimeError("CUDA failure 719: unspecified launch failure\nmore")]
        with pytest.raises(
            BundleError, match=r"cannot run the graph: CUDA failure 719: unspecified launch fail"
        ) as raised:
            there.encode(picture(noise))
        assert "\n" not in str(raised.value)
        no_room = RuntimeError("Failed to allocate memory for requested buffer of size 9")
        fake_ort.fails = [no_room, no_room]
        with pytest.raises(
            OutOfMemory, match=r"ran out of memory with image_encoder.* on Fake H200"
        ):
            there.encode(picture(noise))
        assert there.encode(picture(noise)).shape == (1, 256, 64, 64)

    def test_a_click(self, there: DeviceSession, fake_ort: OrtDouble, noise: Noise) -> None:
        side = there.image_side(there.encode(picture(noise)), NOTHING)
        wanted = there.decode(side, click(), (0,))[0]
        fake_ort.fails = [RuntimeError("CUDA failure 2: out of memory")]
        with pytest.raises(OutOfMemory):
            there.decode(side, click(points=3), (0,))
        np.testing.assert_array_equal(there.decode(side, click(), (0,))[0], wanted)

    @pytest.mark.parametrize(
        ("failure", "raised"),
        [(DeviceOutOfMemory("none left"), OutOfMemory), (DeviceError("lost"), EngineUnavailable)],
    )
    def test_the_device(
        self,
        there: DeviceSession,
        fake_device: FakeDevice,
        noise: Noise,
        failure: Exception,
        raised: type[Exception],
    ) -> None:
        fake_device.fail("memory", failure)
        with pytest.raises(raised, match="image_encoder"):
            there.encode(picture(noise))
        assert there.encode(picture(noise)).shape == (1, 256, 64, 64)

    @pytest.mark.parametrize("shape", [(1, 3, 255, 256), (3, 256, 256)], ids=str)
    def test_a_size_that_the_graph_does_not_take(
        self, there: DeviceSession, shape: tuple[int, ...]
    ) -> None:
        size = " x ".join(map(str, shape))
        with pytest.raises(BundleError, match=rf"^image_encoder.* does not take image of {size}$"):
            there.encode(np.zeros(shape, np.float32))

    def test_sizes_that_contradict(self, there: DeviceSession) -> None:
        with pytest.raises(BundleError, match="does not take has_mask_input of 2"):
            there._image_side.placing().shaped(
                {
                    "image_embeddings": (1, 256, 64, 64),
                    "mask_input": (1, 1, 256, 256),
                    "has_mask_input": (2,),
                }
            )

    def test_what_was_cancelled_is_not_begun(
        self, there: DeviceSession, fake_ort: OrtDouble, noise: Noise
    ) -> None:
        cancel = Cancel()
        cancel.tell()
        with pytest.raises(Cancelled):
            there.encode(picture(noise), cancel)
        assert fake_ort.runs == []


class TestClosing:
    def test_it_waits_and_leaves_nothing(
        self,
        fake_ort: OrtDouble,
        fake_device: FakeDevice,
        graphs: Graphs,
        noise: Noise,
    ) -> None:
        session = OnnxRuntime().open(graphs, precision="fp32", device="cuda", threads=None)
        for _ in range(3):
            kept = session.encode(picture(noise))
            session.decode(session.image_side(kept, NOTHING), click(), (0,))
        session.close()
        session.close()
        assert on_host(kept).shape == (1, 256, 64, 64), "it outlives its session"
        del kept
        assert fake_device.leaks() == []
        with pytest.raises(ValueError, match="this session is closed"):
            session.encode(picture(noise))

    def test_a_graph_that_does_not_load_leaves_nothing(
        self, fake_ort: OrtDouble, fake_device: FakeDevice, lite_graphs: Graphs
    ) -> None:
        def start(stream: int) -> Any:
            raise BundleError("onnxruntime cannot load it")

        with pytest.raises(BundleError, match="cannot load it"):
            OrtGraph(fake_device, "encoder", start)
        assert fake_device.leaks() == []


def test_the_binding_takes_addresses() -> None:
    """In the onnxruntime that is installed; one without CUDA refuses the device."""
    import onnxruntime

    wanted = ["self", "name", "device_type", "device_id", "element_type", "shape", "buffer_ptr"]
    for bind in (onnxruntime.IOBinding.bind_input, onnxruntime.IOBinding.bind_output):
        assert list(inspect.signature(bind).parameters) == wanted
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
