"""One plan on a device: order of calls, addresses, and what is said when something fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam import BundleError, EngineUnavailable, PrecisionMismatch
from edgesam.engines.blobs import Blob
from edgesam.engines.device.tensor import OnDevice
from edgesam.engines.tensorrt.flavour import CLASSIC, RTX, Flavour
from edgesam.engines.tensorrt.graph import TensorRtGraph, _words
from edgesam.engines.tensorrt.log import listening
from edgesam.errors import OutOfMemory
from edgesam_kernels.device import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.lender import Lender

MakePlan = Callable[..., bytes]
IMAGE = np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8)
FLAVOURS = pytest.mark.parametrize("flavour", [CLASSIC, RTX], ids=lambda flavour: flavour.name)


@pytest.fixture
def load(fake_trt: Any, fake_device: FakeDevice, fake_plan: MakePlan) -> Callable[..., Any]:
    def make(
        name: str = "encoder",
        flavour: Flavour = CLASSIC,
        precision: str = "fp16",
        cache: Blob | None = None,
        plan: bytes | None = None,
    ) -> TensorRtGraph:
        return TensorRtGraph(
            flavour,
            fake_device,
            plan or fake_plan(name),
            name=f"{name}.onnx",
            precision=precision,
            cache=cache,
        )

    return make


class TestRunning:
    @FLAVOURS
    def test_calls_and_their_order(
        self, load: Callable[..., Any], fake_trt: Any, fake_device: FakeDevice, flavour: Flavour
    ) -> None:
        graph = load(flavour=flavour)
        assert (graph.inputs, graph.outputs) == (["image"], ["image_embeddings"])
        fake_trt.calls.clear()
        start = len(fake_device.calls)
        (found,) = graph.run({"image": IMAGE}, ["image_embeddings"])
        np.testing.assert_array_equal(found, IMAGE[:, :1, :2, :2].repeat(4, 1) * 2)
        names = [call[0] for call in fake_trt.calls]
        assert names == [
            "set_input_shape",
            "set_tensor_address",
            "set_tensor_address",
            "execute_async_v3",
        ]
        given = {call[1]: call[2] for call in fake_trt.calls if call[0] == "set_tensor_address"}
        uploaded = [c for c in fake_device.calls[start:] if c.name == "upload"]
        assert len(uploaded) == 1
        assert given["image"] != given["image_embeddings"]
        handles = {call[2] for call in fake_trt.calls if call[0] == "execute_async_v3"}
        assert handles == {graph.stream.handle}
        order = [n for n in fake_device.names()[start:] if n in ("upload", "launch", "download")]
        assert order == ["upload", "launch", "download"]

    def test_buffers_stay_and_grow(self, load: Callable[..., Any], fake_device: FakeDevice) -> None:
        graph = load("decoder")

        def run(count: int, points: int) -> Any:
            return graph.run(
                {
                    "keys": np.zeros((1, 4, 4), np.float32),
                    "queries": np.zeros((1, 4), np.float32),
                    "point_coords": np.ones((count, points, 2), np.float32),
                    "point_labels": np.ones((count, points), np.int32),
                    "mask_tokens": np.array([0, 2], np.int64),
                },
                ["low_res_masks", "iou_predictions"],
            )

        for count, points in [(1, 2), (1, 2), (4, 64), (2, 3), (1, 0)]:
            logits, iou = run(count, points)
            assert (logits.shape, iou.shape) == ((count, 2, 8, 8), (count, 4))
            assert (iou[:, 0] == 102 * points).all()
            assert (logits[:, 1] == 102 * points + 20).all()
        before = fake_device.names().count("memory")
        run(3, 5)
        assert fake_device.names().count("memory") == before
        graph.close()
        assert fake_device.leaks() == []

    def test_what_is_kept_stays_on_the_device(
        self, load: Callable[..., Any], fake_device: FakeDevice
    ) -> None:
        encoder, side = load("encoder"), load("side")
        (first,) = encoder.enqueue({"image": IMAGE}, ["image_embeddings"])
        (second,) = encoder.enqueue({"image": IMAGE + 1}, ["image_embeddings"])
        assert isinstance(first, OnDevice)
        assert (first.shape, first.dtype, first.nbytes) == ((1, 4, 2, 2), np.float32, 64)
        start = len(fake_device.calls)
        keys, queries = side.run(
            {
                "image_embeddings": first,
                "mask_input": np.zeros((1, 1, 8, 8), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
            },
            ["keys", "queries"],
        )
        assert fake_device.names()[start:].count("upload") == 2, "the embedding lay there"
        wanted = (IMAGE[:, :1, :2, :2].repeat(4, 1) * 2).reshape(1, 4, 4)
        np.testing.assert_array_equal(keys, wanted)
        np.testing.assert_array_equal(first.host().reshape(1, 4, 4), wanted)
        np.testing.assert_array_equal(second.host().reshape(1, 4, 4), wanted + 2)
        encoder.close()
        np.testing.assert_array_equal(queries, wanted[:, 0] + 1)
        assert first.host().shape == (1, 4, 2, 2), "it outlives its session"

    def test_work_is_given_and_nobody_waits(
        self, load: Callable[..., Any], fake_device: FakeDevice
    ) -> None:
        """One graph's answers are the next one's input, on another stream, and are let go of."""
        encoder, side = load("encoder"), load("side")
        image = encoder.put("image", IMAGE)
        no_masks = {
            "mask_input": side.put("mask_input", np.zeros((1, 1, 8, 8))),
            "has_mask_input": side.put("has_mask_input", np.zeros(1)),
        }
        found = []
        start = len(fake_device.calls)
        for _ in range(5):
            (embedding,) = encoder.enqueue({"image": image}, ["image_embeddings"])
            given = {"image_embeddings": embedding, **no_masks}
            found.append(side.enqueue(given, ["queries", "keys"]))
            del embedding, given
        names = fake_device.names()[start:]
        assert not {"synchronize", "upload", "download"} & set(names)
        assert names.count("memory") == 2 + 2 * 5, "two embeddings go round, answers are kept"
        wanted = (IMAGE[:, :1, :2, :2].repeat(4, 1) * 2).reshape(1, 4, 4)
        for queries, keys in found:
            np.testing.assert_array_equal(keys.host(), wanted)
            np.testing.assert_array_equal(queries.host(), wanted[:, 0] + 1)
        encoder.close()
        side.close()

    def test_closing_waits_for_what_was_given(
        self, load: Callable[..., Any], fake_device: FakeDevice
    ) -> None:
        graph = load()
        (kept,) = graph.enqueue({"image": IMAGE}, ["image_embeddings"])
        graph.enqueue({"image": IMAGE}, ["image_embeddings"])
        graph.close()
        assert kept.ready.done()
        del kept
        assert fake_device.leaks() == []

    def test_of_another_device_it_goes_through_the_host(
        self, load: Callable[..., Any], fake_device: FakeDevice
    ) -> None:
        other = FakeDevice(ordinal=1)
        stream = other.stream()
        loan = Lender(other).lend(64, stream)
        values = np.arange(16, dtype=np.float32)
        other.upload(loan.pointer, values, stream)
        there = OnDevice(other, loan, (1, 4, 2, 2), stream.record(), other.stream())
        keys, _ = load("side").run(
            {
                "image_embeddings": there,
                "mask_input": np.zeros((1, 1, 8, 8), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
            },
            ["keys", "queries"],
        )
        np.testing.assert_array_equal(keys.ravel(), values)

    def test_arrays_are_brought_into_the_graphs_types(self, load: Callable[..., Any]) -> None:
        turned = np.asfortranarray(IMAGE.astype(np.float64))
        (found,) = load().run({"image": turned}, ["image_embeddings"])
        np.testing.assert_array_equal(found, IMAGE[:, :1, :2, :2].repeat(4, 1) * 2)

    def test_after_closing(self, load: Callable[..., Any]) -> None:
        graph = load()
        graph.close()
        graph.close()
        with pytest.raises(ValueError, match="this session is closed"):
            graph.run({"image": IMAGE}, ["image_embeddings"])


class TestFailing:
    @pytest.mark.parametrize(
        ("call", "said", "message"),
        [
            ("deserialize_cuda_engine", "Serialization failed", "cannot load the plan of"),
            ("create_execution_context", "no reason", "cannot start the plan of"),
        ],
    )
    def test_loading(
        self, load: Callable[..., Any], fake_trt: Any, call: str, said: str, message: str
    ) -> None:
        fake_trt.fails[call] = said
        with pytest.raises(BundleError, match=f"^TensorRT {message} encoder.onnx: {said}$"):
            load()
        fake_trt.fails[call] = "Requested amount of GPU memory could not be allocated"
        with pytest.raises(OutOfMemory, match=r"ran out of memory with encoder.onnx on Fake H200"):
            load()

    def test_running(self, load: Callable[..., Any], fake_trt: Any) -> None:
        graph = load()
        fake_trt.fails["execute_async_v3"] = "illegal address\nin kernel"
        with pytest.raises(
            BundleError, match=r"^TensorRT cannot run encoder\.onnx: illegal address in kernel$"
        ):
            graph.run({"image": IMAGE}, ["image_embeddings"])
        fake_trt.fails["execute_async_v3"] = "CUDA out of memory"
        with pytest.raises(OutOfMemory):
            graph.run({"image": IMAGE}, ["image_embeddings"])
        fake_trt.fails.clear()
        graph.run({"image": IMAGE}, ["image_embeddings"])

    def test_a_size_that_it_was_not_built_for(self, load: Callable[..., Any]) -> None:
        with pytest.raises(
            BundleError, match=r"does not take image of 1 x 3 x 9 x 9 in encoder\.onnx: outside of"
        ) as error:
            load().run({"image": np.zeros((1, 3, 9, 9), np.float32)}, ["image_embeddings"])
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("failure", "raised"),
        [(DeviceOutOfMemory("none left"), OutOfMemory), (DeviceError("lost"), EngineUnavailable)],
    )
    def test_the_device(
        self,
        load: Callable[..., Any],
        fake_device: FakeDevice,
        failure: Exception,
        raised: type[Exception],
    ) -> None:
        graph = load()
        fake_device.fail("memory", failure)
        with pytest.raises(raised, match=r"encoder\.onnx"):
            graph.run({"image": IMAGE}, ["image_embeddings"])
        graph.run({"image": IMAGE}, ["image_embeddings"])

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_built_in_another_precision(self, load: Callable[..., Any], precision: str) -> None:
        with pytest.raises(
            PrecisionMismatch,
            match=rf"^encoder\.onnx should run in {precision} and was built in FLOAT, HALF$",
        ):
            load(precision=precision)

    def test_types_that_are_not_told(
        self, load: Callable[..., Any], fake_plan: MakePlan, caplog: pytest.LogCaptureFixture
    ) -> None:
        load(plan=fake_plan("encoder", ()))
        assert "TensorRT does not tell which types encoder.onnx runs in" in caplog.text


class TestRtx:
    def test_a_card_that_it_does_not_take(self, load: Callable[..., Any], fake_trt: Any) -> None:
        reasons = fake_trt.EngineInvalidityDiagnostics
        fake_trt.validity = fake_trt.EngineValidity.INVALID, reasons.UNSUPPORTED_CC
        with pytest.raises(EngineUnavailable) as error:
            load(flavour=RTX)
        assert str(error.value) == (
            "TensorRT-RTX 1.7.1.116 does not run encoder.onnx on this Fake H200: UNSUPPORTED_CC"
        )
        load(flavour=CLASSIC)

    def test_its_reasons_are_put_into_words(self, rtx: None) -> None:
        """By the real library, which looks at a plan without a GPU."""
        trt = RTX.load()
        validity, reasons = trt.Runtime(listening(trt)).get_engine_validity(b"no plan" * 100)
        assert validity == trt.EngineValidity.INVALID
        assert _words(trt, reasons) == "MALFORMED_ENGINE"
        assert _words(trt, 3) == "VERSION_MISMATCH, UNSUPPORTED_CC"
        assert _words(trt, 0) == ""

    def test_what_it_compiled_is_kept(
        self, load: Callable[..., Any], fake_trt: Any, tmp_path: Path
    ) -> None:
        cache = Blob(tmp_path / "kernels.blob")
        graph = load(flavour=RTX, cache=cache)
        assert cache.load() == b"kernels"
        fake_trt.compiled = b"more kernels"
        graph.close()
        assert cache.load() == b"more kernels"
        fake_trt.calls.clear()
        load(flavour=RTX, cache=cache)
        assert ("runtime cache", b"more kernels") in fake_trt.calls

    def test_classic_tensorrt_keeps_nothing(self, load: Callable[..., Any], tmp_path: Path) -> None:
        cache = Blob(tmp_path / "kernels.blob")
        load(flavour=CLASSIC, cache=cache).close()
        assert cache.load() is None
