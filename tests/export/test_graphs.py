"""The graphs, run, against the definitions written out in NumPy with nothing clever in them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.bundle import open_bundle
from edgesam.engines import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam_bench.random_weights import random_state_dict, uniform
from edgesam_export.graphs import image_side, mask_decoder, tiny_vit, window_attention
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.prompt_encoder import encoding_of_cells
from edgesam_export.graphs.weights import Weights
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
StateDict = dict[str, Floats]
Run = Callable[..., list[Floats]]


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def opened(graphs: Graphs) -> Session:
    return OnnxRuntime().open(graphs, precision="fp32", device="cpu", threads=1)


def all_four(opened: Session, embedding: Floats, prompts: Prompts) -> list[Floats]:
    """Logits and predicted IoU of all mask tokens."""
    masks = MaskPrompts.none(4 * embedding.shape[-1]) if prompts.masks is None else prompts.masks
    side = opened.image_side(embedding, masks)
    return list(opened.decode(side, prompts, range(4)))


def run_net(net: Net, path: Path, output: Any, shape: tuple[int, ...], **inputs: Floats) -> Floats:
    net.output("output", output, shape)
    assert net.save(path) is None
    verify_graph(path)
    result: Floats = session(path).run(["output"], inputs)[0]
    assert result.shape == shape
    return result


def softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def layer_norm(x: Floats, weight: Floats, bias: Floats, eps: float = 1e-5) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) * weight + bias


def official_offsets(window: int) -> NDArray[np.intp]:
    """tiny_vit_sam.py, ``Attention.__init__``: offsets numbered as pairs first show them."""
    points = list(itertools.product(range(window), range(window)))
    numbers: dict[tuple[int, int], int] = {}
    index = []
    for p1 in points:
        for p2 in points:
            offset = (abs(p1[0] - p2[0]), abs(p1[1] - p2[1]))
            if offset not in numbers:
                numbers[offset] = len(numbers)
            index.append(numbers[offset])
    return np.array(index).reshape(len(points), len(points))


class TestTinyViT:
    @pytest.mark.parametrize("window", [1, 2, 7, 14])
    def test_biases_are_numbered_as_the_official_code_does(self, window: int) -> None:
        biases = np.arange(3 * window**2, dtype=np.float32).reshape(3, -1)
        net = Net("test", Weights({"attention_biases": biases}))
        found = window_attention.bias_of_offsets(net, window, 3)
        np.testing.assert_array_equal(found, biases[:, official_offsets(window)])

    def test_windowed_attention_with_padding(self, tmp_path: Path) -> None:
        """A side that the windows do not divide: the padding takes part, and is cut off again."""
        side, window, channels, heads = 5, 3, 64, 2
        width = channels // heads
        weights = random_state_dict(
            {
                "norm.weight": (channels,),
                "norm.bias": (channels,),
                "qkv.weight": (3 * channels, channels),
                "qkv.bias": (3 * channels,),
                "proj.weight": (channels, channels),
                "proj.bias": (channels,),
                "attention_biases": (heads, window**2),
            },
            seed=2,
        )
        x = uniform((1, side, side, channels), 5).astype(np.float32)

        padded = np.zeros((6, 6, channels))
        padded[:side, :side] = x[0]
        expected = np.empty_like(padded)
        for top, left in itertools.product((0, 3), (0, 3)):
            tokens = padded[top : top + 3, left : left + 3].reshape(9, channels)
            tokens = layer_norm(tokens, weights["norm.weight"], weights["norm.bias"])
            qkv = tokens @ weights["qkv.weight"].T + weights["qkv.bias"]
            # The official code: view(..., heads, -1).split([d, d, d], dim=3).
            q, k, v = np.split(qkv.reshape(9, heads, 3 * width), 3, axis=2)
            mixed = np.empty((9, heads, width))
            for head in range(heads):
                scores = q[:, head] @ k[:, head].T / math.sqrt(width)
                scores = scores + weights["attention_biases"][head][official_offsets(window)]
                mixed[:, head] = softmax(scores) @ v[:, head]
            mixed = mixed.reshape(9, channels) @ weights["proj.weight"].T + weights["proj.bias"]
            expected[top : top + 3, left : left + 3] = mixed.reshape(3, 3, channels)

        net = Net("test", Weights(weights))
        output = window_attention.window_attention(
            net, net.input("x", FLOAT, x.shape), side, window, channels
        )
        result = run_net(net, tmp_path / "g.onnx", output, x.shape, x=x)
        np.testing.assert_allclose(result[0], expected[:side, :side], atol=2e-5)

    def test_batch_norm_is_folded(self, tmp_path: Path) -> None:
        shapes = {
            f"a.bn.{name}": (6,) for name in ("weight", "bias", "running_mean", "running_var")
        }
        weights = random_state_dict({"a.c.weight": (6, 1, 3, 3), **shapes}, seed=3)
        x = uniform((1, 6, 7, 9), 4).astype(np.float32)
        padded = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        expected = np.empty((1, 6, 4, 5))
        for c, row, column in itertools.product(range(6), range(4), range(5)):
            patch = padded[c, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            value = (patch * weights["a.c.weight"][c, 0]).sum() - weights["a.bn.running_mean"][c]
            value /= math.sqrt(weights["a.bn.running_var"][c] + 1e-5)
            expected[0, c, row, column] = (
                value * weights["a.bn.weight"][c] + weights["a.bn.bias"][c]
            )
        net = Net("test", Weights(weights))
        output = tiny_vit._conv_bn(net, net.input("x", FLOAT, x.shape), "a", 1, 6, 3, stride=2)
        result = run_net(net, tmp_path / "g.onnx", output, (1, 6, 4, 5), x=x)
        np.testing.assert_allclose(result, expected, atol=1e-5)

    @pytest.mark.parametrize("part", [10, 4, 1])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_a_bottleneck_in_parts(self, tmp_path: Path, part: int, stride: int) -> None:
        """The channels between the convolutions, so many at a time: their sum is the same."""
        inputs, hidden, outputs = widths = 3, 10, 5
        norms = {"weight", "bias", "running_mean", "running_var"}
        weights = random_state_dict(
            {
                "conv1.c.weight": (hidden, inputs, 1, 1),
                "conv2.c.weight": (hidden, 1, 3, 3),
                "conv3.c.weight": (outputs, hidden, 1, 1),
                **{f"conv{i}.bn.{n}": (hidden,) for i in (1, 2) for n in norms},
                **{f"conv3.bn.{n}": (outputs,) for n in norms},
            },
            seed=6,
        )
        x = uniform((1, inputs, 8, 8), 7).astype(np.float32)
        onto = uniform((1, outputs, 8 // stride, 8 // stride), 8).astype(np.float32)

        def normed(y: Floats, name: str) -> Floats:
            gamma, beta, mean, variance = (
                weights[f"{name}.bn.{n}"][:, None, None]
                for n in ("weight", "bias", "running_mean", "running_var")
            )
            return np.asarray((y - mean) / np.sqrt(variance + 1e-5) * gamma + beta)

        def pointwise(y: Floats, name: str) -> Floats:
            return normed(np.tensordot(weights[f"{name}.c.weight"][:, :, 0, 0], y, 1), name)

        y = np.pad(gelu(pointwise(x[0].astype(np.float64), "conv1")), ((0, 0), (1, 1), (1, 1)))
        deep = sum(
            weights["conv2.c.weight"][:, 0, a, b, None, None] * y[:, a : a + 8, b : b + 8]
            for a, b in itertools.product(range(3), range(3))
        )
        deep = gelu(normed(np.asarray(deep)[:, ::stride, ::stride], "conv2"))
        expected = pointwise(deep, "conv3") + onto[0]

        net = Net("test", Weights(weights))
        given = net.input("x", FLOAT, x.shape), net.input("onto", FLOAT, onto.shape)
        output = tiny_vit._bottleneck(net, given[0], widths, stride, part, given[1])
        result = run_net(net, tmp_path / "g.onnx", output, onto.shape, x=x, onto=onto)
        np.testing.assert_allclose(result[0], expected, atol=1e-5)

    def test_no_value_is_larger_than_half_the_working_memory(self, lite_bundle: Path) -> None:
        """The largest MLP's are: memory is planned by it, and the first stage comes in parts."""
        import onnx

        bundle = open_bundle(lite_bundle)
        file = lite_bundle / bundle.variants["fp32"].image_encoder.file
        graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
        made = {name for node in graph.node for name in node.output}
        sizes = {
            value.name: 4 * math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in graph.value_info
            if value.name in made
        }
        assert len(sizes) > 300
        largest = max(sizes, key=sizes.__getitem__)
        assert largest.startswith("layers.1.blocks.0.mlp")
        assert bundle.manifest.working_memory == 2 * sizes[largest]

    def test_what_is_read_off_a_checkpoint(self, lite_weights: StateDict) -> None:
        shapes = {key: array.shape for key, array in lite_weights.items()}
        found = tiny_vit.recognise(shapes)
        assert found == tiny_vit.TinyViT(1, (2, 2, 6, 2), (7, 14, 7), (64, 128, 160, 320))
        assert found.image_size == 256
        patch = "image_encoder.patch_embed.seq.0.c.weight"
        mobile = tiny_vit.recognise({**shapes, patch: (32, 3, 3, 3)})
        assert mobile is not None
        assert mobile.image_size == 1024
        assert tiny_vit.recognise({}) is None
        assert tiny_vit.recognise({**shapes, patch: (32, 3, 16, 16)}) is None
        assert tiny_vit.recognise({**shapes, patch: ()}) is None


