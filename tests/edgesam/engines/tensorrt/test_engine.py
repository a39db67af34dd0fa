"""The engine: whether it can run here, what it says if not, and how it opens a variant."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import edgesam
from edgesam import BundleError, EngineUnavailable, PrecisionMismatch
from edgesam.bundle import PLANS, Bundle, left_by_export, write_bundle
from edgesam.engines import ENGINES, Graphs, choose
from edgesam.engines.fake import FakeEngine
from edgesam.engines.protocol import MaskPrompts, Prompts
from edgesam.engines.tensorrt import engine
from edgesam.engines.tensorrt.engine import TensorRt
from edgesam.engines.tensorrt.flavour import CLASSIC, RTX, Flavour, flavour_here
from edgesam.engines.tensorrt.making import Target
from edgesam.errors import OutOfMemory
from edgesam.machine import PACKAGES
from edgesam_kernels.device import DeviceOutOfMemory, opening
from edgesam_kernels.device.fake import FakeDevice

Installed = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Says which of the two packages are there, by version, and whether there are drivers."""

    def say(
        classic: str | None = None,
        rtx: str | None = None,
        driver: bool = True,
        device: str | None = None,
    ) -> None:
        versions = {"tensorrt": classic, "tensorrt_rtx": rtx}
        find, load = importlib.util.find_spec, importlib.import_module

        def find_spec(name: str, package: str | None = None) -> Any:
            return versions[name] and object() if name in versions else find(name, package)

        def import_module(name: str, package: str | None = None) -> Any:
            if name not in versions:
                return load(name, package)
            if versions[name] == "broken":
                raise ImportError("libnvinfer.so.11: cannot open shared object file\nsecond line")
            return SimpleNamespace(__version__=versions[name])

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(importlib, "import_module", import_module)
        monkeypatch.setattr(engine, "driver_is_there", lambda: driver)
        monkeypatch.setattr(opening, "why_not", lambda library: device)

    return say


class TestBeingThere:
    def test_it_is_known_by_name_and_the_last(self) -> None:
        assert list(ENGINES) == ["onnxruntime", "openvino", "tensorrt"]

    def test_not_installed(self, installed: Installed) -> None:
        installed()
        with pytest.raises(EngineUnavailable) as error:
            choose("tensorrt")
        assert str(error.value) == (
            "engine 'tensorrt' is unavailable: needs the package tensorrt or tensorrt-rtx (not "
            'installed). Try: pip install "edgesam[tensorrt-rtx]"'
        )
        assert (TensorRt().devices(), TensorRt().precisions("cuda")) == ((), ())

    @pytest.mark.parametrize(
        ("classic", "rtx", "package"),
        [("11.4.0.106", None, "tensorrt"), (None, "1.7.1.116", "tensorrt-rtx")],
    )
    def test_no_driver(
        self, installed: Installed, classic: str | None, rtx: str | None, package: str
    ) -> None:
        installed(classic, rtx, driver=False)
        with pytest.raises(EngineUnavailable) as error:
            choose("tensorrt")
        assert str(error.value) == (
            "engine 'tensorrt' is unavailable: TensorRT is installed but no NVIDIA driver was "
            f"found ({engine._DRIVER} is missing; the package is {package}): install the GPU's "
            "driver, or take another engine"
        )

    def test_no_driver_for_real(self, rtx: None) -> None:
        if engine.driver_is_there():
            pytest.skip("there is a driver")
        reason = TensorRt().available()
        assert reason is not None
        assert reason.startswith("TensorRT is installed but no NVIDIA driver was found")
        assert TensorRt().devices() == ()

    def test_no_way_to_the_device(self, installed: Installed) -> None:
        installed("11.4.0.106", device="needs cuda-bindings (not installed)")
        assert TensorRt().available() == "needs cuda-bindings (not installed)"

    @pytest.mark.parametrize(
        ("version", "said"),
        [
            ("broken", "libnvinfer.so.11: cannot open shared object file second line"),
            ("8.6.1", "it is 8.6.1, and edgesam takes 10 and 11"),
            ("12.0.0", "it is 12.0.0, and edgesam takes 10 and 11"),
        ],
    )
    def test_one_that_cannot_be_used(self, installed: Installed, version: str, said: str) -> None:
        installed(version)
        assert TensorRt().available() == (
            f"has TensorRT but cannot use it ({said}). Try: install it again"
        )

    def test_a_folder_that_is_left(self, installed: Installed) -> None:
        installed(rtx="1.7")
        importlib.import_module = lambda name: SimpleNamespace()  # type: ignore[assignment]
        assert "tensorrt_rtx has no version" in (TensorRt().available() or "")

    def test_of_two_the_classic_one(self, installed: Installed) -> None:
        installed("10.16.1", "1.7.1")
        assert flavour_here() is CLASSIC
        assert TensorRt().available() is None
        assert TensorRt().devices() == ("cuda",)
        assert TensorRt().precisions("cuda") == ("fp16", "int8", "fp32")

    def test_what_it_runs_natively(self, installed: Installed) -> None:
        installed(rtx="1.7.1")
        assert flavour_here() is RTX
        assert TensorRt().precisions("cuda") == ("fp16", "fp32")
        assert TensorRt().precisions("cpu") == (), "tune measures CPUs"

    def test_its_package_is_among_the_versions(self) -> None:
        assert {"tensorrt", "tensorrt-rtx-cu13"} <= set(PACKAGES)

    def test_it_is_not_imported_before_it_is_asked(self) -> None:
        code = (
            "import sys, edgesam.engines\n"
            "print(*{'tensorrt', 'tensorrt_rtx', 'cuda', 'pycuda'} & set(sys.modules))"
        )
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == []


