"""Engines: one asked for by name runs or raises; what was loaded is read back."""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import (
    BundleError,
    EngineUnavailable,
    ModelNotFound,
    PrecisionMismatch,
    engines,
    machine,
)
from edgesam.bundle import Bundle, find_bundle
from edgesam.engines import (
    ENGINES,
    Graphs,
    MaskPrompts,
    Prompts,
    Session,
    choose,
)
from edgesam.engines.fake import FakeEngine
from edgesam.engines.ort import in_bytes
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.home import home
from edgesam.manifest import ROLES
from edgesam_kernels.device import opening
from edgesam_kernels.device.fake import FakeDevice

Make = Callable[..., Bundle]
Noise = Callable[..., NDArray[np.uint8]]
WriteGraph = Callable[..., Path]
PULLED = home()  # read before any test gets a home of its own


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if onnxruntime were not installed."""
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        gone = ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")
        return None if name in gone else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if onnxruntime were installed without a library that it needs."""
    real = builtins.__import__

    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("DLL load failed while importing onnxruntime\nsecond line")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)


def open_ort(graphs: Graphs, precision: str = "fp32", device: str = "auto") -> Session:
    return OnnxRuntime().open(graphs, precision=precision, device=device, threads=1)


class TestChoosing:
    def test_by_name(self) -> None:
        assert choose("onnxruntime") is ENGINES["onnxruntime"]

    def test_auto_takes_the_first_that_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert choose("auto").name == "onnxruntime"
        lame = FakeEngine()
        monkeypatch.setattr(lame, "available", lambda: "needs a leg")
        works = FakeEngine()
        monkeypatch.setattr(engines, "ENGINES", {"lame": lame, "works": works})
        assert choose("auto") is works

    def test_auto_takes_one_that_has_the_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain, other = FakeEngine(), FakeEngine()
        monkeypatch.setattr(other, "devices", lambda: ("cpu", "gpu"))
        monkeypatch.setattr(engines, "ENGINES", {"plain": plain, "other": other})
        assert choose("auto") is choose("auto", "cpu") is plain
        assert choose("auto", "gpu") is other
        assert choose("auto", "npu") is plain, "which says that it has no such device"

    def test_auto_where_nothing_works(self, hidden: None) -> None:
        with pytest.raises(EngineUnavailable, match="no engine works here: onnxruntime needs"):
            choose("auto")

    @pytest.mark.parametrize("name", ["tensorflow", "fake", "", "ONNXRUNTIME"])
    def test_an_unknown_name(self, name: str) -> None:
        with pytest.raises(EngineUnavailable, match=rf"'{name}'; known: onnxruntime"):
            choose(name)

    def test_an_engine_that_is_not_installed(self, hidden: None) -> None:
        with pytest.raises(EngineUnavailable, match=r'Try: pip install "edgesam\[cpu\]"') as raised:
            choose("onnxruntime")
        assert "\n" not in str(raised.value)
        assert OnnxRuntime().devices() == ()

    def test_an_engine_that_is_installed_and_broken(self, broken: None) -> None:
        with pytest.raises(
            EngineUnavailable, match=r"cannot be imported .DLL load failed"
        ) as raised:
            choose("onnxruntime")
        assert "\n" not in str(raised.value)
        assert OnnxRuntime().devices() == ()

    def test_an_engine_of_which_a_folder_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As pip leaves it where onnxruntime and onnxruntime-gpu were both there."""
        monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: object())
        with pytest.raises(EngineUnavailable, match="cannot import name 'InferenceSession'"):
            choose("onnxruntime")


class TestOnnxRuntime:
    def test_it_runs_the_graphs_it_is_given(self, lite_graphs: Graphs, noise: Noise) -> None:
        session = open_ort(lite_graphs)
        assert session.description == "onnxruntime:cpu"
        embedding = session.encode(noise(1, 3, 256, 256).astype(np.float32) / 255)
        assert (embedding.shape, embedding.dtype) == ((1, 256, 64, 64), np.float32)
        side = session.image_side(embedding, MaskPrompts.none(256))
        assert [array.shape[0] for array in side] == [1, 1, 1, 1]
        points = np.ones((2, 3, 2), np.float32), np.ones((2, 3), np.int32)
        logits, iou = session.decode(side, Prompts(*points), (0, 2))
        assert (logits.shape, iou.shape) == ((2, 2, 256, 256), (2, 4))
        assert logits.dtype == iou.dtype == np.float32
        session.close()

    @pytest.mark.parametrize("device", ["gpu", "CPU", "", "cuda:0"])
    def test_an_unknown_device(self, lite_graphs: Graphs, device: str) -> None:
        with pytest.raises(EngineUnavailable, match=rf"no device '{device}' here; it has: .*cpu"):
            open_ort(lite_graphs, device=device)

    def test_a_device_that_is_not_here(self, lite_graphs: Graphs) -> None:
        if "cuda" in OnnxRuntime().devices():
            pytest.skip("this machine's onnxruntime offers CUDA")
        with pytest.raises(
            EngineUnavailable,
            match=r"no device 'cuda' here; it has: cpu. Try: pip install .edgesam\[gpu\]",
        ):
            open_ort(lite_graphs, device="cuda")

    def test_a_provider_that_is_dropped_silently(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Offered, but does not start (no driver): ONNX Runtime falls back with a log line."""
        import onnxruntime

        class Fallen:
            def __init__(self, *_: Any, **__: Any) -> None: ...

            def get_providers(self) -> list[str]:
                return ["CPUExecutionProvider"]

        both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
        monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
        monkeypatch.setattr(opening, "open_device", lambda *_: FakeDevice())
        with pytest.raises(EngineUnavailable, match="CUDAExecutionProvider and runs CPUExec"):
            open_ort(lite_graphs, device="cuda")

    @pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09" * 1000])
    def test_a_corrupt_graph(self, lite_graphs: Graphs, tmp_path: Path, content: bytes) -> None:
        corrupt = tmp_path / "corrupt.onnx"
        corrupt.write_bytes(content)
        for role in ROLES:
            spoilt = replace(lite_graphs, **{role: corrupt})
            with pytest.raises(BundleError, match=r"cannot load corrupt\.onnx") as raised:
                open_ort(spoilt)
            assert "\n" not in str(raised.value)

    def test_a_truncated_graph(self, lite_graphs: Graphs, tmp_path: Path) -> None:
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(lite_graphs.mask_decoder.read_bytes()[:-100_000])
        with pytest.raises(BundleError, match=r"cannot load cut\.onnx"):
            open_ort(replace(lite_graphs, mask_decoder=cut))

    def test_weights_beside_their_graph(self, write_graph: WriteGraph, tmp_path: Path) -> None:
        import onnx

        path = tmp_path / "sum.onnx"
        weights = {"w": np.arange(1024, dtype=np.float32)}
        nodes = [("Add", ["image", "w"], "image_embeddings")]
        write_graph(path, nodes, {"image": [1024]}, ["image_embeddings"], weights)
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location="sum.data", size_threshold=0)
        assert path.stat().st_size < 1000
        same = Graphs(path, path, path)
        ones = np.ones(1024, np.float32)
        np.testing.assert_array_equal(open_ort(same).encode(ones), np.arange(1, 1025))
        for spoil in (
            (tmp_path / "sum.data").write_bytes,
            lambda _: (tmp_path / "sum.data").unlink(),
        ):
            spoil(b"short")
            with pytest.raises(BundleError, match=r"cannot load sum\.onnx") as raised:
                open_ort(same)
            assert "\n" not in str(raised.value)

    def test_fp16_on_a_cpu(self, lite_graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
        assert "fp16" not in OnnxRuntime().precisions("cpu")
        open_ort(lite_graphs, precision="fp16")
        (said,) = caplog.messages
        assert "computes the fp16 variant in float32, with the same masks and no faster" in said

    def test_a_precision_it_does_not_run(self, lite_graphs: Graphs) -> None:
        with pytest.raises(PrecisionMismatch, match="does not run bf16; it runs: fp32, fp16, int8"):
            open_ort(lite_graphs, precision="bf16")

    def test_a_graph_of_another_precision(
        self, write_graph: WriteGraph, lite_graphs: Graphs, tmp_path: Path
    ) -> None:
        half = tmp_path / "half.onnx"
        write_graph(half, [("Neg", ["image"], "y")], {"image": [1]}, ["y"], floats=10)
        with pytest.raises(PrecisionMismatch, match=r"half\.onnx should run in fp32.*float16"):
            open_ort(replace(lite_graphs, image_encoder=half))


class TestBytes:
    """int8 in ONNX Runtime: computed in bytes where that is exact, and read back by node."""

    VNNI = ("avx2", "avx512_vnni")

    @pytest.fixture
    def product(self, write_graph: WriteGraph, tmp_path: Path) -> Graphs:
        """``image`` (1, 50, 256) times weights of 7 bits, plus a bias, in every role."""
        draw = np.random.default_rng(0)
        # 7 bits: with all 8, pairs of products overflow 16 bits on CPUs without VNNI.
        weights = {
            "w": draw.integers(-63, 64, (256, 64)).astype(np.int8),
            "w_scale": draw.uniform(0.001, 0.01, 64).astype(np.float32),
            "scale": np.array(0.03, np.float32),
            "zero": np.array(120, np.uint8),
            "b": draw.standard_normal(64).astype(np.float32),
        }
        nodes = [
            ("QuantizeLinear", ["image", "scale", "zero"], "q"),
            ("DequantizeLinear", ["q", "scale", "zero"], "x"),
            ("DequantizeLinear", ["w", "w_scale"], "k"),
            ("MatMul", ["x", "k"], "product"),
            ("Add", ["product", "b"], "image_embeddings"),
        ]
        path = tmp_path / "product.onnx"
        write_graph(path, nodes, {"image": [1, 50, 256]}, ["image_embeddings"], weights)
        return Graphs(path, path, path)

    def test_only_where_they_are_exact(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for sets, native in [
            (("avx2",), ("fp32",)),
            (self.VNNI, ("int8", "fp32")),
            (("asimd", "asimddp"), ("int8", "fp32")),
        ]:
            monkeypatch.setattr(machine, "instruction_sets", lambda sets=sets: sets)
            assert OnnxRuntime().precisions("cpu") == native
            assert OnnxRuntime().precisions("cuda") == ("fp16", "fp32")

    def test_in_float32_and_in_bytes(
        self,
        product: Graphs,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Without VNNI the same numbers come of float32 products, which is said."""
        x = np.random.default_rng(1).standard_normal((1, 50, 256)).astype(np.float32)
        monkeypatch.setattr(machine, "instruction_sets", lambda: ("avx2",))
        floats = open_ort(product, precision="int8").encode(x)
        assert "computes the int8 variant in float32 here" in caplog.text
        assert "not known to multiply bytes exactly (VNNI)" in caplog.text
        caplog.clear()
        monkeypatch.setattr(machine, "instruction_sets", lambda: self.VNNI)
        in_bytes = open_ort(product, precision="int8").encode(x)
        assert caplog.text == ""
        np.testing.assert_allclose(in_bytes, floats, atol=1e-4)
        assert list(Path(tempfile.gettempdir()).glob("edgesam-*/graph.onnx")) == []

    def test_products_that_stay_float32(
        self, product: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As they do where ONNX Runtime makes a Gemm of the product first."""
        monkeypatch.setattr(machine, "instruction_sets", lambda: self.VNNI)
        monkeypatch.setattr(in_bytes, "_HINDERING", [])
        with pytest.raises(
            PrecisionMismatch, match=r"^onnxruntime computes nothing of product\.onnx in 8 bits$"
        ):
            open_ort(product, precision="int8")

    def test_a_variant_without_any(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for sets in (("avx2",), self.VNNI):
            monkeypatch.setattr(machine, "instruction_sets", lambda sets=sets: sets)
            with pytest.raises(PrecisionMismatch, match="this int8 variant has anything in 8 bits"):
                open_ort(lite_graphs, precision="int8")

    def test_weights_beside_their_graph(
        self, product: Graphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import onnx

        x = np.ones((1, 50, 256), np.float32)
        monkeypatch.setattr(machine, "instruction_sets", lambda: self.VNNI)
        wanted = open_ort(product, precision="int8").encode(x)
        beside = tmp_path / "beside.onnx"
        model = onnx.load(product.image_encoder)
        onnx.save(model, beside, save_as_external_data=True, location="b.data", size_threshold=0)
        found = open_ort(Graphs(beside, beside, beside), precision="int8").encode(x)
        np.testing.assert_array_equal(found, wanted)

    @pytest.mark.weights
    def test_the_shipped_variant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its products become nodes of bytes, on whatever processor; exact only with VNNI."""
        monkeypatch.setattr(machine, "instruction_sets", lambda: self.VNNI)
        monkeypatch.setenv("EDGESAM_HOME", str(PULLED))
        try:
            bundle = find_bundle("lite-medsam")
        except ModelNotFound as error:
            if os.environ.get("EDGESAM_TESTS_NEED_WEIGHTS"):
                raise
            pytest.skip(str(error))
        variant = bundle.variant("int8")[1]
        graphs = Graphs(**{role: bundle.path / variant.graph(role).file for role in ROLES})
        open_ort(graphs, precision="int8")
