"""OpenVINO: what runs is what was asked for, and what it keeps on disk never changes a mask."""

from __future__ import annotations

import builtins
import importlib.util
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import BundleError, EdgeSamError, EngineUnavailable, PrecisionMismatch, machine
from edgesam.engines import ENGINES, Graphs, MaskPrompts, Prompts, Session, blobs
from edgesam.engines.openvino import engine as engine_module
from edgesam.engines.openvino import graph as graph_module
from edgesam.engines.openvino.engine import OpenVino
from edgesam.engines.openvino.graph import OpenVinoGraph, import_openvino
from edgesam.engines.openvino.part import Part
from edgesam.engines.openvino.split import SplitGraph
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.home import home
from edgesam.manifest import ROLES
from edgesam_bench.figures import relative_l2

if importlib.util.find_spec("openvino") is None:  # not importorskip: importing it sends telemetry
    pytest.skip("needs the extra openvino", allow_module_level=True)

Noise = Callable[..., NDArray[np.uint8]]
WriteGraph = Callable[..., Path]
CUT = "layers.0.downsample/Add"
linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")


def opened(graphs: Graphs, precision: str = "fp32", device: str = "auto", threads: int = 1) -> Any:
    return OpenVino().open(graphs, precision=precision, device=device, threads=threads)


def prompts_of(count: int, points: int, masks: int = 1, seed: int = 0) -> Prompts:
    draw = np.random.default_rng(seed)
    return Prompts(
        (draw.random((count, points, 2)) * 256).astype(np.float32),
        draw.integers(0, 4, (count, points)).astype(np.int32),
        MaskPrompts(
            draw.standard_normal((masks, 1, 256, 256)).astype(np.float32),
            np.ones(masks, np.float32),
        ),
    )


def blob_files() -> list[Path]:
    return sorted((home() / "openvino").glob("*.blob"))


@pytest.fixture
def picture(noise: Noise) -> NDArray[np.float32]:
    return noise(1, 3, 256, 256).astype(np.float32) / 255


