"""ONNX Runtime on CUDA: how it is opened and what is read back, on a fake that records."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import BundleError, EngineUnavailable, OutOfMemory, PrecisionMismatch
from edgesam.embedding import on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts
from edgesam.engines.device.session import DeviceSession
from edgesam.engines.ort import cuda
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam_kernels.device import DeviceUnavailable, opening
from edgesam_kernels.device.fake import FakeDevice

from ..ort_double import BOTH, OrtDouble, node

Noise = Callable[..., NDArray[np.uint8]]


def opened(graphs: Graphs, precision: str = "fp32") -> Any:
    return OnnxRuntime().open(graphs, precision=precision, device="cuda", threads=None)


class TestOpening:
    def test_it_computes_on_the_device(
        self, fake_ort: OrtDouble, lite_graphs: Graphs, noise: Noise
    ) -> None:
        session = opened(lite_graphs)
        assert isinstance(session, DeviceSession)
        assert session.description == "onnxruntime:cuda"
        embedding = session.encode(noise(1, 3, 256, 256).astype(np.float32) / 255)
        assert not isinstance(embedding, np.ndarray)
        assert not [
            part
            for part in session.image_side(embedding, MaskPrompts.none(256))
            if isinstance(part, np.ndarray)
        ]
        assert on_host(embedding).shape == (1, 256, 64, 64)
        prompts = Prompts(np.full((1, 2, 2), 9, np.float32), np.array([[2, 3]], np.int32))
        side = session.image_side(embedding, MaskPrompts.none(256))
        assert session.decode(side, prompts, (0,))[0].shape == (1, 1, 256, 256)
        session.close()

    def test_how_sessions_are_made(
        self, fake_ort: OrtDouble, fake_device: FakeDevice, lite_graphs: Graphs
    ) -> None:
        session = opened(lite_graphs)
        graphs = session._encoder, session._image_side, session._decoder
        assert len(fake_ort.opened) == len(graphs)
        for one, graph in zip(fake_ort.opened, graphs, strict=True):
            assert one["enable_fallback"] == 0, "else onnxruntime goes to the CPU by itself"
            assert one["options"].get_session_config_entry(cuda._RECORD) == "1"
            assert [name for name, _ in one["providers"]] == BOTH
            asked = one["providers"][0][1]
            assert asked["use_tf32"] == "0"
            assert asked["enable_cuda_graph"] == "1", "else the CPU may compute a part"
            assert asked["user_compute_stream"] == str(graph.stream.handle)
            assert asked["device_id"] == "0"
        session.close()

    def test_without_a_device_of_ours(
        self, fake_ort: OrtDouble, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def none(*_: Any) -> Any:
            raise DeviceUnavailable("needs cuda-bindings")

        monkeypatch.setattr(opening, "open_device", none)
        with pytest.raises(EngineUnavailable, match="cannot use CUDA here: needs cuda-bindings"):
            opened(lite_graphs)
        assert fake_ort.opened == []

    def test_an_int8_variant_without_bytes(self, fake_ort: OrtDouble, lite_graphs: Graphs) -> None:
        with pytest.raises(PrecisionMismatch, match="has anything in 8 bits"):
            opened(lite_graphs, "int8")
        assert fake_ort.opened == []


class TestReadBack:
    def test_nodes_of_shapes_may_stay_on_the_cpu(
        self, fake_ort: OrtDouble, lite_graphs: Graphs
    ) -> None:
        fake_ort.nodes = [node("Shape"), node("Concat")]
        opened(lite_graphs).close()

    def test_a_node_that_the_cpu_would_compute(
        self, fake_ort: OrtDouble, lite_graphs: Graphs
    ) -> None:
        fake_ort.nodes = [node("Shape"), node("ConvTranspose")]
        with pytest.raises(
            EngineUnavailable,
            match=r"ConvTranspose '/it/ConvTranspose' of image_encoder.*with CPUExecutionProvider",
        ):
            opened(lite_graphs)

    def test_an_input_that_the_cpu_would_read(
        self, fake_ort: OrtDouble, lite_graphs: Graphs
    ) -> None:
        fake_ort.places["mask_tokens"] = "Cpu"
        with pytest.raises(EngineUnavailable, match=r"reads mask_tokens of mask_decoder.*the CPU"):
            opened(lite_graphs)

    def test_a_version_that_does_not_tell(
        self, fake_ort: OrtDouble, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = SimpleNamespace(get_providers=lambda: BOTH)
        assert cuda.start(lambda **_: session, "graph") is session

    def test_a_part_on_the_cpu_is_refused_by_itself(
        self, fake_ort: OrtDouble, lite_graphs: Graphs
    ) -> None:
        fake_ort.error = RuntimeError(
            "This session cannot use the graph capture feature as requested by the user  as all "
            "compute graph nodes have not been partitioned to the CUDAExecutionProvider"
        )
        with pytest.raises(EngineUnavailable, match=r"a part of image_encoder.* on the CPU: This"):
            opened(lite_graphs)

    def test_other_errors(self, fake_ort: OrtDouble, lite_graphs: Graphs) -> None:
        fake_ort.error = RuntimeError("CUDA failure 2: out of memory ; GPU=0")
        with pytest.raises(OutOfMemory, match="while loading image_encoder"):
            opened(lite_graphs)
        fake_ort.error = RuntimeError("Load model failed:Protobuf parsing failed.\nmore")
        with pytest.raises(BundleError, match=r"cannot load image_encoder.*failed\.$") as raised:
            opened(lite_graphs)
        assert "\n" not in str(raised.value)


class TestMissing:
    """What is told where the provider is dropped."""

    @pytest.fixture
    def libraries(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """File name -> why it cannot be loaded; all others can."""
        flaws: dict[str, str] = {}

        def load(name: str, *mode: int) -> None:
            for part, flaw in flaws.items():
                if part in name:
                    raise OSError(flaw)

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(cuda.Path, "is_file", lambda self: True)
        monkeypatch.setattr(opening, "why_not", lambda _: flaws.get("device"))
        return flaws

    def test_no_driver(
        self, fake_ort: OrtDouble, lite_graphs: Graphs, libraries: dict[str, str]
    ) -> None:
        libraries.update({"libcuda": "not there", "nvcuda": "not there"})
        fake_ort.providers = BOTH[1:]
        with pytest.raises(
            EngineUnavailable,
            match=r"asked for CUDA.* and runs CPU.*: no NVIDIA driver was found on this machine",
        ):
            opened(lite_graphs)

    def test_no_cublas(self, libraries: dict[str, str]) -> None:
        libraries["providers_cuda"] = "libcublasLt.so.13: cannot open shared object file"
        said = cuda.why_not()
        assert "is missing (libcublasLt.so.13: cannot open" in said
        assert 'pip install "onnxruntime-gpu[cuda,cudnn]"' in said

    def test_neither_is_missing(self, libraries: dict[str, str]) -> None:
        libraries["providers_cuda"] = "undefined symbol: Provider_GetHost"
        assert "cuDNN" in cuda.why_not()

    def test_no_device_of_ours(self, libraries: dict[str, str]) -> None:
        assert cuda.missing() is None
        libraries["device"] = "needs the package cuda-bindings"
        assert cuda.missing() == "needs the package cuda-bindings"

    def test_an_onnxruntime_without_cuda(
        self, libraries: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cuda.Path, "is_file", lambda self: False)
        assert 'Try: pip install "edgesam[gpu]"' in cuda.why_not()

    def test_it_does_not_start(
        self, fake_ort: OrtDouble, lite_graphs: Graphs, libraries: dict[str, str]
    ) -> None:
        libraries.update({"libcuda": "not there", "nvcuda": "not there"})
        fake_ort.error = RuntimeError("CUDA failure 35: CUDA driver version is insufficient")
        with pytest.raises(EngineUnavailable, match=r"cannot start CUDA \(CUDA failure 35.*driver"):
            opened(lite_graphs)


def test_libraries_on_pythons_path_come_first(
    lite_graphs: Graphs, fake_ort: OrtDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime looks beside itself alone; what depends on another comes after it."""
    import onnxruntime

    asked: list[str] = []
    monkeypatch.setattr(cuda, "load_libraries", lambda *names: asked.extend(names))
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: asked.append("its own"), raising=False)
    opened(lite_graphs).close()
    once = asked[: asked.index("its own") + 1]
    assert once.index("cublasLt") < once.index("cublas") < once.index("cudnn") < len(once) - 1


