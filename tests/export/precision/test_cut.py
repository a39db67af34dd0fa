"""Where an encoder can be cut in two, and what ships of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam import ExportError
from edgesam.bundle import open_bundle
from edgesam.models import MODELS
from edgesam_bench.random_weights import random_state_dict
from edgesam_export import export_bundle, variants
from edgesam_export.architecture import build, recognise
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.precision.cut import cut_behind, cuts_of, shipped_cut

GOLDEN = Path(__file__).parents[2] / "golden"


def encoder(model: str) -> Net:
    """Of random weights in a model's layout."""
    text = (GOLDEN / "shapes.json").read_text("utf-8")
    shapes = {key: tuple(shape) for key, shape in json.loads(text)[model].items()}
    weights = random_state_dict(shapes, seed=1)
    kind, found = recognise(shapes, None, model)
    return build(kind, found, weights, shapes, model)["image_encoder"]


def parts(net: Net, value: str) -> tuple[set[str], set[str]]:
    """Names of the values that the rest of a graph needs behind a cut, and of those it should."""
    names = [node.name for node in net.nodes]
    at = next(i for i, node in enumerate(net.nodes) if value in [v.name for v in node.outputs])
    before = {v.name or "" for node in net.nodes[: at + 1] for v in node.outputs}
    needed = {v.name or "" for node in net.nodes[at + 1 :] for v in node.inputs if v is not None}
    assert names
    return needed & (before | {"image"}), {value}


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam", "sam-vit-test"])
def test_nothing_but_the_value_is_needed_behind_a_cut(model: str) -> None:
    net = encoder(model)
    cuts = cuts_of(net)
    assert len(cuts) >= 2
    for _, value in cuts:
        found, wanted = parts(net, value)
        assert found == wanted


def test_cuts_come_in_the_order_of_the_graph() -> None:
    modules = [module for module, _ in cuts_of(encoder("lite-medsam"))]
    first = ["patch_embed", "layers.0.blocks.0", "layers.0.blocks.1", "layers.0.downsample"]
    assert modules[:4] == first
    assert "layers.2.blocks.5" in modules
    assert "neck" not in modules, "behind it nothing is left"


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
def test_what_ships_fits_the_network(model: str) -> None:
    shipped = shipped_cut(MODELS[model].sha256)
    assert shipped is not None
    (module,) = shipped
    if module is not None:
        assert cut_behind(encoder(model), module).startswith(module)


def test_of_another_checkpoint_nothing_ships() -> None:
    assert shipped_cut("0" * 64) is None


def test_a_module_with_two_ends() -> None:
    net = Net("test", Weights({}))
    x = net.input("x", FLOAT, (1, 4))
    with net.scope("blocks.0"):
        a, b = net.gelu(x), net.relu(x)
    with net.scope("blocks.1"):
        y = net.add(a, b)
    with net.scope("blocks.2"):
        y = net.matmul(y, net.constant("w", np.eye(4, dtype=np.float32)))
    net.output("y", y, (1, 4))
    assert cuts_of(net) == [("blocks.1", "blocks.1/Add")]
    for module in ("blocks.0", "blocks.9"):
        with pytest.raises(ExportError, match=f"cannot be cut behind '{module}'"):
            cut_behind(net, module)


class TestBundle:
    def test_bf16_is_fp32_and_a_word(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(variants, "shipped_cut", lambda sha256: ("layers.0.blocks.0",))
        options: dict[str, Any] = {"profile": "lite-medsam", "variants": ["bf16"]}
        bundle = open_bundle(export_bundle(lite_checkpoint, tmp_path / "b", **options).path)
        fp32, bf16 = bundle.variants["fp32"], bundle.variants["bf16"]
        assert bf16.files == fp32.files
        assert bf16.computed is not None
        assert str(bf16.computed.fp32_until).startswith("layers.0.blocks.0/")
        assert bf16.graphs != fp32.graphs, "no passport of fp32 may vouch for it"
        assert bundle.passport(bf16) is None

    def test_of_a_checkpoint_that_is_not_known(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=r"not known what of .* must stay float32 in bf16"):
            export_bundle(lite_checkpoint, tmp_path / "b", profile="sam", variants=["bf16"])
        assert not (tmp_path / "b").exists()


def test_emulation_rounds_what_is_behind_the_cut(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from edgesam_export.precision.emulation import emulate_bf16

    picture = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)

    def embedding(*how: str | None) -> Any:
        net = encoder("lite-medsam")
        for module in how:
            emulate_bf16(net, module)
        net.save(tmp_path / "e.onnx")
        session = onnxruntime.InferenceSession(
            tmp_path / "e.onnx", providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"image": picture})[0]

    exact = embedding()
    everything, late = (
        float(np.linalg.norm(embedding(how) - exact) / np.linalg.norm(exact))
        for how in (None, "layers.3.blocks.0")
    )
    assert 1e-4 < late < everything < 0.1