@pytest.fixture(scope="module")
def session(lite_graphs: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """With a home of its own; not to be closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESAM_HOME", str(tmp_path_factory.mktemp("home")))
        result: Session = opened(lite_graphs, threads=2)
        return result


class TestBeingThere:
    def test_it_is_known_by_name(self) -> None:
        assert ENGINES["openvino"].available() is None
        assert "cpu" in ENGINES["openvino"].devices()

    def test_it_is_not_what_auto_takes_first(self) -> None:
        assert list(ENGINES).index("onnxruntime") < list(ENGINES).index("openvino")

    def test_not_installed(self, monkeypatch: pytest.MonkeyPatch, lite_graphs: Graphs) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
        with pytest.raises(EngineUnavailable, match=r'pip install "edgesam\[openvino\]"') as raised:
            opened(lite_graphs)
        assert "\n" not in str(raised.value)
        assert OpenVino().devices() == ()

    def test_installed_and_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def fail(name: str, *args: Any, **kwargs: Any) -> Any:
            if name == "openvino":
                raise ImportError("first line\nlibtbb.so.12: cannot open shared object file\n")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", fail)
        reason = OpenVino().available()
        assert reason is not None
        assert "cannot be imported (libtbb.so.12: cannot open" in reason
        assert "\n" not in reason

    def test_several_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        core = SimpleNamespace(available_devices=["CPU", "GPU.0", "GPU.1", "NPU"])
        package = SimpleNamespace(Core=lambda: core)
        monkeypatch.setattr(engine_module, "import_openvino", lambda: package)
        assert OpenVino().devices() == ("cpu", "gpu")

    @pytest.mark.parametrize("device", ["cuda", "CPU", "", "npu"])
    def test_an_unknown_device(self, lite_graphs: Graphs, device: str) -> None:
        with pytest.raises(EngineUnavailable, match=rf"no device '{device}' here; it has: cpu"):
            opened(lite_graphs, device=device)

    def test_importing_it_tells_nobody(self, tmp_path: Path) -> None:
        """Its import reports to Google Analytics, and first writes an identifier into the home."""
        code = (
            "import sys\n"
            "from edgesam.engines import choose\n"
            "print(choose('openvino').devices())\n"
            "print([name for name in sys.modules if name.startswith('openvino_telemetry')])\n"
            "from openvino import convert_model\n"
            "import openvino_telemetry\n"
        )
        other = {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
        without_ci = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD")}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**without_ci, **other},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert "cpu" in run.stdout.splitlines()[0]
        assert run.stdout.splitlines()[1] == "[]"
        assert list(tmp_path.iterdir()) == []


class TestRunning:
    def test_it_gives_what_onnxruntime_gives(
        self, session: Session, lite_graphs: Graphs, picture: NDArray[np.float32]
    ) -> None:
        assert session.description == "openvino:cpu"
        other = OnnxRuntime().open(lite_graphs, precision="fp32", device="cpu", threads=2)
        mine, wanted = session.encode(picture), other.encode(picture)
        assert (mine.shape, mine.dtype) == ((1, 256, 64, 64), np.float32)
        assert relative_l2(wanted, mine) < 1e-4
        for count, points, masks, tokens in [
            (1, 2, 1, [0]),
            (1, 1, 1, [1, 2, 3]),
            (5, 3, 1, [0, 1, 2, 3]),
            (2, 4, 2, [3, 0]),
            (1, 2, 1, [0]),
        ]:
            prompts = prompts_of(count, points, masks)
            sides = [one.image_side(wanted, prompts.masks) for one in (session, other)]
            for a, b in zip(*sides, strict=True):
                assert a.shape == b.shape
                assert relative_l2(b, a) < 1e-4
            logits, iou = session.decode(sides[1], prompts, tokens)
            assert logits.shape == (count, len(tokens), 256, 256)
            assert logits.dtype == iou.dtype == np.float32
            for a, b in zip((logits, iou), other.decode(sides[1], prompts, tokens), strict=True):
                assert relative_l2(b, a) < 1e-4

    def test_names_of_outputs_are_those_of_the_onnx_files(
        self, write_graph: WriteGraph, tmp_path: Path
    ) -> None:
        """Where a graph ends in Identity, OpenVINO knows its output by other names too."""
        encoder = write_graph(
            tmp_path / "encoder.onnx",
            [("Neg", ["image"], "inner"), ("Identity", ["inner"], "image_embeddings")],
            {"image": [1]},
            ["image_embeddings"],
        )
        side = write_graph(
            tmp_path / "side.onnx",
            [
                ("Add", ["image_embeddings", "mask_input"], "a"),
                ("Add", ["a", "has_mask_input"], "b"),
                ("Identity", ["b"], "second"),
                ("Identity", ["a"], "first"),
            ],
            {"image_embeddings": [1], "mask_input": [1], "has_mask_input": [1]},
            ["second", "first"],
        )
        decoder = write_graph(
            tmp_path / "decoder.onnx",
            [
                ("Cast", ["point_labels"], "labels"),
                ("Cast", ["mask_tokens"], "tokens"),
                ("Sum", ["point_coords", "labels", "tokens"], "all"),
                ("Div", ["first", "second"], "ratio"),
                ("Add", ["ratio", "all"], "low_res_masks"),
                ("Sub", ["first", "second"], "iou_predictions"),
            ],
            {"first": [1], "second": [1], "point_coords": [1]},
            ["low_res_masks", "iou_predictions"],
            integers={"point_labels": 6, "mask_tokens": 7},
        )
        session = opened(Graphs(encoder, side, decoder))
        one = np.ones(1, np.float32)
        np.testing.assert_array_equal(session.encode(3 * one), -3 * one)
        sides = session.image_side(5 * one, MaskPrompts(2 * one, one))
        np.testing.assert_array_equal(sides, [8 * one, 7 * one])
        prompts = Prompts(0 * one, np.zeros(1, np.int32))
        logits, iou = session.decode(sides, prompts, [0])
        np.testing.assert_allclose((logits, iou), (7 / 8 * one, -one))

    def test_inputs_stay_and_results_are_their_own(
        self, session: Session, picture: NDArray[np.float32]
    ) -> None:
        before = picture.copy()
        embedding = session.encode(picture)
        first = embedding.copy()
        session.encode(1 - picture)
        np.testing.assert_array_equal(embedding, first)
        np.testing.assert_array_equal(picture, before)

        prompts = prompts_of(1, 2)
        sides = session.image_side(embedding, prompts.masks)
        kept = [array.copy() for array in sides]
        for array in sides:
            array.setflags(write=False)
        results = [session.decode(sides, prompts_of(1, 2, seed=i), [0]) for i in range(12)]
        copies = [(logits.copy(), iou.copy()) for logits, iou in results]
        session.decode(sides, prompts_of(3, 4), [0, 1])
        session.image_side(-embedding, prompts.masks)
        for mine, copy in zip(sides, kept, strict=True):
            np.testing.assert_array_equal(mine, copy)
        for i, (result, copy) in enumerate(zip(results, copies, strict=True)):
            again = session.decode(sides, prompts_of(1, 2, seed=i), [0])
            for a, b, c in zip(result, copy, again, strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_array_equal(a, c)

    def test_many_threads_call_one_session(
        self, session: Session, picture: NDArray[np.float32]
    ) -> None:
        embedding = session.encode(picture)
        shapes = [(1, 2, [0]), (3, 3, [1, 2, 3]), (2, 4, [0, 1])]

        def work(i: int) -> list[NDArray[np.float32]]:
            count, points, tokens = shapes[i % len(shapes)]
            prompts = prompts_of(count, points, seed=i)
            sides = session.image_side(embedding, prompts.masks)
            return [*sides, *session.decode(sides, prompts, tokens)]

        alone = [work(i) for i in range(6)]
        together: dict[int, Any] = {}

        def call(i: int) -> None:
            together[i] = [work(i) for _ in range(3)]

        threads = [threading.Thread(target=call, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, wanted in enumerate(alone):
            for found in together[i]:
                for a, b in zip(found, wanted, strict=True):
                    np.testing.assert_array_equal(a, b)

    def test_a_call_under_way_outlives_close(
        self, lite_graphs: Graphs, picture: NDArray[np.float32]
    ) -> None:
        session = opened(lite_graphs)
        wanted = session.encode(picture)
        found: list[NDArray[np.float32]] = []

        def call(encode: Callable[..., NDArray[np.float32]]) -> None:
            found.append(encode(picture))

        thread = threading.Thread(target=call, args=(session.encode,))
        thread.start()
        session.close()
        del session
        thread.join()
        np.testing.assert_array_equal(found[0], wanted)

    def test_threads(self, lite_graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
        side = lite_graphs.image_side
        core = import_openvino().Core()
        assert OpenVinoGraph(core, side, "fp32", "CPU", 1).threads == 1
        free = OpenVinoGraph(core, side, "fp32", "CPU", None).threads
        assert free is not None
        assert free >= 1
        with caplog.at_level(logging.WARNING, "edgesam"):
            opened(Graphs(side, side, side), threads=1)
            assert caplog.messages == []
            opened(Graphs(side, side, side), threads=10_000)
        assert "threads, not 10000" in caplog.text

    def test_a_shape_that_cannot_be(self, session: Session) -> None:
        with pytest.raises(BundleError, match="openvino cannot run the graph: ") as raised:
            session.encode(np.zeros((1, 3, 8, 8), np.float32))
        assert "\n" not in str(raised.value)


class TestLoading:
    @pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09" * 1000])
    def test_a_corrupt_graph(
        self, lite_graphs: Graphs, tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        corrupt = tmp_path / "corrupt.onnx"
        corrupt.write_bytes(content)
        for role in ROLES:
            with pytest.raises(
                BundleError, match=r"openvino cannot load corrupt\.onnx: "
            ) as raised:
                opened(replace(lite_graphs, **{role: corrupt}))
            assert "\n" not in str(raised.value)
        assert capfd.readouterr() == ("", "")

    def test_a_truncated_graph(self, lite_graphs: Graphs, tmp_path: Path) -> None:
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(lite_graphs.mask_decoder.read_bytes()[:-100_000])
        with pytest.raises(BundleError, match=r"cannot load cut\.onnx: ") as raised:
            opened(replace(lite_graphs, mask_decoder=cut))
        assert "\n" not in str(raised.value)

    def test_a_graph_that_is_gone(self, lite_graphs: Graphs, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"cannot load gone\.onnx: .*No such file"):
            opened(replace(lite_graphs, image_side=tmp_path / "gone.onnx"))

    def test_a_node_that_it_does_not_know(self, write_graph: WriteGraph, tmp_path: Path) -> None:
        path = tmp_path / "odd.onnx"
        write_graph(path, [("Nonsense", ["image"], "y")], {"image": [1]}, ["y"])
        with pytest.raises(BundleError, match=r"cannot load odd\.onnx: .*Nonsense"):
            opened(Graphs(path, path, path))

    @pytest.mark.parametrize("ends", [{}, {"until": "cut"}, {"after": "cut"}])
    def test_an_open_number_of_pictures_is_one(
        self, write_graph: WriteGraph, tmp_path: Path, ends: dict[str, str]
    ) -> None:
        """Compiled for any number it would be slower; other open sizes stay open."""
        path = tmp_path / "open.onnx"
        nodes = [
            ("Relu", ["image"], "cut"),
            ("Neg", ["cut"], "image_embeddings"),
            ("Neg", ["points"], "marks"),
        ]
        sizes: Any = {"image": ["images", 3, 4, 4], "points": ["points", 2]}
        if ends:
            nodes, sizes = nodes[:2], {"image": sizes["image"]}
        write_graph(path, nodes, sizes, [out for *_, out in nodes if out != "cut"])
        found = graph_module._compiled(
            import_openvino().Core(), path, Part(**ends), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        shapes = {
            name: str(port.partial_shape)
            for port in (*found.inputs, *found.outputs)
            for name in port.names
        }
        assert shapes.pop("points", "[?,2]") == shapes.pop("marks", "[?,2]") == "[?,2]"
        assert len(shapes) == 2
        assert set(shapes.values()) == {"[1,3,4,4]"}

    def test_weights_beside_their_graph(self, write_graph: WriteGraph, tmp_path: Path) -> None:
        import onnx

        path = tmp_path / "sum.onnx"
        weights = {"w": np.arange(1024, dtype=np.float32)}
        nodes = [("Add", ["image", "w"], "image_embeddings")]
        write_graph(path, nodes, {"image": [1024]}, ["image_embeddings"], weights)
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location="sum.data", size_threshold=0)
        graphs = Graphs(path, path, path)
        ones = np.ones(1024, np.float32)
        np.testing.assert_array_equal(opened(graphs).encode(ones), np.arange(1, 1025))
        assert blob_files() == []  # which would be as large as the weights
        (tmp_path / "sum.data").write_bytes(np.arange(1024, dtype=np.float32)[::-1].tobytes())
        np.testing.assert_array_equal(opened(graphs).encode(ones), np.arange(1024, 0, -1))
        for spoil in (
            (tmp_path / "sum.data").write_bytes,
            lambda _: (tmp_path / "sum.data").unlink(),
        ):
            spoil(b"short")
            with pytest.raises(BundleError, match=r"cannot load sum\.onnx") as raised:
                opened(graphs)
            assert "\n" not in str(raised.value)


class TestSplit:
    """A graph in two compiled parts is the graph."""

    def split(self, graphs: Graphs, cut: str = CUT) -> SplitGraph:
        core = import_openvino().Core()
        return SplitGraph(core, graphs.image_encoder, cut, ("fp32", "fp32"), "CPU", 2)

    def test_the_same_embedding(self, lite_graphs: Graphs, picture: NDArray[np.float32]) -> None:
        core = import_openvino().Core()
        whole = OpenVinoGraph(core, lite_graphs.image_encoder, "fp32", "CPU", 2)
        (wanted,) = whole.run({"image": picture}, ["image_embeddings"])
        split = self.split(lite_graphs)
        for _ in range(2):
            (found,) = split.run({"image": picture}, ["image_embeddings"])
            assert relative_l2(wanted, found) < 1e-6
        assert split.types == {"f32"}
        assert split.threads == whole.threads

    def test_both_parts_are_kept(self, lite_graphs: Graphs, picture: NDArray[np.float32]) -> None:
        (first,) = self.split(lite_graphs).run({"image": picture}, ["image_embeddings"])
        kept = blob_files()
        assert len(kept) == 2
        times = [path.stat().st_mtime_ns for path in kept]
        (again,) = self.split(lite_graphs).run({"image": picture}, ["image_embeddings"])
        assert blob_files() == kept
        assert [path.stat().st_mtime_ns for path in kept] == times
        np.testing.assert_array_equal(first, again)
        # Elsewhere it is cut into other parts.
        self.split(lite_graphs, "patch_embed.seq.2/Conv")
        assert len(blob_files()) == 4

    @pytest.mark.parametrize(
        ("cut", "said"),
        [
            ("nowhere/Add", "has no value 'nowhere/Add' to be cut at"),
            ("layers.0.blocks.0/Gelu_2", "more than this value is needed behind it"),
        ],
    )
    def test_a_cut_that_is_none(self, lite_graphs: Graphs, cut: str, said: str) -> None:
        with pytest.raises(BundleError, match=rf"cannot load image_encoder.*{said}") as raised:
            self.split(lite_graphs, cut)
        assert "\n" not in str(raised.value)


class TestPrecision:
    def test_one_it_does_not_run(self, lite_graphs: Graphs) -> None:
        with pytest.raises(PrecisionMismatch, match="not run fp8; it runs: fp32, fp16, bf16, int8"):
            opened(lite_graphs, precision="fp8")

    @pytest.mark.parametrize("precision", ["fp16", "bf16"])
    def test_one_that_this_processor_lacks(self, lite_graphs: Graphs, precision: str) -> None:
        if precision in OpenVino().precisions("cpu"):
            pytest.skip(f"this machine's CPU has {precision}")
        with pytest.raises(
            PrecisionMismatch, match=rf"cannot run {precision} on this .*; it runs: fp32"
        ):
            opened(lite_graphs, precision=precision)

    def test_bf16(self, lite_graphs: Graphs, picture: NDArray[np.float32]) -> None:
        capable = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" in capable:
            wanted = opened(lite_graphs).encode(picture)
            found = opened(lite_graphs, precision="bf16").encode(picture)
            assert 1e-4 < relative_l2(wanted, found) < 0.1
            return
        with pytest.raises(
            PrecisionMismatch, match=r"cannot run bf16 on this .*; it runs: fp32"
        ) as raised:
            opened(lite_graphs, precision="bf16")
        assert "\n" not in str(raised.value)

    def test_a_hint_that_is_ignored(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A device that says it has bf16 and compiles f32."""
        if "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this machine's CPU has bf16")
        monkeypatch.setattr(engine_module, "_check_capability", lambda *args: None)
        with pytest.raises(PrecisionMismatch, match=r"should run in bf16 and runs in f32$"):
            opened(lite_graphs, precision="bf16")

    def test_what_bf16_leaves_in_float32(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The encoder's first part and the decoder; the rest is demanded in bf16."""
        asked: list[tuple[str, str, Part]] = []
        real = graph_module._load

        def load(core: Any, path: Path, part: Part, precision: str, *rest: Any) -> Any:
            role = next(r for r in ROLES if getattr(lite_graphs, r) == path)
            asked.append((role, precision, part))
            return real(core, path, part, "fp32", *rest)

        monkeypatch.setattr(graph_module, "_load", load)
        monkeypatch.setattr(engine_module, "_check_capability", lambda *args: None)
        opened(replace(lite_graphs, fp32_until=CUT), precision="bf16")
        assert asked == [
            ("image_encoder", "fp32", Part(until=CUT)),
            ("image_encoder", "bf16", Part(after=CUT)),
            ("image_side", "fp32", Part()),
            ("mask_decoder", "fp32", Part()),
        ]

    def test_a_graph_of_another_type(
        self, write_graph: WriteGraph, lite_graphs: Graphs, tmp_path: Path
    ) -> None:
        half = tmp_path / "half.onnx"
        write_graph(half, [("Neg", ["image"], "y")], {"image": [1]}, ["y"], floats=10)
        with pytest.raises(PrecisionMismatch, match=r"half\.onnx should run in fp32.*f16"):
            opened(replace(lite_graphs, image_encoder=half))

    def test_8_bits_that_would_overflow(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "instruction_sets", lambda: ("avx2",))
        with pytest.raises(PrecisionMismatch, match="overflow without VNNI") as raised:
            opened(lite_graphs, precision="int8")
        assert "\n" not in str(raised.value)
        assert OpenVino().precisions("cpu") == ("fp32",)

    def test_8_bits_where_nobody_tried_them(
        self, lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "instruction_sets", lambda: ("asimd", "asimddp", "i8mm"))
        assert OpenVino().precisions("cpu") == ("fp32",)
        with pytest.raises(PrecisionMismatch, match="on ARM it was never tried"):
            opened(lite_graphs, precision="int8")
        monkeypatch.setattr(machine, "instruction_sets", lambda: ("avx512_vnni",))
        monkeypatch.setattr(OpenVino, "devices", lambda _: ("cpu", "gpu"))
        with pytest.raises(PrecisionMismatch, match="on a GPU it was never tried"):
            opened(lite_graphs, precision="int8", device="gpu")

    def test_8_bits(
        self,
        write_graph: WriteGraph,
        lite_graphs: Graphs,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A Q/DQ graph computes in 8 bits, is refused as fp32, and others are as int8."""
        monkeypatch.setattr(machine, "instruction_sets", lambda: ("avx512_vnni",))
        draw = np.random.default_rng(0)
        # 7 bits: with all 8, pairs of products overflow 16 bits on CPUs without VNNI.
        kernel = draw.integers(-63, 64, (16, 64, 3, 3)).astype(np.int8)
        weights = {
            "w": kernel,
            "scale": np.array(0.01, np.float32),
            "zero": np.array(0, np.int8),
            "step": np.array(0.03, np.float32),
            "middle": np.array(128, np.uint8),
        }
        path = tmp_path / "quantized.onnx"
        write_graph(
            path,
            [
                ("QuantizeLinear", ["image", "step", "middle"], "q"),
                ("DequantizeLinear", ["q", "step", "middle"], "x"),
                ("DequantizeLinear", ["w", "scale", "zero"], "k"),
                ("Conv", ["x", "k"], "image_embeddings"),
            ],
            {"image": [1, 64, 8, 8]},
            ["image_embeddings"],
            weights,
        )
        graphs = Graphs(path, path, path)
        x = draw.standard_normal((1, 64, 8, 8)).astype(np.float32)
        quantized = (np.clip(np.rint(x / np.float32(0.03)) + 128, 0, 255) - 128) * 0.03
        windows = np.lib.stride_tricks.sliding_window_view(quantized[0], (3, 3), axis=(1, 2))
        wanted = np.einsum("ihwjk,oijk->ohw", windows, kernel * 0.01)
        for _ in range(2):  # compiled, then restored
            found = opened(graphs, precision="int8").encode(x)[0]
            np.testing.assert_allclose(found, wanted, atol=1e-3)
        with pytest.raises(PrecisionMismatch, match=r"quantized\.onnx should run in fp32 .*u8"):
            opened(graphs)
        with pytest.raises(PrecisionMismatch, match="nothing of this int8 variant in 8 bits"):
            opened(lite_graphs, precision="int8")


class TestBlobs:
    @pytest.fixture
    def sides(self, lite_graphs: Graphs) -> Graphs:
        """A small graph in every role."""
        path = lite_graphs.image_side
        return Graphs(path, path, path)

    def answer(self, graphs: Graphs, precision: str = "fp32") -> list[NDArray[np.float32]]:
        prompts = prompts_of(1, 1)
        embedding = np.random.default_rng(1).standard_normal((1, 256, 64, 64)).astype(np.float32)
        session = opened(graphs, precision)
        session._side_names = ["keys", "layer0_k", "layer0_v", "layer0_q"]
        return list(session.image_side(embedding, prompts.masks))

    def test_the_second_start_compiles_nothing(
        self, lite_graphs: Graphs, picture: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = opened(lite_graphs).encode(picture)
        assert len(blob_files()) == 3

        def fail(*_: Any) -> None:
            raise AssertionError("compiled again")

        monkeypatch.setattr(import_openvino().frontend, "FrontEndManager", fail)
        for threads in (1, 2):
            again = opened(lite_graphs, threads=threads)
            assert again._encoder.threads == min(threads, os.cpu_count() or 1)
            assert relative_l2(first, again.encode(picture)) < 1e-5

    def test_another_graph_of_that_name_size_and_time(
        self, write_graph: WriteGraph, tmp_path: Path
    ) -> None:
        path = tmp_path / "one.onnx"
        found = []
        for value in (1.0, 2.0):
            weights = {"w": np.array([value], np.float32)}
            nodes = [("Add", ["image", "w"], "image_embeddings")]
            write_graph(path, nodes, {"image": [1]}, ["image_embeddings"], weights)
            os.utime(path, ns=(10**18, 10**18))
            found.append(opened(Graphs(path, path, path)).encode(np.zeros(1, np.float32))[0])
        assert found == [1.0, 2.0]

    def test_what_is_kept_depends_on_precision(
        self, sides: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts: list[list[str]] = []
        real = blobs.blob_of
        monkeypatch.setattr(
            "edgesam.engines.openvino.graph.blob_of",
            lambda path, engine, given: facts.append(given) or real(path, engine, given),
        )
        monkeypatch.setattr(engine_module, "_check_capability", lambda *args: None)
        for precision in ("fp32", "bf16"):
            try:
                opened(sides, precision)
            except PrecisionMismatch:
                assert precision == "bf16"
        assert facts[0] != facts[-1]
        assert len(blob_files()) == 2

    @pytest.mark.parametrize(
        "damage",
        [
            lambda blob: b"",
            lambda blob: blob[:20],
            lambda blob: blob[: len(blob) // 2],
            lambda blob: blob[:-1],
            lambda blob: blob + b"\0",
            lambda blob: b"garbage" * 1000,
            *(
                lambda blob, at=at: (
                    blob[: int(at * len(blob))]
                    + bytes(255 - value for value in blob[int(at * len(blob)) :][:16])
                    + blob[int(at * len(blob)) + 16 :]
                )
                for at in (0, 0.01, 0.25, 0.5, 0.99)
            ),
        ],
    )
    def test_a_damaged_one(self, sides: Graphs, damage: Callable[[bytes], bytes]) -> None:
        wanted = self.answer(sides)
        (blob,) = blob_files()
        good = blob.read_bytes()
        blob.write_bytes(damage(good))
        for a, b in zip(self.answer(sides), wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        assert blobs.Blob(blob).load() is not None, "compiled and stored anew"

    def test_one_that_openvino_refuses(
        self, sides: Graphs, caplog: pytest.LogCaptureFixture
    ) -> None:
        wanted = self.answer(sides)
        (path,) = blob_files()
        blobs.Blob(path).store(b"of an earlier build")
        with caplog.at_level(logging.DEBUG, "edgesam"):
            for a, b in zip(self.answer(sides), wanted, strict=True):
                np.testing.assert_array_equal(a, b)
        assert "openvino does not take what it compiled earlier" in caplog.text
        assert blobs.Blob(path).load() != b"of an earlier build"

    def test_a_home_that_cannot_be_written(
        self,
        sides: Graphs,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("EDGESAM_HOME", str(tmp_path / "file" / "home"))
        with caplog.at_level(logging.DEBUG, "edgesam"):
            self.answer(sides)
        assert {record.levelname for record in caplog.records} == {"DEBUG"}
        assert "compiled graphs are not kept" in caplog.text

    def test_no_home_at_all(self, sides: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> Path:
            raise EdgeSamError("this user has no home folder")

        monkeypatch.setattr(blobs, "home", none)
        self.answer(sides)

    def test_the_oldest_are_forgotten(self, sides: Graphs) -> None:
        self.answer(sides)
        (mine,) = blob_files()
        for i in range(30):
            other = mine.with_name(f"{i:02}.blob")
            other.write_bytes(b"old")
            os.utime(other, ns=(i * 10**9, i * 10**9))
        blobs.Blob(mine).store(b"new")
        assert blob_files() == [*(mine.with_name(f"{i:02}.blob") for i in range(7, 30)), mine]

    def test_processes_at_once(self, lite_graphs: Graphs, own_home: Path) -> None:
        code = (
            "import sys, numpy as np\n"
            "from pathlib import Path\n"
            "from edgesam.engines import ENGINES, Graphs\n"
            "session = ENGINES['openvino'].open("
            "Graphs(*map(Path, sys.argv[1:])), precision='fp32', device='cpu', threads=1)\n"
            "print(np.abs(session.encode(np.ones((1, 3, 256, 256), np.float32))).sum())\n"
        )
        paths = [str(getattr(lite_graphs, role)) for role in ROLES]
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", code, *paths], stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        printed = {run.communicate()[0] for run in runs}
        assert [run.returncode for run in runs] == [0, 0, 0]
        assert len(printed) == 1
        assert len(blob_files()) == 3
        assert all(blobs.Blob(path).load() is not None for path in blob_files())
        assert not list((own_home / "openvino").glob(".*"))


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from edgesam import OutOfMemory
from edgesam.engines import ENGINES, Graphs, MaskPrompts, Prompts

graphs = Graphs(*map(Path, sys.argv[1:]))
session = ENGINES["openvino"].open(graphs, precision="fp32", device="cpu", threads=1)
side = session.image_side(np.ones((1, 256, 64, 64), np.float32), MaskPrompts.none(256))

def decode(count):
    coords, labels = np.ones((count, 2, 2), np.float32), np.ones((count, 2), np.int32)
    return session.decode(side, Prompts(coords, labels), [0])[0]

before = decode(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20), -1))
try:
    print(decode(64).shape)
except OutOfMemory as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(np.array_equal(decode(1), before))
"""


@linux
def test_a_run_that_runs_out_of_memory(lite_graphs: Graphs) -> None:
    """It raises, where OpenVINO's own infer() gives the mask of the prompt before; and goes on."""
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *(str(getattr(lite_graphs, role)) for role in ROLES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said, works = run.stdout.splitlines()
    assert said.startswith("openvino ran out of memory while computing low_res_masks: ")
    assert works == "True"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("Check failed\ncan't alloc\n"), RuntimeError("bad_alloc")]
)
def test_loading_that_runs_out_of_memory(
    lite_graphs: Graphs, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("edgesam.engines.openvino.graph._compiled", fail)
    with pytest.raises(edgesam.OutOfMemory, match=r"while loading image_encoder\.fp32") as raised:
        opened(lite_graphs)
    assert "\n" not in str(raised.value)