class TestChoosing:
    def test_a_device_goes_to_the_first_engine_that_has_it(
        self, installed: Installed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed("11.4.0.106")
        cpu = FakeEngine()
        ours = TensorRt()
        monkeypatch.setattr(edgesam.engines, "ENGINES", {"cpu": cpu, "tensorrt": ours})
        assert choose("auto") is choose("auto", "cpu") is cpu
        assert choose("auto", "cuda") is ours

    @pytest.mark.parametrize("device", ["cpu", "cuda:0", "gpu"])
    def test_a_device_that_it_has_not(self, installed: Installed, device: str) -> None:
        installed("11.4.0.106")
        graphs = Graphs(Path(), Path(), Path())
        with pytest.raises(
            EngineUnavailable, match=f"'tensorrt' has no device '{device}' here; it has: cuda$"
        ):
            TensorRt().open(graphs, precision="fp32", device=device, threads=None)

    def test_a_precision_that_no_graph_says(self, installed: Installed) -> None:
        installed("11.4.0.106")
        graphs = Graphs(Path(), Path(), Path())
        with pytest.raises(
            PrecisionMismatch, match=r"does not run bf16; it runs: fp32, fp16, int8$"
        ):
            TensorRt().open(graphs, precision="bf16", device="cuda", threads=None)


class TestOpening:
    """On a TensorRT and a device that are none, plans handed in."""

    @pytest.fixture
    def made(
        self,
        fake_trt: Any,
        fake_device: FakeDevice,
        fake_plan: Callable[..., bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> list[tuple[str, str, Target]]:
        """What plans were asked for."""
        asked: list[tuple[str, str, Target]] = []
        names = {"image_encoder": "encoder", "image_side": "side", "mask_decoder": "decoder"}

        def plan_for(graph: Path, precision: str, target: Target) -> bytes:
            asked.append((graph.stem, precision, target))
            formats = {"fp16": ("Float", "Half"), "int8": ("Float", "Int8"), "fp32": ("Float",)}
            return fake_plan(names[graph.stem], formats[precision])

        monkeypatch.setattr(engine, "plan_for", plan_for)
        monkeypatch.setattr(engine, "driver_is_there", lambda: True)
        monkeypatch.setattr(opening, "why_not", lambda library: None)
        monkeypatch.setattr(opening, "open_device", lambda library, ordinal: fake_device)
        monkeypatch.setattr(Flavour, "is_installed", lambda self: self is CLASSIC)
        return asked

    @pytest.fixture
    def graphs(self, tmp_path: Path) -> Graphs:
        roles = ("image_encoder", "image_side", "mask_decoder")
        return Graphs(*(tmp_path / f"{role}.onnx" for role in roles))

    @pytest.mark.parametrize("device", ["auto", "cuda"])
    def test_it_runs(
        self, made: list[tuple[str, str, Target]], graphs: Graphs, device: str
    ) -> None:
        session = TensorRt().open(graphs, precision="fp16", device=device, threads=2)
        assert session.description == "tensorrt:cuda"
        assert [(name, precision) for name, precision, _ in made] == [
            ("image_side", "fp16"),
            ("mask_decoder", "fp16"),
            ("image_encoder", "fp16"),
        ]
        assert {target for _, _, target in made} == {
            Target(CLASSIC, "1.7.1.116", "Fake H200", "9.0", "13.0")
        }
        image = np.ones((1, 3, 8, 8), np.float32)
        side = session.image_side(session.encode(image), MaskPrompts.none(8))
        prompts = Prompts(np.ones((1, 2, 2), np.float32), np.ones((1, 2), np.int32))
        logits, iou = session.decode(side, prompts, (0,))
        assert (logits.shape, iou.shape) == ((1, 1, 8, 8), (1, 4))
        session.close()

    def test_of_int8_the_encoder_alone_has_bytes(
        self, made: list[tuple[str, str, Target]], graphs: Graphs
    ) -> None:
        TensorRt().open(graphs, precision="int8", device="cuda", threads=None)
        assert [precision for _, precision, _ in made] == ["fp32", "fp32", "int8"]

    @pytest.mark.parametrize(
        ("capability", "asked"), [((8, 6), ("8.6",)), ((9, 0), ())], ids=["known", "unknown"]
    )
    def test_a_card_without_a_name_in_tensorrt_rtx_is_tried(
        self,
        made: list[tuple[str, str, Target]],
        graphs: Graphs,
        fake_trt: Any,
        fake_device: FakeDevice,
        monkeypatch: pytest.MonkeyPatch,
        capability: tuple[int, int],
        asked: tuple[str, ...],
    ) -> None:
        fake_trt.ComputeCapability = SimpleNamespace(SM75=1, SM86=2, CURRENT=0)
        fake_device.compute_capability = capability
        monkeypatch.setattr(Flavour, "is_installed", lambda self: self is RTX)
        TensorRt().open(graphs, precision="fp16", device="cuda", threads=None)
        assert {target.capabilities for _, _, target in made} == {asked}

    def test_a_plan_that_is_refused_is_built_anew_once(
        self,
        made: list[tuple[str, str, Target]],
        graphs: Graphs,
        fake_trt: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        forgotten: list[str] = []
        fake_trt.fails["deserialize_cuda_engine"] = "of another build"
        monkeypatch.setattr(engine, "forget_plan", lambda graph, *_: forgotten.append(graph.stem))
        with pytest.raises(BundleError, match="cannot load the plan of image_side"):
            TensorRt().open(graphs, precision="fp16", device="cuda", threads=None)
        assert [name for name, _, _ in made] == ["image_side", "image_side"]

        def forget(graph: Path, *_: Any) -> None:
            forgotten.append(graph.stem)
            fake_trt.fails.clear()

        monkeypatch.setattr(engine, "forget_plan", forget)
        TensorRt().open(graphs, precision="fp16", device="cuda", threads=None)
        assert forgotten == ["image_side", "image_side"]
        assert "the plan is built anew: TensorRT cannot load the plan of" in caplog.text

    def test_no_memory_on_the_card(
        self, made: list[tuple[str, str, Target]], graphs: Graphs, fake_device: FakeDevice
    ) -> None:
        fake_device.fail("stream", DeviceOutOfMemory("12 bytes are free"))
        with pytest.raises(OutOfMemory, match="GPU has not got the memory: 12 bytes are free"):
            TensorRt().open(graphs, precision="fp16", device="cuda", threads=None)


class TestBesideABundle:
    def test_an_export_may_find_plans_there(self) -> None:
        assert left_by_export(PLANS)

    def test_plans_of_graphs_that_are_gone_go_with_them(
        self, make_bundle: Callable[..., Bundle]
    ) -> None:
        bundle = make_bundle()
        folder = bundle.path / PLANS
        folder.mkdir()
        stem = Path(bundle.variants["fp32"].image_encoder.file).stem
        stays, goes = folder / f"{stem}.0123.plan", folder / "image_encoder.fp32.00000000.0123.plan"
        mine = folder / "notes.txt"
        for path in (stays, goes, mine):
            path.write_bytes(b"")
        write_bundle(bundle.path, bundle.manifest, {})
        assert (stays.exists(), goes.exists(), mine.exists()) == (True, False, True)