def test_the_names_that_are_used_exist() -> None:
    """In the onnxruntime that is installed; the GPU's package has the same ones."""
    import onnxruntime

    for owner, names in {
        "": "InferenceSession RunOptions SessionOptions preload_dlls",
        "InferenceSession": "io_binding run_with_iobinding get_inputs get_outputs get_providers",
        "IOBinding": "bind_input bind_output",
        "RunOptions": "add_run_config_entry get_run_config_entry",
        "SessionOptions": "add_session_config_entry",
    }.items():
        found = dir(getattr(onnxruntime, owner) if owner else onnxruntime)
        assert not set(names.split()) - set(found), owner
    if hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        assert {"ep_name", "get_nodes"} <= set(dir(onnxruntime.OrtEpAssignedSubgraph))
        assert {"name", "op_type"} <= set(dir(onnxruntime.OrtEpAssignedNode))


def test_nodes_are_told_for_real(lite_graphs: Graphs) -> None:
    """Of sessions on the CPU: all nodes are the CPU's, so that the first is objected to."""
    import onnxruntime

    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        pytest.skip("this onnxruntime does not tell (it does since 1.24)")
    options = onnxruntime.SessionOptions()
    cuda.prepare(options)
    session = onnxruntime.InferenceSession(
        lite_graphs.image_side, options, providers=["CPUExecutionProvider"]
    )
    with pytest.raises(EngineUnavailable, match=r"of side\.onnx with CPUExecutionProvider"):
        cuda._check_nodes(session, "side.onnx")


def test_places_of_inputs_are_told_for_real(lite_graphs: Graphs) -> None:
    """Of sessions on the CPU: that of the first input is objected to."""
    import onnxruntime

    if not hasattr(onnxruntime.InferenceSession, "get_input_memory_infos"):
        pytest.skip("this onnxruntime does not tell (it does since 1.23)")
    session = onnxruntime.InferenceSession(
        lite_graphs.image_side, providers=["CPUExecutionProvider"]
    )
    with pytest.raises(EngineUnavailable, match=r"reads image_embeddings of side\.onnx on the CPU"):
        cuda._check_inputs(session, "side.onnx")