@pytest.fixture(scope="module")
def decode(lite_graphs: Graphs) -> Run:
    """The mask decoder of the random LiteMedSAM."""
    whole = opened(lite_graphs)

    def run(
        embedding: Floats,
        coords: Any,
        labels: Any,
        mask: Floats | None = None,
        has_mask: Any = (0,),
    ) -> list[Floats]:
        prompts = Prompts(
            np.asarray(coords, np.float32),
            np.asarray(labels, np.int32),
            None if mask is None else MaskPrompts(mask, np.asarray(has_mask, np.float32)),
        )
        return all_four(whole, embedding, prompts)

    return run


@pytest.fixture(scope="module")
def embedding() -> Floats:
    return uniform((1, 256, 64, 64), 9).astype(np.float32)


def close(one: list[Floats], other: list[Floats]) -> bool:
    """Equal but for the order of sums: relative to the largest value."""
    return all(
        a.shape == b.shape and np.abs(a - b).max() < 1e-4 * np.abs(b).max()
        for a, b in zip(one, other, strict=True)
    )


COORDS = [[(30, 40), (90, 200)], [(10, 250), (128, 128)], [(0, 0), (255, 3)]]
LABELS = [[2, 3], [1, 0], [1, -1]]


class TestMaskDecoder:
    def test_n_prompts_in_one_call_are_n_calls(self, decode: Run, embedding: Floats) -> None:
        together = decode(embedding, COORDS, LABELS)
        assert [a.shape for a in together] == [(3, 4, 256, 256), (3, 4)]
        for i in range(3):
            alone = decode(embedding, COORDS[i : i + 1], LABELS[i : i + 1])
            assert close([a[i : i + 1] for a in together], alone)
        assert not close([a[:1] for a in together], [a[1:2] for a in together])

    def test_one_mask_for_all_and_one_for_each(self, decode: Run, embedding: Floats) -> None:
        mask = 5 * uniform((1, 1, 256, 256), 11).astype(np.float32)
        shared = decode(embedding, COORDS, LABELS, mask, [1])
        each = decode(embedding, COORDS, LABELS, np.repeat(mask, 3, axis=0), [1, 1, 1])
        assert close(shared, each)
        none = decode(embedding, COORDS, LABELS)
        assert not close(shared, none)
        mixed = decode(embedding, COORDS, LABELS, np.repeat(mask, 3, axis=0), [0, 1, 0])
        assert close([a[1:2] for a in mixed], [a[1:2] for a in shared])
        assert close([a[::2] for a in mixed], [a[::2] for a in none])

    def test_what_no_mask_says_does_not_matter(self, decode: Run, embedding: Floats) -> None:
        noise = 5 * uniform((1, 1, 256, 256), 12).astype(np.float32)
        silent = decode(embedding, COORDS, LABELS, noise, [0])
        assert close(silent, decode(embedding, COORDS, LABELS))

    def test_no_points_but_a_mask(self, decode: Run, embedding: Floats) -> None:
        mask = 5 * uniform((2, 1, 256, 256), 13).astype(np.float32)
        found = decode(embedding, np.zeros((2, 0, 2)), np.zeros((2, 0)), mask, [1, 1])
        assert [a.shape for a in found] == [(2, 4, 256, 256), (2, 4)]
        assert all(np.isfinite(a).all() for a in found)
        alone = decode(embedding, np.zeros((1, 0, 2)), np.zeros((1, 0)), mask[1:], [1])
        assert close([a[1:] for a in found], alone)

    def test_the_padding_point_has_no_place(self, decode: Run, embedding: Floats) -> None:
        here = decode(embedding, [[(9, 9), (0, 0)]], [[1, -1]])
        there = decode(embedding, [[(9, 9), (200, 100)]], [[1, -1]])
        assert close(here, there)
        assert not close(here, decode(embedding, [[(9, 9), (0, 0)]], [[1, 0]]))

    def test_the_order_of_points_does_not_matter(self, decode: Run, embedding: Floats) -> None:
        one = decode(embedding, [[(9, 9), (50, 60)]], [[1, 0]])
        assert close(one, decode(embedding, [[(50, 60), (9, 9)]], [[0, 1]]))
        assert not close(one, decode(embedding, [[(50, 60), (9, 9)]], [[1, 0]]))

    def test_against_the_definition(
        self, decode: Run, embedding: Floats, lite_weights: StateDict
    ) -> None:
        mask = 5 * uniform((1, 1, 256, 256), 14).astype(np.float32)
        for given in (None, mask):
            found = decode(embedding, COORDS[1:2], LABELS[1:2], given, [0 if given is None else 1])
            official = NaiveDecoder(lite_weights, 256)
            expected = official(embedding[0], COORDS[1], LABELS[1], given)
            assert close([a[0] for a in found], list(expected))

    def test_random_prompts_against_the_definition(
        self, decode: Run, embedding: Floats, lite_weights: StateDict
    ) -> None:
        """Nothing to tens of points: sums in another order, as exact as before for any number."""
        random = np.random.default_rng(15)
        official = NaiveDecoder(lite_weights, 256)
        for count in (0, 1, 2, 5, 13, 40):
            coords = random.uniform(-20, 280, (count, 2))
            labels = random.integers(-1, 4, count)
            mask = 5 * uniform((1, 1, 256, 256), 50 + count).astype(np.float32)
            given = mask if random.random() < 0.5 or count == 0 else None
            found = decode(embedding, [coords], [labels], given, [0 if given is None else 1])
            expected = official(embedding[0], coords.astype(np.float32), labels, given)
            assert close([a[0] for a in found], list(expected))

    def test_only_the_masks_that_are_asked_for(
        self, decode: Run, embedding: Floats, lite_graphs: Graphs
    ) -> None:
        session = opened(lite_graphs)
        side = session.image_side(embedding, MaskPrompts.none(256))
        points = np.array(COORDS, np.float32), np.array(LABELS, np.int32)
        logits, iou = decode(embedding, COORDS, LABELS)
        for tokens in [(0,), (1, 2, 3), (3, 1), (2, 2)]:
            some, same = session.decode(side, Prompts(*points), tokens)
            assert close([some, same], [logits[:, tokens], iou])

    def test_another_grid(self, lite_weights: StateDict, tmp_path: Path) -> None:
        """Of a picture of 112 pixels: nothing in the decoder is tied to 64 tokens."""
        side, decoder = tmp_path / "side.onnx", tmp_path / "decoder.onnx"
        assert image_side.build(Weights(lite_weights), 7).save(side) is None
        assert mask_decoder.build(Weights(lite_weights), 112, 7).save(decoder) is None
        verify_graph(side)
        verify_graph(decoder)
        picture = uniform((1, 256, 7, 7), 19).astype(np.float32)
        coords = np.array([[(9, 100), (70, 30)]], np.float32)
        labels = np.array([[1, 0]], np.int32)
        mask = 5 * uniform((1, 1, 28, 28), 20).astype(np.float32)
        prompts = Prompts(coords, labels, MaskPrompts(mask, np.ones(1, np.float32)))
        found = all_four(opened(Graphs(side, side, decoder)), picture, prompts)
        assert [a.shape for a in found] == [(1, 4, 28, 28), (1, 4)]
        official = NaiveDecoder(lite_weights, 112, grid=7)
        assert close([a[0] for a in found], list(official(picture[0], coords[0], labels[0], mask)))

    def test_dense_positions_are_those_of_points(self, lite_weights: StateDict) -> None:
        """The encoding of cell (row, column) is that of the point at its centre."""
        net = Net("test", Weights(lite_weights))
        with net.scope("prompt_encoder"):
            dense = encoding_of_cells(net, 64).reshape(64, 64, 256)
        official = NaiveDecoder(lite_weights, 256)
        for row, column in [(0, 0), (3, 60), (63, 1), (63, 63)]:
            point = official.position((column + 0.5) / 64, (row + 0.5) / 64)
            np.testing.assert_allclose(dense[row, column], point, atol=1e-6)


