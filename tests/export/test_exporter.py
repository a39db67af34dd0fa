"""From a checkpoint to a bundle: what is refused, what is left behind, the same bytes again."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import BundleError, ExportError
from edgesam.bundle import MANIFEST, Bundle, open_bundle
from edgesam.digest import sha256_of
from edgesam.models import LITE_MEDSAM, MODELS, SAM
from edgesam_export import export_bundle, exporter
from edgesam_export.graphs import mask_decoder, tiny_vit
from edgesam_export.verify import verify_graph

StateDict = dict[str, NDArray[Any]]
Save = Callable[[Path, Mapping[str, NDArray[Any]]], Path]

QKV = "image_encoder.layers.2.blocks.3.attn.qkv.weight"


def verified(path: Path) -> Bundle:
    """The bundle, both of its graphs checked."""
    bundle = open_bundle(path)
    for variant in bundle.variants.values():
        bundle.verified(variant.image_encoder)
        bundle.verified(variant.mask_decoder)
    return bundle


def hashes(bundle: Bundle) -> tuple[str, str]:
    variant = bundle.variants["fp32"]
    return variant.image_encoder.sha256, variant.mask_decoder.sha256


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


class TestBundle:
    def test_what_the_manifest_says(self, lite_bundle: Path, lite_checkpoint: Path) -> None:
        bundle = verified(lite_bundle)
        manifest = bundle.manifest
        assert manifest.model == "random"
        assert (manifest.architecture, manifest.image_size) == ("tiny-vit", 256)
        assert manifest.profile == LITE_MEDSAM
        assert not manifest.profile_assumed
        assert manifest.checkpoint_sha256 == sha256_of(lite_checkpoint)
        assert manifest.licence == "unknown"
        assert bundle.variants["fp32"].passport is None
        files = {f"image_encoder.fp32.{hashes(bundle)[0][:8]}.onnx"}
        files |= {f"mask_decoder.fp32.{hashes(bundle)[1][:8]}.onnx", MANIFEST}
        assert names(lite_bundle) == files

    def test_progress_is_told(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        told: list[str] = []
        export_bundle(
            lite_checkpoint, tmp_path / "b", model="mine", profile="sam", progress=told.append
        )
        assert told == [
            f"reading {lite_checkpoint.name}",
            "writing the graphs",
            "checking the graphs",
        ]
        assert open_bundle(tmp_path / "b").manifest.model == "mine"
        assert open_bundle(tmp_path / "b").manifest.profile == SAM

    def test_a_shipped_passport_travels_with_the_graphs_it_measured(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def shipped(encoder: str, decoder: str) -> bytes:
            text = f'{{"graphs": {{"image_encoder": "{encoder}", "mask_decoder": "{decoder}"}}, '
            iou = '"mask_iou": {"mean": 0.25, "p5": 0.25, "worst": 0.25}, '
            return (text + iou + '"gate": {"mean": 0.2, "p5": 0.2, "worst": 0.2}}').encode()

        monkeypatch.setattr(exporter, "shipped_passport", shipped)
        bundle = export_bundle(lite_checkpoint, tmp_path / "b", profile="lite-medsam")
        report = verified(bundle.path).passport(bundle.variants["fp32"])
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

    def test_unknown_names(self, lite_checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=r"no profile is called 'x'; known: sam, lite-medsam"):
            export_bundle(lite_checkpoint, tmp_path / "b", profile="x")
        with pytest.raises(ExportError, match=r"no architecture is called 'x'; known: tiny-vit"):
            export_bundle(lite_checkpoint, tmp_path / "b", arch="x")
        assert names(tmp_path) == set()

    def test_a_size_without_a_family(self) -> None:
        with pytest.raises(ExportError, match="needs a profile: pass --profile with one of"):
            exporter._profile(None, None, 512, "ck")


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
        assert key in self.refused(save_safetensors, weights, tmp_path)

    @pytest.mark.parametrize(
        ("key", "shape"),
        [
            # numpy would broadcast, or concatenate to one row more: silently wrong networks.
            ("mask_decoder.transformer.layers.0.self_attn.q_proj.bias", (1,)),
            ("mask_decoder.iou_token.weight", (2, 256)),
            ("mask_decoder.mask_tokens.weight", (3, 256)),
            ("prompt_encoder.point_embeddings.1.weight", (2, 256)),
            ("prompt_encoder.mask_downscaling.0.bias", (1,)),
            ("prompt_encoder.mask_downscaling.3.weight", (16, 5, 2, 2)),
            ("image_encoder.neck.0.weight", (255, 320, 1, 1)),
            ("image_encoder.layers.1.blocks.0.attn.attention_biases", (1, 49)),
            ("image_encoder.layers.1.blocks.1.attn.attention_biases", (4, 196)),
            ("image_encoder.layers.1.blocks.0.local_conv.c.weight", (128, 2, 3, 3)),
            ("image_encoder.layers.0.blocks.0.conv2.bn.bias", (1,)),
            (QKV, (480 * 160,)),
            (QKV, (0, 160)),
        ],
    )
    def test_a_tensor_of_another_shape(
        self, lite_weights: StateDict, tmp_path: Path, key: str, shape: tuple[int, ...]
    ) -> None:
        weights = {**lite_weights, key: np.ones(shape, np.float32)}
        arch = tiny_vit.recognise({name: array.shape for name, array in weights.items()})
        assert arch is not None
        graph = tmp_path / "graph"
        if key.startswith("image_encoder."):
            write = partial(tiny_vit.write, arch, weights, graph)
        else:
            write = partial(mask_decoder.write, weights, 256, graph)
        with pytest.raises(ExportError) as raised:
            write()
        assert f"the tensor {key} has the shape {shape}, not" in str(raised.value)

    def test_a_shape_is_refused_before_there_is_a_bundle(
        self, lite_weights: StateDict, save_safetensors: Save, tmp_path: Path
    ) -> None:
        weights = {**lite_weights, QKV: np.ones((160, 480), np.float32)}
        message = self.refused(save_safetensors, weights, tmp_path)
        assert f"the tensor {QKV} has the shape (160, 480), not (480, 160)" in message

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
        message = self.refused(save_safetensors, weights, tmp_path)
        assert "holds more than this network: 1 of its tensors" in message
        assert key in message

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
        assert "does not hold a tiny-vit" in self.refused(save_safetensors, decoder, tmp_path)

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

        monkeypatch.setattr(exporter, "verify_graph", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_bundle(lite_checkpoint, tmp_path / "bundle", profile="sam")
        assert names(tmp_path) == set()

    def test_a_graph_that_does_not_fit_together(
        self, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(net: Any, x: Any, width: int) -> Any:
            return net.add(x, net.transpose(x, 0, 2, 3, 1))

        monkeypatch.setattr(tiny_vit, "_mb_conv", wrong)
        monkeypatch.setattr(exporter, "_PARTS", ())
        with pytest.raises(ExportError, match=r"image_encoder.*does not fit together.*layers\.0"):
            export_bundle(lite_checkpoint, tmp_path / "bundle", profile="sam")
        assert names(tmp_path) == set()


def test_a_killed_export_leaves_the_old_bundle_or_the_new(
    lite_weights: StateDict,
    save_safetensors: Save,
    lite_checkpoint: Path,
    lite_bundle: Path,
    tmp_path: Path,
) -> None:
    """The process is killed at random times between importing and having finished."""
    key = "mask_decoder.iou_token.weight"
    other = save_safetensors(tmp_path / "other.st", {**lite_weights, key: lite_weights[key] + 1})
    out = tmp_path / "bundle"
    old = hashes(export_bundle(lite_checkpoint, out, profile="lite-medsam"))
    other_bundle = tmp_path / "other"
    other_hashes = hashes(export_bundle(other, other_bundle, profile="lite-medsam"))
    assert other_hashes[0] == old[0]
    assert other_hashes[1] != old[1]
    code = (
        "import sys; from pathlib import Path; from edgesam_export import export_bundle\n"
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
        found = hashes(verified(out))
        assert found in (old, other_hashes)
    abandoned = list(out.glob(".export-*"))
    for folder in abandoned[:-1]:
        os.utime(folder, (0, 0))
    new = hashes(export_bundle(other, out, profile="lite-medsam"))
    assert new == other_hashes
    swept = 3 + len(abandoned[-1:])
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
    expected = {
        path.name: hashlib.sha256(path.read_bytes()).digest() for path in lite_bundle.iterdir()
    }
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
        found = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in out.iterdir()}
        assert found == expected


class TestVerify:
    def test_a_whole_graph_passes(self, lite_bundle: Path) -> None:
        for path in lite_bundle.glob("*.onnx"):
            verify_graph(path)

    def test_a_file_that_is_no_graph(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.onnx"
        path.write_bytes(b"not a graph")
        with pytest.raises(ExportError, match=r"graph\.onnx does not fit together"):
            verify_graph(path)
