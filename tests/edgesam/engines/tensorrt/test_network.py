"""TensorRT-RTX's real parser and builder on LiteMedSAM's graphs: no GPU is needed for either."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam import BundleError, EngineUnavailable, PrecisionMismatch
from edgesam.engines.tensorrt.flavour import RTX
from edgesam.engines.tensorrt.making import Target, plan_for
from edgesam.engines.tensorrt.network import (
    IMAGES,
    POINTS,
    PROMPTS,
    TOKENS,
    Parsed,
    _bound,
    built,
    capabilities_known,
    parsed,
)
from edgesam.engines.tensorrt.plans import facts_in
from edgesam.engines.tensorrt.types import layers_of, precision_of
from edgesam.manifest import ROLES

Files = Callable[[str, str], Path]
WriteGraph = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("rtx")


def kinds(network: Parsed) -> dict[str, set[str]]:
    """Kind of layer -> the types that its results have."""
    found: dict[str, set[str]] = {}
    for layer in layers_of(network.network):
        found.setdefault(layer.kind, set()).update(layer.gives)
    return found


def bounded(network: Parsed) -> list[Any]:
    """The profiles that a build is given."""
    given: list[Any] = []

    class Config:
        def add_optimization_profile(self, profile: Any) -> int:
            given.append(profile)
            return 0

    _bound(network, Config())
    return given


@pytest.fixture
def target() -> Target:
    """A card that is not here."""
    return Target(RTX, RTX.load().__version__, "RTX 3090", "8.6", "13.0", ("8.6",))


class TestSmall:
    """Graphs of a node or two."""

    @pytest.fixture
    def product(self, write_graph: WriteGraph, tmp_path: Path) -> Path:
        import numpy as np

        path = tmp_path / "product.onnx"
        weights = {"w": np.ones((8, 8), np.float32)}
        write_graph(path, [("MatMul", ["x", "w"], "y")], {"x": [4, 8]}, ["y"], weights)
        return path

    @pytest.mark.parametrize(("count", "most"), [("images", 4), (1, 1)])
    def test_an_encoder_that_takes_several_pictures(
        self, write_graph: WriteGraph, tmp_path: Path, count: str | int, most: int
    ) -> None:
        """Its plan takes one to four; one of a fixed size is as it is."""
        import numpy as np

        path = tmp_path / "encoder.onnx"
        weights = {"w": np.ones((8, 8), np.float32)}
        write_graph(
            path, [("MatMul", ["image", "w"], "y")], {"image": [count, 4, 8]}, ["y"], weights
        )
        network = parsed(RTX, path, "fp32")
        (profile,) = bounded(network)
        if most > 1:
            assert [tuple(size) for size in profile.get_shape("image")] == [
                (1, 4, 8),
                (1, 4, 8),
                (IMAGES, 4, 8),
            ]
            assert most == IMAGES
        assert tuple(network.network.get_input(0).shape) == (-1 if most > 1 else 1, 4, 8)
        plan, _ = built(network, ["8.6"], lambda _: None, None)
        assert bytes(plan)

    def test_fp32_passes_as_fp32_alone(self, product: Path) -> None:
        assert kinds(parsed(RTX, product, "fp32"))["MATRIX_MULTIPLY"] == {"FLOAT"}
        with pytest.raises(PrecisionMismatch, match=r"product\.onnx should run in fp16"):
            parsed(RTX, product, "fp16")
        with pytest.raises(PrecisionMismatch, match="nothing in it is quantised"):
            parsed(RTX, product, "int8")

    def test_it_is_built_for_a_card_that_is_not_here(self, product: Path) -> None:
        phases: list[str] = []
        plan, timing = built(parsed(RTX, product, "fp32"), ["8.6"], phases.append)
        assert len(memoryview(plan)) > 1000
        assert timing is None
        assert phases[0] == "Building engine"

    def test_for_the_card_that_is_here_it_needs_one(self, product: Path) -> None:
        if Path("/proc/driver/nvidia").exists():
            pytest.skip("there is a driver")
        with pytest.raises(
            EngineUnavailable, match=r"cannot build product\.onnx on this GPU: .*dri"
        ):
            built(parsed(RTX, product, "fp32"), [], lambda _: None)

    def test_a_capability_that_it_does_not_build_for(self, product: Path) -> None:
        known = capabilities_known(RTX.load())
        assert known[:1] == ["7.5"]
        assert known == sorted(known, key=float)
        with pytest.raises(
            EngineUnavailable,
            match=r"does not build for compute capability 3\.5; it does for: 7\.5, ",
        ):
            built(parsed(RTX, product, "fp32"), ["8.6", "3.5"], lambda _: None)

    @pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09" * 1000])
    def test_no_graph(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "corrupt.onnx"
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"cannot read corrupt\.onnx: ") as raised:
            parsed(RTX, path, "fp32")
        assert "\n" not in str(raised.value)


@pytest.mark.weights
class TestLiteMedSam:
    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_layers_are_as_the_variant_says(
        self, lite_files: Files, role: str, precision: str
    ) -> None:
        wanted = precision_of(role, precision)
        network = parsed(RTX, lite_files(role, precision), wanted)
        if role == "mask_decoder":  # memory for answers is laid out by it before the first run
            assert tuple(network.network.get_output(0).shape) == (-1, -1, 256, 256)
        found = kinds(network)
        assert found["NORMALIZATION"] == {"FLOAT"}
        assert found.get("SOFTMAX", {"FLOAT"}) == {"FLOAT"}
        if wanted == "fp16":
            assert "HALF" in found["MATRIX_MULTIPLY"]
        else:
            assert found["MATRIX_MULTIPLY"] == {"FLOAT"}
        if wanted == "int8":
            assert found["QUANTIZE"] == {"INT8"}
            assert found["DEQUANTIZE"] == {"FLOAT"}
        else:
            assert "QUANTIZE" not in found

    @pytest.mark.parametrize("role", ROLES)
    def test_fp32_in_the_place_of_fp16_is_caught(self, lite_files: Files, role: str) -> None:
        with pytest.raises(
            PrecisionMismatch, match=r"should run in fp16 and its layer \S+ \(\w+\) multiplies in F"
        ):
            parsed(RTX, lite_files(role, "fp32"), "fp16")
        with pytest.raises(
            PrecisionMismatch, match=r"should run in fp32 and its layer .* has HALF"
        ):
            parsed(RTX, lite_files(role, "fp16"), "fp32")

    @pytest.mark.parametrize(
        ("role", "kind"), [("image_encoder", "Conv"), ("mask_decoder", "MatMul")]
    )
    def test_one_product_altered_to_fp32_is_caught(
        self, lite_files: Files, tmp_path: Path, role: str, kind: str
    ) -> None:
        """The last of its kind, between casts: everything else stays fp16."""
        import onnx
        from onnx import helper

        model = onnx.load(lite_files(role, "fp16"))
        nodes = model.graph.node
        half = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
        node = [n for n in nodes if n.op_type == kind and n.input[1] in half][-1]
        at = list(nodes).index(node)
        before = []
        for i, name in enumerate(node.input):
            node.input[i] = f"{name}/altered"
            before.append(helper.make_node("Cast", [name], [node.input[i]], to=1))
        result = node.output[0]
        node.output[0] = f"{result}/altered"
        after = helper.make_node("Cast", [node.output[0]], [result], to=10)
        altered = [*nodes[:at], *before, node, after, *nodes[at + 1 :]]
        copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in altered]
        del nodes[:]
        nodes.extend(copies)
        path = tmp_path / "altered.onnx"
        onnx.save(model, path)
        with pytest.raises(PrecisionMismatch) as error:
            parsed(RTX, path, "fp16")
        assert str(error.value) == (
            f"altered.onnx should run in fp16 and its layer {node.name} "
            f"({'CONVOLUTION' if kind == 'Conv' else 'MATRIX_MULTIPLY'}) multiplies in FLOAT"
        )

    def test_free_dimensions_are_those_of_prompts(self, lite_files: Files) -> None:
        network = parsed(RTX, lite_files("mask_decoder", "fp16"), "fp16").network
        free = {
            tensor.name
            for tensor in (network.get_input(i) for i in range(network.num_inputs))
            if -1 in tuple(tensor.shape)[1:] or tensor.name == "mask_tokens"
        }
        assert free == {"point_coords", "point_labels", "mask_tokens"}
        assert (PROMPTS, TOKENS) == (4, 4)
        assert POINTS >= 32

    @pytest.mark.parametrize(
        ("role", "precision"),
        [
            ("image_side", "fp16"),
            ("mask_decoder", "fp16"),
            ("image_encoder", "fp16"),
            ("image_encoder", "int8"),
        ],
    )
    def test_it_is_built_ahead_of_time(
        self, lite_files: Files, target: Target, role: str, precision: str, own_home: Path
    ) -> None:
        """By the real program in a process of its own, and taken from disk the second time."""
        told: list[str] = []
        graph = lite_files(role, precision)
        plan = plan_for(graph, precision, target, told.append)
        assert len(plan) > 0.9 * graph.stat().st_size
        first = len(told)
        assert "building the TensorRT-RTX plan of" in told[0]
        assert plan_for(graph, precision, target, told.append) == plan
        assert len(told) == first
        (kept,) = [
            facts
            for path, facts in facts_in(graph.parent / "tensorrt")
            if role in path.name and facts.precision == precision
        ]
        assert (kept.flavour, kept.capability, kept.gpu) == ("tensorrt-rtx", "8.6", "RTX 3090")

    def test_two_at_once_build_once(
        self, lite_files: Files, target: Target, tmp_path: Path
    ) -> None:
        graph = tmp_path / "image_side.fp16.00000000.onnx"
        graph.write_bytes(lite_files("image_side", "fp16").read_bytes())
        told: list[str] = []
        plans: list[bytes] = []
        threads = [
            threading.Thread(
                target=lambda: plans.append(plan_for(graph, "fp16", target, told.append))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert plans[0] == plans[1]
        assert sum("plan of image_side.fp16.00000000.onnx, once" in line for line in told) == 1
