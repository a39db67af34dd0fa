"""From a checkpoint to a bundle: what is refused, what is left behind, the same bytes again."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import BundleError, ChecksumMismatch, ExportError, Prompt
from edgesam.bundle import MANIFEST, Bundle, open_bundle
from edgesam.digest import sha256_of
from edgesam.manifest import ROLES
from edgesam.models import LITE_MEDSAM, MEDSAM, MODELS, SAM, Profile
from edgesam_bench.random_weights import PEAKED, random_state_dict
from edgesam_export import architecture, export_bundle, exporter, variants, writing
from edgesam_export.checkpoint.checkpoint import Checkpoint
from edgesam_export.graphs import net, tiny_vit
from edgesam_export.quantization.recipe import Quantized, Recipe
from edgesam_export.verify import verify_graph

StateDict = dict[str, NDArray[Any]]
Save = Callable[[Path, Mapping[str, NDArray[Any]]], Path]

QKV = "image_encoder.layers.2.blocks.3.attn.qkv.weight"
NECK = "image_encoder.neck.2.weight"
# Bytes between what the decoder's weights take (12.5 MB) and the encoder's (16.8 MB).
BETWEEN = 14 << 20


def verified(path: Path) -> Bundle:
    """The bundle, all of its files checked."""
    bundle = open_bundle(path)
    for variant in bundle.variants.values():
        for file in variant.files:
            bundle.verified(file)
    return bundle


def hashes(bundle: Bundle) -> list[str]:
    return [bundle.variants["fp32"].graph(role).sha256 for role in ROLES]


def graphs(bundle: Bundle) -> dict[str, str]:
    return bundle.variants["fp32"].graphs


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.iterdir()}


def vit_shapes(grid: int, width: int) -> dict[str, tuple[int, ...]]:
    """Of a checkpoint in SAM's layout whose ViT has two blocks, windows of 3, heads 32 wide."""
    path = Path(__file__).parent.parent / "golden" / "shapes.json"
    stored = json.loads(path.read_text("utf-8"))["sam-vit-test"]  # 64 wide, 8 x 8 tokens
    wider = {64: width, 192: 3 * width, 256: 4 * width}
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in stored.items():
        inside = key.startswith("image_encoder.blocks.")
        shapes[key] = tuple(wider.get(size, size) if inside else size for size in shape)
    e = "image_encoder."
    return shapes | {
        f"{e}pos_embed": (1, grid, grid, width),
        f"{e}patch_embed.proj.weight": (width, 3, 16, 16),
        f"{e}patch_embed.proj.bias": (width,),
        f"{e}blocks.1.attn.rel_pos_h": (2 * grid - 1, 32),
        f"{e}blocks.1.attn.rel_pos_w": (2 * grid - 1, 32),
        f"{e}neck.0.weight": (256, width, 1, 1),
    }


def vit_weights(grid: int, width: int = 64) -> StateDict:
    return random_state_dict(vit_shapes(grid, width), seed=1, recipe=PEAKED)


@pytest.fixture(scope="module")
def vit_checkpoint(tmp_path_factory: pytest.TempPathFactory, save_safetensors: Save) -> Path:
    """A ViT of 128 pixels."""
    return save_safetensors(tmp_path_factory.mktemp("ck") / "vit.safetensors", vit_weights(8))


@pytest.fixture(scope="module")
def vit_1024_checkpoint(tmp_path_factory: pytest.TempPathFactory, save_safetensors: Save) -> Path:
    """A ViT of 1024 pixels: to a program that knows only keys and shapes, SAM's or MedSAM's."""
    return save_safetensors(tmp_path_factory.mktemp("ck") / "vit.safetensors", vit_weights(64))


@pytest.fixture(scope="module")
def wide_checkpoint(tmp_path_factory: pytest.TempPathFactory, save_safetensors: Save) -> Path:
    """A ViT of 128 pixels with 17 MB of weights."""
    weights = vit_weights(8, width=384)
    return save_safetensors(tmp_path_factory.mktemp("ck") / "wide.safetensors", weights)


