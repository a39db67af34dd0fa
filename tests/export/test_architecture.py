"""Which network a checkpoint holds, told from shapes alone; what is said of one with faults."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import ExportError
from edgesam_export.architecture import ARCHITECTURES, build, recognise
from edgesam_export.graphs.net import Net
from edgesam_export.graphs.tiny_vit import TinyViT
from edgesam_export.graphs.vit import ViT

Shapes = dict[str, tuple[int, ...]]

GOLDEN = Path(__file__).parent.parent / "golden"
PRE = "image_encoder."
BIASES = f"{PRE}layers.1.blocks.0.attn.attention_biases"
QKV = f"{PRE}blocks.0.attn.qkv.weight"
AGAIN = "download it again, or pass --arch if another architecture is meant"
PLAIN = "pass the plain network's checkpoint, adapters and LoRA merged into it"


@pytest.fixture(scope="module")
def shapes() -> Callable[[str], Shapes]:
    """Of a model's official checkpoint; ``sam-vit-test`` is a small ViT of 2 blocks."""
    stored = json.loads((GOLDEN / "shapes.json").read_text("utf-8"))
    return lambda model: {key: tuple(shape) for key, shape in stored[model].items()}


Official = Callable[[str], Shapes]


class Ones(Mapping[str, NDArray[Any]]):
    """Tensors of these shapes, made when they are read."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    def __getitem__(self, key: str) -> NDArray[Any]:
        return np.ones(self.shapes[key], np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def both(shapes: Shapes, asked: str | None = None) -> tuple[str, Any, tuple[Net, Net]]:
    name, encoder = recognise(shapes, asked, "x.pth")
    return name, encoder, build(name, encoder, Ones(shapes), shapes, "x.pth")


def refused(shapes: Shapes, asked: str | None = None) -> str:
    with pytest.raises(ExportError) as raised:
        both(shapes, asked)
    message = str(raised.value)
    assert "\n" not in message
    return message


def without(shapes: Shapes, *parts: str) -> Shapes:
    return {key: s for key, s in shapes.items() if not any(part in key for part in parts)}


class TestFamilies:
    @pytest.mark.parametrize("asked", [None, "own"])
    @pytest.mark.parametrize(
        ("model", "architecture", "image_size", "grid"),
        [
            ("lite-medsam", "tiny-vit", 256, 64),
            ("mobile-sam", "tiny-vit", 1024, 64),
            ("sam-vit-test", "vit", 128, 8),
            ("sam-vit-b", "vit", 1024, 64),
        ],
    )
    def test_each_official_checkpoint_is_its_own(
        self,
        shapes: Official,
        model: str,
        architecture: str,
        image_size: int,
        grid: int,
        asked: str | None,
    ) -> None:
        name, found, nets = both(shapes(model), asked and architecture)
        assert (name, found.image_size, found.grid) == (architecture, image_size, grid)
        assert isinstance(found, ViT if architecture == "vit" else TinyViT)
        assert {role: net.name for role, net in nets.items()} == {
            "image_encoder": f"{architecture.replace('-', '_')}_image_encoder",
            "image_side": "sam_image_side",
            "mask_decoder": "sam_mask_decoder",
        }

    def test_what_is_not_the_networks_is_left_alone(self, shapes: Official) -> None:
        more: Shapes = {"pixel_mean": (3, 1, 1), "loss.weight": (3,), "text_encoder.x": (2, 2)}
        assert both(more | shapes("sam-vit-test"))[0] == "vit"

    def test_a_name_that_is_none(self, shapes: Official) -> None:
        assert refused(shapes("sam-vit-test"), "vit-b") == (
            "no architecture is called 'vit-b'; known: tiny-vit, vit"
        )

    @pytest.mark.parametrize(
        ("model", "right", "wrong", "first"),
        [
            ("sam-vit-test", "vit", "tiny-vit", f"{PRE}pos_embed"),
            ("lite-medsam", "tiny-vit", "vit", f"{PRE}patch_embed.seq.0.c.weight"),
        ],
    )
    def test_the_wrong_name(
        self, shapes: Official, model: str, right: str, wrong: str, first: str
    ) -> None:
        found = shapes(model)
        own = sum(bool(ARCHITECTURES[right].KEY.fullmatch(key)) for key in found)
        assert own > 30
        assert refused(found, wrong) == (
            f"x.pth does not hold a {wrong}: it has {len(found)} tensors, the first is {first}; "
            f"closest is {right}, {own} of whose keys it has: leave out --arch or pass --arch "
            f"{right}"
        )

    def test_a_vit_without_relative_positions(self, shapes: Official) -> None:
        found = without(shapes("sam-vit-test"), "rel_pos")
        message = refused(found)
        assert message.startswith(f"x.pth does not hold a tiny-vit or vit: it has {len(found)} ")
        assert "closest is vit, 33 of whose keys it has" in message
        assert "--arch" not in message

    @pytest.mark.parametrize("asked", [None, "vit", "tiny-vit"])
    def test_a_decoder_alone_is_close_to_nothing(self, shapes: Official, asked: str | None) -> None:
        message = refused(without(shapes("sam-vit-test"), PRE), asked)
        assert message.startswith(f"x.pth does not hold a {asked or 'tiny-vit or vit'}: it has ")
        assert "closest" not in message
        assert "--arch" not in message

    @pytest.mark.parametrize(
        ("found", "seen"),
        [
            ({}, "it has 0 tensors, the first is none"),
            ({"backbone.conv1.weight": (64, 3, 7, 7)}, "the first is backbone.conv1.weight"),
            ({"sam_mask_decoder.mask_tokens.weight": (4, 256)}, "the first is sam_mask_decoder."),
        ],
    )
    def test_no_sam(self, found: Shapes, seen: str) -> None:
        message = refused(found)
        assert message.startswith("x.pth has no mask_decoder.mask_tokens.weight: it has ")
        assert seen in message
        assert "its keys begin with image_encoder., prompt_encoder., mask_decoder." in message


class TestFaults:
    """One line, which names what is wrong, says nothing twice, and nothing that is not so."""

    @pytest.mark.parametrize(
        "key",
        [
            QKV,  # three layers' weights in one: asked for three times
            f"{PRE}blocks.1.attn.rel_pos_w",
            f"{PRE}neck.2.weight",
            "mask_decoder.iou_token.weight",
            "mask_decoder.output_hypernetworks_mlps.3.layers.2.bias",
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",  # asked for twice
        ],
    )
    def test_a_missing_key(self, shapes: Official, key: str) -> None:
        found = without(shapes("sam-vit-test"), key)
        assert refused(found) == f"x.pth is closest to a vit, but lacks {key}: {AGAIN}"

    def test_the_key_that_says_how_large_windows_are(self, shapes: Official) -> None:
        key = f"{PRE}blocks.0.attn.rel_pos_h"
        message = refused(without(shapes("sam-vit-test"), key))
        assert message.startswith(f"x.pth is closest to a vit, but lacks {key}")
        assert "has besides" not in message
        assert len(message) < 300

    @pytest.mark.parametrize(
        ("key", "shape", "right"),
        [
            (QKV, (64, 192), (192, 64)),
            (QKV, (192 * 64,), (192, 64)),
            (QKV, (0, 64), (192, 64)),
            (QKV, (), (192, 64)),
            (f"{PRE}pos_embed", (1, 8, 6, 64), (1, 8, 8, 64)),
            (f"{PRE}blocks.1.attn.rel_pos_w", (14, 32), (15, 32)),
            (f"{PRE}blocks.0.attn.rel_pos_h", (6, 32), (5, 32)),
            (f"{PRE}blocks.1.norm1.weight", (1,), (64,)),
            (f"{PRE}neck.0.weight", (256, 65, 1, 1), (256, 64, 1, 1)),
            ("mask_decoder.mask_tokens.weight", (3, 256), (4, 256)),
            (
                "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
                (2, 64),
                (2, 128),
            ),
        ],
    )
    def test_a_misshapen_key(
        self, shapes: Official, key: str, shape: tuple[int, ...], right: tuple[int, ...]
    ) -> None:
        assert refused({**shapes("sam-vit-test"), key: shape}) == (
            f"x.pth is closest to a vit, but has of another shape {key} {shape} instead of {right}"
            f": {AGAIN}"
        )

    @pytest.mark.parametrize(
        "keys",
        [
            ("mask_decoder.hf_token.weight", "mask_decoder.hf_mlp.layers.0.weight"),  # HQ-SAM
            (f"{PRE}blocks.0.attn.qkv.lora_a_q.weight",),
            (f"{PRE}blocks.1.Adapter.D_fc1.weight", f"{PRE}blocks.1.Adapter.D_fc2.weight"),
            ("prompt_encoder.point_embeddings.4.weight",),
            (f"{PRE}patch_embed.proj.scale",),
        ],
    )
    @pytest.mark.parametrize("model", ["sam-vit-test", "lite-medsam"])
    def test_keys_of_a_larger_network(
        self, shapes: Official, model: str, keys: tuple[str, ...]
    ) -> None:
        name = "vit" if model == "sam-vit-test" else "tiny-vit"
        more: Shapes = dict.fromkeys(keys, (2, 2))
        assert refused(shapes(model) | more) == (
            f"x.pth is closest to a {name}, but has besides {', '.join(keys)}: {PLAIN}"
        )

    def test_lora_around_a_layer(self, shapes: Official) -> None:
        """SAMed's names: the layer's own weights have moved one level down."""
        found = without(shapes("sam-vit-test"), "blocks.0.attn.qkv.")
        here = f"{PRE}blocks.0.attn.qkv"
        found |= {f"{here}.qkv.weight": (192, 64), f"{here}.qkv.bias": (192,)}
        found[f"{here}.linear_a_q.weight"] = (4, 64)
        assert refused(found) == (
            f"x.pth is closest to a vit, but lacks {here}.weight, {here}.bias, has besides "
            f"{here}.qkv.weight, {here}.qkv.bias, {here}.linear_a_q.weight: {PLAIN}"
        )

    def test_all_of_it_in_one_line(self, shapes: Official) -> None:
        found = without(shapes("sam-vit-test"), "blocks.1.mlp", "iou_token")
        found |= {f"{PRE}blocks.0.lora.{i}": (1,) for i in range(9)}
        found["mask_decoder.mask_tokens.weight"] = (3, 256)
        mlp = f"{PRE}blocks.1.mlp.lin"
        lora = f"{PRE}blocks.0.lora."
        assert refused(found) == (
            f"x.pth is closest to a vit, but lacks {mlp}1.weight, {mlp}1.bias, {mlp}2.weight and 2 "
            "more, has of another shape mask_decoder.mask_tokens.weight (3, 256) instead of "
            f"(4, 256), has besides {lora}0, {lora}1, {lora}2 and 6 more: {PLAIN}"
        )

    def test_faults_of_the_decoder_alone(self, shapes: Official) -> None:
        message = refused(without(shapes("sam-vit-test"), "mask_decoder.transformer.layers.1."))
        assert message.startswith("x.pth is closest to a vit, but lacks mask_decoder.transformer.")
        assert message.count("mask_decoder.transformer.layers.1.") == 3
        assert message.endswith(f" and 33 more: {AGAIN}")

    def test_a_lost_block(self, shapes: Official) -> None:
        """What the others have is not called unknown."""
        message = refused(without(shapes("sam-vit-test"), "blocks.0."))
        assert f"lacks {PRE}blocks.0.norm1.weight, " in message
        assert "has besides" not in message
        message = refused(without(shapes("lite-medsam"), "layers.3."))
        assert f"lacks {PRE}layers.3.blocks.0.attn.attention_biases, " in message
        assert "has besides" not in message

    @pytest.mark.parametrize("shape", [None, (), (4, 0), (0, 49), (4, 50)])
    def test_the_biases_that_say_how_large_windows_are(
        self, shapes: Official, shape: tuple[int, ...] | None
    ) -> None:
        """The other block of the stage says it too."""
        found = without(shapes("lite-medsam"), BIASES)
        fault = f"lacks {BIASES}"
        if shape is not None:
            found[BIASES] = shape
            fault = f"has of another shape {BIASES} {shape} instead of (4, 49)"
        assert refused(found) == f"x.pth is closest to a tiny-vit, but {fault}: {AGAIN}"

    @pytest.mark.parametrize("width", [31, 100, 130, 0])
    def test_a_width_that_no_head_divides(self, shapes: Official, width: int) -> None:
        message = refused(
            {**shapes("lite-medsam"), f"{PRE}layers.0.downsample.conv3.bn.weight": (width,)}
        )
        assert f"{PRE}layers.0.downsample.conv1.c.weight (128, 64, 1, 1) instead of " in message
        assert "has besides" not in message


GIANT = 1 << 40


class TestClaims:
    """Shapes that cost a file nothing, or little, and would cost all memory to believe."""

    @pytest.mark.parametrize(
        ("model", "key", "shape"),
        [
            ("sam-vit-test", f"{PRE}pos_embed", (1, GIANT, 0, 64)),
            ("sam-vit-test", f"{PRE}pos_embed", (1, 8, 0, GIANT)),
            ("sam-vit-test", f"{PRE}pos_embed", (1, 0, 0, 64)),
            ("sam-vit-test", f"{PRE}pos_embed", (1, 8, 8, 0)),
            ("sam-vit-test", f"{PRE}blocks.0.attn.rel_pos_h", (GIANT, 32)),
            ("sam-vit-test", f"{PRE}blocks.0.attn.rel_pos_h", (2_000_001, 32)),
            ("sam-vit-test", f"{PRE}blocks.0.attn.rel_pos_h", (0, 32)),
            ("sam-vit-test", f"{PRE}blocks.0.attn.rel_pos_h", (5,)),
            ("sam-vit-test", f"{PRE}blocks.1.attn.rel_pos_h", (15, 0)),
            ("sam-vit-test", f"{PRE}blocks.1.attn.rel_pos_h", (15, GIANT)),
            ("lite-medsam", BIASES, (0, GIANT)),
            ("lite-medsam", BIASES, (0, 2_000**2)),
            ("lite-medsam", f"{PRE}layers.0.downsample.conv3.bn.weight", (GIANT, 0)),
            ("lite-medsam", f"{PRE}layers.2.downsample.conv3.bn.weight", (GIANT,)),
            ("lite-medsam", f"{PRE}patch_embed.seq.0.c.weight", (GIANT, 3, 1, 1)),
        ],
    )
    def test_they_are_refused_in_little_memory(
        self, shapes: Official, model: str, key: str, shape: tuple[int, ...]
    ) -> None:
        found = shapes(model)
        tracemalloc.start()
        try:
            message = refused({**found, key: shape})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 400 << 20
        assert len(message) < 1200
        assert "has besides" not in message or key in message

    @pytest.mark.parametrize(
        ("model", "first"),
        [
            ("sam-vit-test", f"{PRE}blocks.2.norm1.weight"),
            ("lite-medsam", f"{PRE}layers.1.blocks.2.attn.attention_biases"),
        ],
    )
    def test_a_block_that_is_far_away(self, shapes: Official, model: str, first: str) -> None:
        far = first.replace("2", "99", 1)
        message = refused({**shapes(model), f"{far}.x": (1,)})
        assert f"lacks {first}, " in message
        assert message.endswith(f"has besides {far}.x: {PLAIN}")