class NaiveDecoder:
    """segment-anything's prompt encoder and mask decoder for one prompt, in float64."""

    def __init__(self, weights: StateDict, image_size: int, grid: int = 64) -> None:
        self.w = {key: array.astype(np.float64) for key, array in weights.items()}
        self.size, self.grid = image_size, grid

    def __call__(
        self, embedding: Floats, coords: Any, labels: Any, mask: Floats | None
    ) -> tuple[Floats, Floats]:
        d = "mask_decoder."
        sparse = [self.point(xy, label) for xy, label in zip(coords, labels, strict=True)]
        keys = (embedding + self.dense(mask)).reshape(256, -1).T
        grid = self.grid
        pe = np.stack(
            [
                self.position((column + 0.5) / grid, (row + 0.5) / grid)
                for row in range(grid)
                for column in range(grid)
            ]
        )
        learned = [*self.w[f"{d}iou_token.weight"], *self.w[f"{d}mask_tokens.weight"]]
        tokens = np.stack([*learned, *sparse])
        queries = tokens
        for layer in range(2):
            queries, keys = self.block(
                f"{d}transformer.layers.{layer}.", queries, keys, tokens, pe, layer == 0
            )
        t = f"{d}transformer."
        attended = self.attention(
            f"{t}final_attn_token_to_image.", queries + tokens, keys + pe, keys
        )
        queries = self.norm(f"{t}norm_final_attn", queries + attended)
        up = self.transposed(f"{d}output_upscaling.0", keys.T.reshape(256, grid, grid))
        up = self.norm(f"{d}output_upscaling.1", up.transpose(1, 2, 0), 1e-6).transpose(2, 0, 1)
        up = gelu(self.transposed(f"{d}output_upscaling.3", gelu(up)))
        logits = [
            np.tensordot(self.mlp(f"{d}output_hypernetworks_mlps.{i}.", queries[1 + i]), up, 1)
            for i in range(4)
        ]
        return np.stack(logits), self.mlp(f"{d}iou_prediction_head.", queries[0])

    def position(self, x: float, y: float) -> Floats:
        """Of a place in 0..1."""
        matrix = self.w["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
        angle = 2 * np.pi * (np.array([2 * x - 1, 2 * y - 1]) @ matrix)
        return np.concatenate([np.sin(angle), np.cos(angle)])

    def point(self, xy: tuple[float, float], label: int) -> Floats:
        p = "prompt_encoder."
        if label == -1:
            return self.w[f"{p}not_a_point_embed.weight"][0]
        place = self.position((xy[0] + 0.5) / self.size, (xy[1] + 0.5) / self.size)
        return place + self.w[f"{p}point_embeddings.{label}.weight"][0]

    def dense(self, mask: Floats | None) -> Floats:
        p = "prompt_encoder."
        if mask is None:
            nothing = self.w[f"{p}no_mask_embed.weight"].T[:, :, None]
            return np.broadcast_to(nothing, (256, self.grid, self.grid))
        x = mask[0].astype(np.float64)
        for conv, norm in (("0", "1"), ("3", "4")):
            weight = self.w[f"{p}mask_downscaling.{conv}.weight"]
            blocks = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2)
            x = np.einsum("iyaxb,oiab->oyx", blocks, weight)
            x = x + self.w[f"{p}mask_downscaling.{conv}.bias"][:, None, None]
            x = self.norm(f"{p}mask_downscaling.{norm}", x.transpose(1, 2, 0), 1e-6)
            x = gelu(x.transpose(2, 0, 1))
        weight = self.w[f"{p}mask_downscaling.6.weight"][:, :, 0, 0]
        return np.tensordot(weight, x, 1) + self.w[f"{p}mask_downscaling.6.bias"][:, None, None]

    def block(
        self, name: str, queries: Floats, keys: Floats, tokens: Floats, pe: Floats, first: bool
    ) -> tuple[Floats, Floats]:
        """transformer.py, ``TwoWayAttentionBlock.forward``."""
        if first:
            queries = self.attention(f"{name}self_attn.", queries, queries, queries)
        else:
            q = queries + tokens
            queries = queries + self.attention(f"{name}self_attn.", q, q, queries)
        queries = self.norm(f"{name}norm1", queries)
        q, k = queries + tokens, keys + pe
        queries = queries + self.attention(f"{name}cross_attn_token_to_image.", q, k, keys)
        queries = self.norm(f"{name}norm2", queries)
        hidden = np.maximum(self.linear(f"{name}mlp.lin1", queries), 0)
        queries = self.norm(f"{name}norm3", queries + self.linear(f"{name}mlp.lin2", hidden))
        q, k = queries + tokens, keys + pe
        keys = keys + self.attention(f"{name}cross_attn_image_to_token.", k, q, queries)
        return queries, self.norm(f"{name}norm4", keys)

    def attention(self, name: str, q: Floats, k: Floats, v: Floats) -> Floats:
        q, k, v = (self.linear(f"{name}{x}_proj", y) for x, y in (("q", q), ("k", k), ("v", v)))
        heads = zip(*(np.split(x, 8, axis=1) for x in (q, k, v)), strict=True)
        mixed = [softmax(a @ b.T / math.sqrt(a.shape[1])) @ c for a, b, c in heads]
        return self.linear(f"{name}out_proj", np.concatenate(mixed, axis=1))

    def mlp(self, name: str, x: Floats) -> Floats:
        for layer in range(3):
            x = self.linear(f"{name}layers.{layer}", x)
            x = np.maximum(x, 0) if layer < 2 else x
        return x

    def linear(self, name: str, x: Floats) -> Floats:
        return np.asarray(x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"])

    def norm(self, name: str, x: Floats, eps: float = 1e-5) -> Floats:
        return layer_norm(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def transposed(self, name: str, x: Floats) -> Floats:
        """ConvTranspose2d of kernel 2 and stride 2."""
        weight = self.w[f"{name}.weight"]  # (in, out, 2, 2)
        result = np.empty((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
        for a, b in itertools.product(range(2), range(2)):
            result[:, a::2, b::2] = np.einsum("io,iyx->oyx", weight[:, :, a, b], x, optimize=True)
        return result + self.w[f"{name}.bias"][:, None, None]


def gelu(x: Floats) -> Floats:
    flat = (x * math.sqrt(0.5)).ravel().tolist()
    erf = np.fromiter(map(math.erf, flat), np.float64, len(flat)).reshape(x.shape)
    return np.asarray(x * 0.5 * (1 + erf))