@pytest.fixture
def weights_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of these tests are too large for one file, decoders are not."""
    monkeypatch.setattr(net, "_INLINE", BETWEEN)


class TestBundle:
    def test_what_the_manifest_says(self, lite_bundle: Path, lite_checkpoint: Path) -> None:
        bundle = verified(lite_bundle)
        manifest = bundle.manifest
        assert manifest.model == "random"
        assert (manifest.architecture, manifest.image_size) == ("tiny-vit", 256)
        assert manifest.grid == 64
        assert bundle.variants["fp32"].weights is None
        assert manifest.profile == LITE_MEDSAM
        assert not manifest.profile_assumed
        assert manifest.checkpoint_sha256 == sha256_of(lite_checkpoint)
        assert manifest.licence == "unknown"
        assert bundle.variants["fp32"].passport is None
        files = {
            f"{role}.fp32.{sha256[:8]}.onnx"
            for role, sha256 in zip(ROLES, hashes(bundle), strict=True)
        }
        assert names(lite_bundle) == {MANIFEST, *files}

    def test_progress_is_told(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        told: list[str] = []
        export_bundle(
            lite_checkpoint, tmp_path / "b", model="mine", profile="sam", progress=told.append
        )
        assert told == [
            f"reading {lite_checkpoint.name}",
            "writing the fp32 graphs",
            "checking the fp32 graphs",
        ]
        assert open_bundle(tmp_path / "b").manifest.model == "mine"
        assert open_bundle(tmp_path / "b").manifest.profile == SAM

    def test_a_shipped_passport_travels_with_the_graphs_it_measured(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def shipped(graphs: Mapping[str, str]) -> bytes:
            iou = {"mean": 0.25, "p5": 0.25, "worst": 0.25}
            gate = {"mean": 0.2, "p5": 0.2, "worst": 0.2}
            return json.dumps({"graphs": dict(graphs), "mask_iou": iou, "gate": gate}).encode()

        monkeypatch.setattr(writing, "shipped_passport", shipped)
        bundle = export_bundle(lite_checkpoint, tmp_path / "b", profile="lite-medsam")
        variant = bundle.variants["fp32"]
        assert variant.passport is not None
        report = verified(bundle.path).passport(variant)
        assert report is not None
        assert report["mask_iou"]["mean"] == 0.25


class TestProfiles:
    def test_an_unknown_checkpoint_assumes_its_familys_with_one_warning(
        self, lite_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        manifest = export_bundle(lite_checkpoint, tmp_path / "b").manifest
        assert manifest.profile == LITE_MEDSAM
        assert manifest.profile_assumed
        warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert len(warnings) == 1
        assert "profile lite-medsam is assumed; pass --profile" in warnings[0]

    def test_a_known_checkpoint_brings_its_own(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        official = MODELS["lite-medsam"].sha256
        real = exporter.sha256_of
        fake = lambda path: official if path == lite_checkpoint else real(path)  # noqa: E731
        monkeypatch.setattr(exporter, "sha256_of", fake)
        manifest = export_bundle(lite_checkpoint, tmp_path / "b", model="mine").manifest
        assert manifest.model == "lite-medsam"
        assert manifest.profile == LITE_MEDSAM
        assert manifest.licence == "Apache-2.0"
        assert not manifest.profile_assumed
        with pytest.raises(ExportError, match=r"official lite-medsam.*profile sam would ruin"):
            export_bundle(lite_checkpoint, tmp_path / "c", profile="sam")
        assert not (tmp_path / "c").exists()

    def test_a_vit_in_fp16_is_written_for_a_gpu(
        self, vit_1024_checkpoint: Path, tmp_path: Path
    ) -> None:
        """fp32 is cut into rows, for a processor's memory; no processor computes fp16 faster."""
        bundle = export_bundle(
            vit_1024_checkpoint, tmp_path / "b", profile="sam", variants=["fp16"]
        )
        splits = []
        for variant in ("fp32", "fp16"):
            path = bundle.path / bundle.variants[variant].image_encoder.file
            nodes = onnx.load(path, load_external_data=False).graph.node
            splits.append(sum(node.op_type == "Split" for node in nodes))
        assert splits[0] > 0
        assert splits[1] == 0

    def test_a_vit_of_1024_pixels_is_assumed_to_be_sams(
        self, vit_1024_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        manifest = export_bundle(vit_1024_checkpoint, tmp_path / "b").manifest
        assert (manifest.architecture, manifest.image_size, manifest.grid) == ("vit", 1024, 64)
        assert manifest.profile == SAM
        assert manifest.profile_assumed
        warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert warnings == [
            "vit.safetensors is not a known checkpoint: profile sam is assumed; "
            "pass --profile to decide"
        ]

    @pytest.mark.parametrize("profile", [SAM, MEDSAM])
    def test_the_user_says_which(
        self,
        vit_checkpoint: Path,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        profile: Profile,
    ) -> None:
        manifest = export_bundle(vit_checkpoint, tmp_path / "b", profile=profile.name).manifest
        assert manifest.profile == profile
        assert not manifest.profile_assumed
        assert open_bundle(tmp_path / "b").manifest == manifest
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

    @pytest.mark.parametrize(
        ("model", "asked"), [("medsam", "sam"), ("medsam", "lite-medsam"), ("sam-vit-b", "medsam")]
    )
    def test_an_official_checkpoint_keeps_its_profile(
        self,
        vit_checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        model: str,
        asked: str,
    ) -> None:
        """MedSAM's keys are SAM's: only the file's hash tells them apart."""
        real, spec = exporter.sha256_of, MODELS[model]
        monkeypatch.setattr(
            exporter, "sha256_of", lambda p: spec.sha256 if p == vit_checkpoint else real(p)
        )
        with pytest.raises(ExportError) as raised:
            export_bundle(vit_checkpoint, tmp_path / "b", profile=asked)
        assert str(raised.value) == (
            f"vit.safetensors is the official {model}, whose profile is {spec.profile.name}: the "
            f"profile {asked} would ruin its masks"
        )
        assert names(tmp_path) == set()
        for profile in (None, spec.profile.name):
            manifest = export_bundle(vit_checkpoint, tmp_path / "b", profile=profile).manifest
            assert (manifest.model, manifest.profile) == (model, spec.profile)
            assert not manifest.profile_assumed
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

    def test_unknown_names(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=r"no profile is called 'x'; known: sam, medsam, "):
            export_bundle(lite_checkpoint, tmp_path / "b", profile="x")
        with pytest.raises(ExportError, match=r"no architecture is called 'x'; known: tiny-vit, "):
            export_bundle(lite_checkpoint, tmp_path / "b", arch="x")
        assert names(tmp_path) == set()

    def test_a_size_without_a_family(self) -> None:
        refusal = r"^ck needs a profile: pass --profile sam\|medsam\|lite-medsam$"
        for arch, image_size in [("tiny-vit", 512), ("vit", 256), ("vit", 128)]:
            with pytest.raises(ExportError, match=refusal):
                exporter._profile(None, None, arch, image_size, "ck")


class TestViT:
    def test_what_the_manifest_says(self, vit_checkpoint: Path, tmp_path: Path) -> None:
        bundle = verified(export_bundle(vit_checkpoint, tmp_path / "b", profile="sam").path)
        manifest = bundle.manifest
        assert (manifest.architecture, manifest.model) == ("vit", "vit")
        assert (manifest.image_size, manifest.grid, manifest.low_resolution) == (128, 8, 32)
        assert bundle.variants["fp32"].weights is None
        assert len(names(bundle.path)) == 4

    def test_a_size_that_no_model_has_needs_a_profile(
        self, vit_checkpoint: Path, tmp_path: Path
    ) -> None:
        refusal = r"^vit\.safetensors needs a profile: pass --profile sam\|medsam\|lite-medsam$"
        with pytest.raises(ExportError, match=refusal):
            export_bundle(vit_checkpoint, tmp_path / "b")
        assert names(tmp_path) == set()

    @pytest.mark.parametrize("profile", ["sam", "medsam"])
    def test_it_segments(
        self, vit_checkpoint: Path, tmp_path: Path, noise: Callable[..., Any], profile: str
    ) -> None:
        """The grid of eight tokens goes through the whole runtime."""
        export_bundle(vit_checkpoint, tmp_path / "b", profile=profile)
        with edgesam.load(tmp_path / "b", engine="onnxruntime") as sam:
            embedding = sam.embed(noise(50, 70, 3))
            assert embedding.array.shape == (1, 256, 8, 8)
            assert 0.1 < embedding.array.std() < 10
            mask = sam.segment(embedding, Prompt.box(5, 6, 40, 44))
            other = sam.segment(embedding, Prompt.box(30, 6, 69, 49))
        assert mask.logits.shape == (32, 32)
        assert mask.array.shape == (50, 70)
        assert not np.array_equal(mask.logits, other.logits)

    def test_exports_are_the_same_bytes(self, vit_checkpoint: Path, tmp_path: Path) -> None:
        one = export_bundle(vit_checkpoint, tmp_path / "one", profile="sam")
        other = export_bundle(vit_checkpoint, tmp_path / "other", profile="sam")
        assert contents(one.path) == contents(other.path)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("beside", [False, True])
    def test_values_that_are_not_finite(
        self,
        save_safetensors: Save,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        value: float,
        beside: bool,
    ) -> None:
        """Its weights are read while files are written; nothing of them stays."""
        if beside:
            monkeypatch.setattr(net, "_INLINE", 1 << 20)
        weights = vit_weights(8)
        key = "image_encoder.blocks.1.mlp.lin2.weight"
        weights[key][3, 4] = value
        checkpoint = save_safetensors(tmp_path / "ck.safetensors", weights)
        with pytest.raises(ExportError, match=f"the tensor {key} has values that are not finite"):
            export_bundle(checkpoint, tmp_path / "b", profile="sam")
        assert names(tmp_path) == {"ck.safetensors"}


@pytest.mark.usefixtures("weights_beside")
class TestLargeGraphs:
    """Weights of which there are too many for the graph's file lie beside it, in the bundle."""

    @pytest.mark.parametrize("checkpoint", ["wide_checkpoint", "lite_checkpoint"])
    def test_the_manifest_names_the_weights(
        self, checkpoint: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        path = export_bundle(
            request.getfixturevalue(checkpoint), tmp_path / "b", profile="sam"
        ).path
        bundle = verified(path)
        variant = bundle.variants["fp32"]
        assert variant.weights is not None
        assert variant.weights.file == f"image_encoder.fp32.{variant.weights.sha256[:8]}.data"
        assert variant.weights.size > BETWEEN > variant.image_encoder.size
        assert names(path) == {MANIFEST, *(file.file for file in variant.files)}
        assert set(variant.graphs) == {*ROLES, "weights"}
        model = onnx.load(path / variant.image_encoder.file, load_external_data=False)
        entries = [entry for tensor in model.graph.initializer for entry in tensor.external_data]
        assert {e.value for e in entries if e.key == "location"} == {variant.weights.file}
        for role in ROLES:
            verify_graph(path / variant.graph(role).file)

    def test_it_computes_what_one_file_does(
        self,
        wide_checkpoint: Path,
        tmp_path: Path,
        noise: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        export_bundle(wide_checkpoint, tmp_path / "beside", profile="sam")
        monkeypatch.setattr(net, "_INLINE", 64 << 20)
        inside = export_bundle(wide_checkpoint, tmp_path / "inside", profile="sam")
        assert inside.variants["fp32"].weights is None
        found = []
        for name in ("beside", "inside"):
            with edgesam.load(tmp_path / name, engine="onnxruntime") as sam:
                found.append(sam.embed(noise(60, 90, 3)).array)
        assert found[0].std() > 0.1
        np.testing.assert_array_equal(found[0], found[1])

    def test_exports_are_the_same_bytes(self, wide_checkpoint: Path, tmp_path: Path) -> None:
        """In two places of different names, whose scratch folders have other names again."""
        one = export_bundle(wide_checkpoint, tmp_path / "one", profile="sam").path
        (tmp_path / "deeper").mkdir()
        other = export_bundle(wide_checkpoint, tmp_path / "deeper" / "b", profile="sam").path
        assert contents(one) == contents(other)
        assert len(contents(one)) == 5

    def test_a_changed_byte_of_the_weights_is_found_when_loading(
        self, wide_checkpoint: Path, tmp_path: Path
    ) -> None:
        bundle = export_bundle(wide_checkpoint, tmp_path / "b", profile="sam")
        weights = bundle.variants["fp32"].weights
        assert weights is not None
        path = bundle.path / weights.file
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(ChecksumMismatch, match=rf"{weights.file} has sha256"):
            edgesam.load(bundle.path, engine="onnxruntime")
        path.unlink()
        with pytest.raises(BundleError, match=f"lacks {weights.file}"):
            edgesam.load(bundle.path, engine="onnxruntime")

    def test_a_passport_vouches_for_the_weights_too(
        self, wide_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measured: dict[str, str] = {}

        def shipped(graphs: Mapping[str, str]) -> None:
            measured.update(graphs)

        monkeypatch.setattr(writing, "shipped_passport", shipped)
        variant = export_bundle(wide_checkpoint, tmp_path / "b", profile="sam").variants["fp32"]
        assert variant.weights is not None
        assert measured == {
            "image_encoder": variant.image_encoder.sha256,
            "image_side": variant.image_side.sha256,
            "mask_decoder": variant.mask_decoder.sha256,
            "weights": variant.weights.sha256,
        }

    def test_the_next_export_sweeps_the_old_weights(
        self, wide_checkpoint: Path, lite_checkpoint: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        old = export_bundle(wide_checkpoint, out, profile="sam").variants["fp32"].weights
        new = export_bundle(lite_checkpoint, out, profile="sam").variants["fp32"].weights
        assert old is not None
        assert new is not None
        assert old.file != new.file
        assert {name for name in names(out) if name.endswith(".data")} == {new.file}
        assert len(names(out)) == 5
        verified(out)

    def test_the_same_export_again_changes_nothing(
        self, wide_checkpoint: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        export_bundle(wide_checkpoint, out, profile="sam")
        before = contents(out)
        export_bundle(wide_checkpoint, out, profile="sam")
        assert contents(out) == before

    def test_one_of_a_single_file_sweeps_them_too(
        self, wide_checkpoint: Path, vit_checkpoint: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        export_bundle(wide_checkpoint, out, profile="sam")
        assert export_bundle(vit_checkpoint, out, profile="sam").variants["fp32"].weights is None
        assert len(names(out)) == 4
        assert not list(out.glob("*.data"))

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("fails", ["write", "rename", "check", "interrupt", "move"])
    def test_a_failed_export_leaves_none(
        self,
        wide_checkpoint: Path,
        lite_checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fails: str,
        first: bool,
    ) -> None:
        """Neither unfinished weights nor finished ones; an earlier bundle is still whole."""
        out = tmp_path / "bundle"
        before = {}
        if not first:
            export_bundle(lite_checkpoint, out, profile="lite-medsam")
            before = contents(out)
        reached: list[str] = []
        fail(monkeypatch, fails, reached)
        expected = {"check": ExportError, "interrupt": KeyboardInterrupt}.get(fails, BundleError)
        with pytest.raises(expected):
            export_bundle(wide_checkpoint, out, profile="sam")
        monkeypatch.undo()
        assert reached, "it failed where it should"
        if first:
            assert names(tmp_path) == set()
        else:
            assert contents(out) == before
            verified(out)


def fail(patch: pytest.MonkeyPatch, where: str, reached: list[str]) -> None:
    """Let the export of a graph with weights beside it fail; ``reached`` tells that it did."""
    replace = Path.replace

    def full(*_: Any, **__: Any) -> Any:
        reached.append(where)
        raise OSError(errno.ENOSPC, "No space left on device")

    def replaced(source: Path, target: Any) -> Any:
        moved = where == "move" and Path(target).parent.name == "bundle"
        named = where == "rename" and source.name == "image_encoder.fp32.data"
        if Path(target).suffix == ".data" and (moved or named):
            full()
        return replace(source, target)

    def check(path: Path) -> None:
        assert len(list(path.parent.glob("*.data"))) == 1
        reached.append(where)
        raise KeyboardInterrupt if where == "interrupt" else ExportError("no")

    def read(checkpoint: Checkpoint, key: str) -> NDArray[Any]:
        return full() if key == NECK else tensor(checkpoint, key)  # one of the last

    tensor = Checkpoint.__getitem__
    if where == "write":
        patch.setattr(Checkpoint, "__getitem__", read)
    elif where in ("rename", "move"):
        patch.setattr(Path, "replace", replaced)
    else:
        patch.setattr(writing, "verify_graph", check)


class TestCheckpoints:
    """Damaged ones: refused by the name of the tensor, and nothing is left."""

    def refused(self, save: Save, weights: StateDict, tmp_path: Path) -> str:
        checkpoint = save(tmp_path / "ck.safetensors", weights)
        out = tmp_path / "bundle"
        with pytest.raises(ExportError) as raised:
            export_bundle(checkpoint, out, profile="lite-medsam")
        assert not out.exists()
        assert "\n" not in str(raised.value)
        return str(raised.value)

    @pytest.mark.parametrize(
        "key",
        [
            QKV,
            "image_encoder.patch_embed.seq.2.bn.running_var",
            "image_encoder.layers.1.blocks.0.attn.attention_biases",
            "image_encoder.layers.0.downsample.conv3.c.weight",
            "prompt_encoder.not_a_point_embed.weight",
            "mask_decoder.output_hypernetworks_mlps.3.layers.2.bias",
        ],
    )
    def test_a_missing_tensor(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path, key: str
    ) -> None:
        weights = {name: array for name, array in lite_weights.items() if name != key}
        message = self.refused(save_safetensors, weights, tmp_path)
        assert message == (
            f"ck.safetensors is closest to a tiny-vit, but lacks {key}: download it again, or "
            "pass --arch if another architecture is meant"
        )

    @pytest.mark.parametrize(
        ("key", "shape", "right"),
        [
            # numpy would broadcast, or concatenate to one row more: silently wrong networks.
            ("mask_decoder.transformer.layers.0.self_attn.q_proj.bias", (1,), (256,)),
            ("mask_decoder.iou_token.weight", (2, 256), (1, 256)),
            ("mask_decoder.mask_tokens.weight", (3, 256), (4, 256)),
            ("prompt_encoder.point_embeddings.1.weight", (2, 256), (1, 256)),
            ("prompt_encoder.mask_downscaling.0.bias", (1,), (4,)),
            ("prompt_encoder.mask_downscaling.3.weight", (16, 5, 2, 2), (16, 4, 2, 2)),
            ("image_encoder.neck.0.weight", (255, 320, 1, 1), (256, 320, 1, 1)),
            ("image_encoder.layers.1.blocks.0.attn.attention_biases", (1, 49), (4, 49)),
            ("image_encoder.layers.1.blocks.1.attn.attention_biases", (4, 196), (4, 49)),
            ("image_encoder.layers.1.blocks.0.local_conv.c.weight", (128, 2, 3, 3), (128, 1, 3, 3)),
            ("image_encoder.layers.0.blocks.0.conv2.bn.bias", (1,), (256,)),
            (QKV, (480 * 160,), (480, 160)),
            (QKV, (0, 160), (480, 160)),
        ],
    )
    def test_a_tensor_of_another_shape(
        self,
        lite_weights: StateDict,
        save_safetensors: Save,
        tmp_path: Path,
        key: str,
        shape: tuple[int, ...],
        right: tuple[int, ...],
    ) -> None:
        weights = {**lite_weights, key: np.ones(shape, np.float32)}
        assert self.refused(save_safetensors, weights, tmp_path) == (
            f"ck.safetensors is closest to a tiny-vit, but has of another shape {key} {shape} "
            f"instead of {right}: download it again, or pass --arch if another architecture is "
            "meant"
        )

    def test_faults_are_said_before_anything_is_written(
        self,
        lite_weights: StateDict,
        save_safetensors: Save,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def written(*_: Any) -> Any:
            raise AssertionError("a graph is written")

        monkeypatch.setattr(net.Net, "save", written)
        weights = {**lite_weights, QKV: np.ones((160, 480), np.float32)}
        message = self.refused(save_safetensors, weights, tmp_path)
        assert f"has of another shape {QKV} (160, 480) instead of (480, 160)" in message

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_values_that_are_not_finite(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path, value: float
    ) -> None:
        spoiled = lite_weights[QKV].copy()
        spoiled[3, 5] = value
        message = self.refused(save_safetensors, {**lite_weights, QKV: spoiled}, tmp_path)
        assert f"the tensor {QKV} has values that are not finite" in message

    def test_values_beyond_float32(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path
    ) -> None:
        large = {**lite_weights, QKV: np.full((480, 160), 1e300)}
        assert QKV in self.refused(save_safetensors, large, tmp_path)

    def test_a_negative_variance(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path
    ) -> None:
        key = "image_encoder.layers.0.blocks.1.conv1.bn.running_var"
        weights = {**lite_weights, key: -lite_weights[key]}
        assert f"{key} has a negative variance" in self.refused(save_safetensors, weights, tmp_path)

    @pytest.mark.parametrize(
        "key",
        ["image_encoder.layers.1.blocks.0.attn.lora_a.weight", "mask_decoder.hf_token.weight"],
    )
    def test_a_network_with_more_in_it(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path, key: str
    ) -> None:
        weights = {**lite_weights, key: np.ones((2, 2), np.float32)}
        assert self.refused(save_safetensors, weights, tmp_path) == (
            f"ck.safetensors is closest to a tiny-vit, but has besides {key}: pass the plain "
            "network's checkpoint, adapters and LoRA merged into it"
        )

    def test_what_training_leaves_does_not_matter(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path, lite_bundle: Path
    ) -> None:
        more = {
            "image_encoder.head.weight": np.ones((1000, 320), np.float32),
            "image_encoder.norm_head.bias": np.ones(320, np.float32),
            "image_encoder.layers.1.blocks.0.attn.attention_bias_idxs": np.ones((49, 49), np.int64),
            "loss.weight": np.ones(3, np.float32),
        }
        checkpoint = save_safetensors(tmp_path / "ck.safetensors", {**more, **lite_weights})
        bundle = export_bundle(checkpoint, tmp_path / "b", profile="lite-medsam")
        assert hashes(bundle) == hashes(open_bundle(lite_bundle))

    def test_no_sam_at_all(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path
    ) -> None:
        encoder = {k: v for k, v in lite_weights.items() if k.startswith("image_encoder.")}
        message = self.refused(save_safetensors, encoder, tmp_path)
        assert "has no mask_decoder.mask_tokens.weight" in message
        decoder = {k: v for k, v in lite_weights.items() if k.startswith("mask_decoder.")}
        message = self.refused(save_safetensors, decoder, tmp_path)
        assert "ck.safetensors does not hold a tiny-vit or vit: it has" in message

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ExportError):
            export_bundle(tmp_path / "missing.pth", tmp_path / "b")
        assert names(tmp_path) == set()


class TestPlaces:
    def test_a_missing_parent_is_named(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="does not exist") as raised:
            export_bundle(lite_checkpoint, tmp_path / "no" / "bundle")
        assert str(tmp_path / "no") in str(raised.value)

    def test_a_file_in_the_way(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        (tmp_path / "bundle").write_text("mine")
        with pytest.raises(BundleError, match="cannot be written"):
            export_bundle(lite_checkpoint, tmp_path / "bundle")
        assert (tmp_path / "bundle").read_text() == "mine"

    @pytest.mark.parametrize(
        ("step", "first"),
        [
            ("onnx", True),
            ("fsync", True),
            ("replace", False),
            ("mkdtemp", True),
            ("mkdtemp", False),
        ],
    )
    def test_the_disk_is_full(
        self,
        lite_checkpoint: Path,
        lite_bundle: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
        first: bool,
    ) -> None:
        out = tmp_path / "bundle"
        if not first:
            out.mkdir()
            for entry in lite_bundle.iterdir():
                (out / entry.name).write_bytes(entry.read_bytes())
            before = names(out)

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        place = {
            "onnx": "edgesam_export.graphs.net.ir.save",
            "fsync": "os.fsync",
            "replace": "pathlib.Path.replace",
            "mkdtemp": "tempfile.mkdtemp",
        }[step]
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(BundleError, match=r"(?i)no space left") as raised:
                export_bundle(lite_checkpoint, out, profile="sam")
        assert "\n" not in str(raised.value)
        assert str(out) in str(raised.value)
        if first:
            assert not out.exists()
        else:
            assert names(out) == before
            assert verified(out).manifest.profile == LITE_MEDSAM

    def test_an_interrupted_export_leaves_nothing(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(writing, "verify_graph", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_bundle(lite_checkpoint, tmp_path / "bundle", profile="sam")
        assert names(tmp_path) == set()

    def test_a_graph_that_does_not_fit_together(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(net: Any, x: Any, width: int) -> Any:
            return net.add(x, net.transpose(x, 0, 2, 3, 1))

        monkeypatch.setattr(tiny_vit, "_mb_conv", wrong)
        monkeypatch.setattr(architecture, "_PARTS", ())  # or what nobody takes would be said
        with pytest.raises(ExportError, match=r"image_encoder.*does not fit together.*layers\.0"):
            export_bundle(lite_checkpoint, tmp_path / "bundle", profile="sam")
        assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("key", "inline", "files"),
    [("mask_decoder.iou_token.weight", 64 << 20, 4), (NECK, BETWEEN, 5)],
    ids=["weights inside", "weights beside"],
)
def test_a_killed_export_leaves_the_old_bundle_or_the_new(
    lite_weights: StateDict,
    save_safetensors: Save,
    lite_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    inline: int,
    files: int,
) -> None:
    """The process is killed at random times between importing and having finished."""
    monkeypatch.setattr(net, "_INLINE", inline)
    other = save_safetensors(tmp_path / "other.st", {**lite_weights, key: lite_weights[key] + 1})
    out = tmp_path / "bundle"
    old = graphs(export_bundle(lite_checkpoint, out, profile="lite-medsam"))
    other_bundle = tmp_path / "other"
    other_graphs = graphs(export_bundle(other, other_bundle, profile="lite-medsam"))
    changed = {role for role in old if old[role] != other_graphs[role]}
    assert changed == ({"mask_decoder"} if files == 4 else {"image_encoder", "weights"})
    code = (
        "import sys; from pathlib import Path; from edgesam_export import export_bundle\n"
        f"from edgesam_export.graphs import net; net._INLINE = {inline}\n"
        "print('ready', flush=True)\n"
        "export_bundle(Path(sys.argv[1]), Path(sys.argv[2]), profile='lite-medsam',"
        " progress=lambda said: print(said, flush=True))\n"
        "print('done', flush=True)\n"
    )
    moment = random.Random(7)
    finished = 0
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(other), str(out)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        # Half of them die while graphs are written, half near the end.
        last = "ready" if attempt % 2 else "checking the graphs"
        for line in process.stdout:
            if line.strip() == last:
                break
        time.sleep(moment.uniform(0, 0.3))
        process.kill()
        finished += "done" in process.stdout.read()
        process.wait()
        process.stdout.close()
        assert graphs(verified(out)) in (old, other_graphs)
    abandoned = list(out.glob(".export-*"))
    for folder in abandoned[:-1]:
        os.utime(folder, (0, 0))
    new = graphs(export_bundle(other, out, profile="lite-medsam"))
    assert new == other_graphs
    swept = files + len(abandoned[-1:])
    assert len(names(out)) == swept, "what was killed long ago is swept, a live export's is not"
    assert finished < 4


def test_exports_are_the_same_bytes_everywhere(
    lite_checkpoint: Path, lite_bundle: Path, tmp_path: Path
) -> None:
    """In another process, with other hash seeds, and without the processor's wide vectors."""
    dispatched = getattr(np, "_core", None) or np.core
    features = dispatched._multiarray_umath
    wide = [name for name in features.__cpu_dispatch__ if features.__cpu_features__[name]]
    code = (
        "import sys; from pathlib import Path; from edgesam_export import export_bundle\n"
        "export_bundle(Path(sys.argv[1]), Path(sys.argv[2]), profile='lite-medsam')"
    )
    expected = contents(lite_bundle)
    for seed, disabled in [("1", ""), ("2", " ".join(wide))]:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_CORETYPE": "Prescott"}
        if disabled:
            environment["NPY_DISABLE_CPU_FEATURES"] = disabled
        out = tmp_path / f"bundle{seed}"
        subprocess.run(
            [sys.executable, "-c", code, str(lite_checkpoint), str(out)],
            env=environment,
            check=True,
        )
        assert contents(out) == expected


class TestVerify:
    def test_a_whole_graph_passes(self, lite_bundle: Path) -> None:
        for path in lite_bundle.glob("*.onnx"):
            verify_graph(path)

    def test_a_file_that_is_no_graph(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.onnx"
        path.write_bytes(b"not a graph")
        with pytest.raises(ExportError, match=r"graph\.onnx does not fit together"):
            verify_graph(path)


class TestInt8:
    @pytest.fixture
    def recipe(self, lite_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
        """As if one shipped for the random checkpoint."""
        made = Recipe(
            sha256_of(lite_checkpoint),
            (),
            {
                "layers.1.blocks.0.attn.qkv/MatMul": Quantized(0.05, 128),
                "layers.1.blocks.0.attn.proj/MatMul": Quantized(0.05, 128, (1, -1) * 64),
                "neck.2/Conv": Quantized(0.05, 128, (2, 0) * 128, bias=(0.25,) * 256),
            },
        )
        monkeypatch.setattr(variants, "shipped_recipe", lambda sha256: made)
        return made

    def test_one_that_is_asked_for(
        self, recipe: Recipe, lite_checkpoint: Path, lite_bundle: Path, tmp_path: Path
    ) -> None:
        bundle = verified(
            export_bundle(
                lite_checkpoint, tmp_path / "b", profile="lite-medsam", variants=["int8"]
            ).path
        )
        assert list(bundle.variants) == ["fp32", "int8"]
        fp32, int8 = bundle.variants.values()
        assert fp32 == open_bundle(lite_bundle).variants["fp32"]
        assert int8.image_encoder.file.startswith("image_encoder.int8.")
        assert int8.image_encoder.size < fp32.image_encoder.size
        assert (int8.image_side, int8.mask_decoder) == (fp32.image_side, fp32.mask_decoder)
        assert names(bundle.path) == {MANIFEST, *(f.file for v in (fp32, int8) for f in v.files)}

    def test_without_a_passport_it_is_left_out(
        self,
        recipe: Recipe,
        lite_checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: Any) -> None:
            raise AssertionError("an int8 graph was made")

        monkeypatch.setattr(variants, "quantize", fail)
        bundle = export_bundle(lite_checkpoint, tmp_path / "b", profile="lite-medsam")
        assert list(bundle.variants) == ["fp32"]
        assert names(bundle.path) == {MANIFEST, *(f.file for f in bundle.variants["fp32"].files)}

    def test_with_one_it_comes_by_itself(
        self,
        recipe: Recipe,
        lite_checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(variants, "unasked", lambda sha256: ["fp32", "int8"])
        monkeypatch.setattr(writing, "shipped_passport", lambda graphs: b"{}")
        bundle = export_bundle(lite_checkpoint, tmp_path / "b", profile="lite-medsam")
        assert list(bundle.variants) == ["fp32", "int8"]
        assert all(variant.passport is not None for variant in bundle.variants.values())

    def test_one_of_other_graphs_does_not_count(
        self,
        recipe: Recipe,
        lite_checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(variants, "unasked", lambda sha256: ["fp32", "int8"])
        bundle = export_bundle(lite_checkpoint, tmp_path / "b", profile="lite-medsam")
        assert list(bundle.variants) == ["fp32"]
        assert names(bundle.path) == {MANIFEST, *(f.file for f in bundle.variants["fp32"].files)}

    def test_fp32_alone(self, recipe: Recipe, lite_checkpoint: Path, tmp_path: Path) -> None:
        bundle = export_bundle(
            lite_checkpoint, tmp_path / "b", profile="lite-medsam", variants=["fp32"]
        )
        assert list(bundle.variants) == ["fp32"]

    def test_no_recipe(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="has no recipe for int8: they ship for lite-medsam"):
            export_bundle(lite_checkpoint, tmp_path / "b", profile="sam", variants=["int8"])
        assert not (tmp_path / "b").exists()

    def test_no_such_variant(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(
            ExportError, match="no variant is called 'int4'; known: fp32, fp16, bf16, int8"
        ):
            export_bundle(lite_checkpoint, tmp_path / "b", profile="sam", variants=["int4"])
