"""SAM's ViT: what is read off shapes, and the graph, run, against the definition written out."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgesam_bench.figures import relative_l2
from edgesam_bench.random_weights import PEAKED, random_state_dict, uniform
from edgesam_bench.speed.work import macs
from edgesam_export.graphs import vit
from edgesam_export.graphs.vit import ViT
from edgesam_export.graphs.weights import Weights
from edgesam_export.precision.half import halve
from edgesam_export.verify import verify_graph

onnxruntime = pytest.importorskip("onnxruntime")

Floats = NDArray[Any]
StateDict = dict[str, Floats]
Shapes = dict[str, tuple[int, ...]]

GOLDEN = Path(__file__).parent.parent / "golden"
PRE = "image_encoder."
TOLERANCE = 1e-5


def official(model: str) -> Shapes:
    """Shapes of a model's checkpoint, from the official code."""
    found = json.loads((GOLDEN / "shapes.json").read_text("utf-8"))[model]
    return {key: tuple(shape) for key, shape in found.items()}


def encoder_shapes(arch: ViT) -> Shapes:
    """Of the image encoder of a ViT, as segment-anything names them."""
    width, head = arch.width, arch.head_width
    shapes: Shapes = {
        "pos_embed": (1, arch.grid, arch.grid, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(arch.depth):
        side = arch.grid if i in arch.global_blocks else arch.window
        block: Shapes = {
            "attn.rel_pos_h": (2 * side - 1, head),
            "attn.rel_pos_w": (2 * side - 1, head),
        }
        for layer, outputs, inputs in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.lin1", 4 * width, width),
            ("mlp.lin2", width, 4 * width),
        ):
            block |= {f"{layer}.weight": (outputs, inputs), f"{layer}.bias": (outputs,)}
        for norm in ("norm1", "norm2"):
            block |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    shapes |= {"neck.0.weight": (256, width, 1, 1), "neck.2.weight": (256, 256, 3, 3)}
    shapes |= {f"neck.{i}.{name}": (256,) for i in (1, 3) for name in ("weight", "bias")}
    return {PRE + name: shape for name, shape in shapes.items()}


def tiny(grid: int, window: int, blocks: str, heads: int = 3, head: int = 16) -> ViT:
    """``blocks`` has a w for each with windows, a g for each over the whole grid."""
    whole = frozenset(i for i, kind in enumerate(blocks) if kind == "g")
    return ViT(heads * head, heads, len(blocks), window, whole, grid)


class TestRecognise:
    @pytest.mark.parametrize(
        ("model", "width", "heads", "depth", "whole"),
        [
            ("sam-vit-b", 768, 12, 12, {2, 5, 8, 11}),
            ("sam-vit-l", 1024, 16, 24, {5, 11, 17, 23}),
            ("sam-vit-h", 1280, 16, 32, {7, 15, 23, 31}),
        ],
    )
    def test_the_official_sizes(
        self, model: str, width: int, heads: int, depth: int, whole: set[int]
    ) -> None:
        found = vit.recognise(official(model))
        assert found == ViT(width, heads, depth, 14, frozenset(whole), 64)
        assert found.image_size == 1024
        assert found.head_width == width // heads

    @pytest.mark.parametrize(
        "arch",
        [
            tiny(8, 3, "wg"),
            tiny(16, 7, "wwgwwg", heads=2, head=32),
            tiny(8, 14, "wg"),  # windows larger than the grid: one padded window
            tiny(5, 2, "ww"),
            tiny(8, 0, "ggg"),
            tiny(8, 3, "gw", heads=1, head=40),
        ],
    )
    def test_a_hand_made_one(self, arch: ViT) -> None:
        assert vit.recognise(encoder_shapes(arch)) == arch

    def test_image_size_follows_the_grid(self) -> None:
        found = vit.recognise(encoder_shapes(tiny(11, 3, "wg")))
        assert found is not None
        assert (found.grid, found.image_size) == (11, 176)

    def test_without_relative_positions_it_is_none(self) -> None:
        shapes = encoder_shapes(tiny(8, 3, "wg"))
        assert vit.recognise({k: v for k, v in shapes.items() if "rel_pos" not in k}) is None

    def test_one_that_lacks_some_is_still_known(self) -> None:
        """What is missing is said later, by its key."""
        shapes = encoder_shapes(tiny(8, 3, "wgw"))
        lacking = {k: v for k, v in shapes.items() if "blocks.0.attn.rel_pos" not in k}
        assert vit.recognise(lacking) == tiny(8, 3, "wgw")

    def test_one_whose_windows_cannot_be_told_asks_for_the_whole_grids(self) -> None:
        shapes = encoder_shapes(tiny(8, 0, "ggg"))
        del shapes[f"{PRE}blocks.1.attn.rel_pos_h"]
        found = vit.recognise(shapes)
        assert found == tiny(8, 0, "ggg")

    @pytest.mark.parametrize(
        "shape",
        [
            (1, 8, 8, 49),  # no whole number of heads
            (1, 64, 48),  # a plain ViT's: a list of tokens
            (1, 65, 48),
            (2, 8, 8, 48),
            (1, 0, 0, 48),
            (1, 1 << 20, 0, 48),  # costs no byte in a file, and 35 TB to lay out
            (1, 8, 8, 0),
            (48,),
            (),
        ],
    )
    def test_places_of_another_kind(self, shape: tuple[int, ...]) -> None:
        shapes = encoder_shapes(tiny(8, 3, "wg"))
        assert vit.recognise({**shapes, f"{PRE}pos_embed": shape}) is None

    @pytest.mark.parametrize("shape", [(1 << 40, 16), (2_000_001, 16), (0, 16), (5,), ()])
    def test_windows_of_an_impossible_size_are_not_believed(self, shape: tuple[int, ...]) -> None:
        shapes = encoder_shapes(tiny(8, 3, "wgw"))
        shapes |= {f"{PRE}blocks.{i}.attn.rel_pos_h": shape for i in (0, 2)}
        found = vit.recognise(shapes)
        assert found is None or found.window <= 64

    def test_the_commonest_window_is_taken(self) -> None:
        shapes = encoder_shapes(tiny(8, 3, "wwgw"))
        odd = {**shapes, f"{PRE}blocks.1.attn.rel_pos_h": (9, 16)}
        assert vit.recognise(odd) == tiny(8, 3, "wwgw")

    @pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
    def test_other_families(self, model: str) -> None:
        assert vit.recognise(official(model)) is None

    def test_other_names(self) -> None:
        assert vit.recognise({}) is None
        shapes = encoder_shapes(tiny(8, 3, "wg"))
        bare = {key.removeprefix(PRE): shape for key, shape in shapes.items()}
        assert vit.recognise(bare) is None
        hugging = {f"vision_encoder.{key}": shape for key, shape in bare.items()}
        assert vit.recognise(hugging) is None


class NaiveViT:
    """segment-anything's ``ImageEncoderViT`` in float64, token by token.

    Args:
        weights: by the checkpoint's keys.
        arch: what they are of.
        mistake: one to make on purpose.
    """

    def __init__(self, weights: Mapping[str, Floats], arch: ViT, mistake: str = "") -> None:
        self.w = {k.removeprefix(PRE): a.astype(np.float64) for k, a in weights.items()}
        self.arch = arch
        self.mistake = mistake

    def __call__(self, image: Floats) -> Floats:
        grid, width = self.arch.grid, self.arch.width
        x = np.empty((grid, grid, width))
        kernel, bias = self.w["patch_embed.proj.weight"], self.w["patch_embed.proj.bias"]
        for row, column in itertools.product(range(grid), range(grid)):
            patch = image[0, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            x[row, column] = (kernel * patch).sum(axis=(1, 2, 3)) + bias
        x = x + self.w["pos_embed"][0]
        for index in range(self.arch.depth):
            x = self.block(f"blocks.{index}.", x, index in self.arch.global_blocks)
        return self.neck(x)[None]

    def block(self, name: str, x: Floats, whole: bool) -> Floats:
        shortcut = x
        if whole:
            x = self.attention(f"{name}attn.", self.norm(f"{name}norm1", x))
        else:
            x = self.windows(name, x)
        x = shortcut + x
        hidden = gelu(self.linear(f"{name}mlp.lin1", self.norm(f"{name}norm2", x)))
        return x + self.linear(f"{name}mlp.lin2", hidden)

    def windows(self, name: str, x: Floats) -> Floats:
        """``window_partition``, attention, ``window_unpartition``."""
        grid, window = self.arch.grid, self.arch.window
        count = math.ceil(grid / window)
        padded = np.zeros((count * window, count * window, self.arch.width))
        if self.mistake == "padding before the norm":
            padded[:grid, :grid] = x
            padded = self.norm(f"{name}norm1", padded)
        else:
            padded[:grid, :grid] = self.norm(f"{name}norm1", x)
        result = np.empty_like(padded)
        for top, left in itertools.product(range(0, count * window, window), repeat=2):
            here = (slice(top, top + window), slice(left, left + window))
            inside = min(window, grid - top), min(window, grid - left)
            result[here] = self.attention(f"{name}attn.", padded[here], inside)
        return result[:grid, :grid]

    def attention(self, name: str, x: Floats, inside: tuple[int, int] | None = None) -> Floats:
        """Of a square of tokens; of these, some rows and columns lie inside the picture."""
        side, heads, head = len(x), self.arch.heads, self.arch.head_width
        qkv = self.linear(f"{name}qkv", x).reshape(side, side, 3, heads, head)
        by_row, by_column = self.w[f"{name}rel_pos_h"], self.w[f"{name}rel_pos_w"]
        if self.mistake == "rows for columns":
            by_row, by_column = by_column, by_row
        places = list(itertools.product(range(side), repeat=2))
        result = np.empty((side, side, heads, head))
        for which in range(heads):
            q, k, v = (qkv[:, :, part, which] for part in range(3))
            for qy, qx in places:
                query = q[qy, qx]
                scores = np.empty((side, side))
                for ky, kx in places:
                    dy, dx = qy - ky, qx - kx
                    if self.mistake == "keys to queries":
                        dy, dx = -dy, -dx
                    place = by_row[dy + side - 1] + by_column[dx + side - 1]
                    scale = 1 / math.sqrt(head)
                    score = scale * query @ k[ky, kx]
                    if self.mistake == "positions scaled":
                        scores[ky, kx] = score + scale * query @ place
                    elif self.mistake == "no positions":
                        scores[ky, kx] = score
                    else:
                        scores[ky, kx] = score + query @ place
                if self.mistake == "padding left out" and inside is not None:
                    scores[inside[0] :] = -np.inf
                    scores[:, inside[1] :] = -np.inf
                share = np.exp(scores - scores.max())
                share /= share.sum()
                result[qy, qx, which] = np.tensordot(share, v, 2)
        return self.linear(f"{name}proj", result.reshape(side, side, heads * head))

    def neck(self, x: Floats) -> Floats:
        grid = self.arch.grid
        x = x @ self.w["neck.0.weight"][:, :, 0, 0].T
        x = self.norm("neck.1", x)
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        kernel = self.w["neck.2.weight"]
        y = np.zeros_like(x)
        for dy, dx in itertools.product(range(3), range(3)):
            y += padded[dy : dy + grid, dx : dx + grid] @ kernel[:, :, dy, dx].T
        return self.norm("neck.3", y).transpose(2, 0, 1)

    def linear(self, name: str, x: Floats) -> Floats:
        return np.asarray(x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"])

    def norm(self, name: str, x: Floats) -> Floats:
        centred: Floats = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return np.asarray(centred / spread * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])


def gelu(x: Floats) -> Floats:
    erf = np.array([math.erf(value * math.sqrt(0.5)) for value in x.ravel()]).reshape(x.shape)
    return np.asarray(x * 0.5 * (1 + erf))


def drawn(arch: ViT, seed: int = 5) -> StateDict:
    return random_state_dict(encoder_shapes(arch), seed, PEAKED)


def picture(arch: ViT) -> NDArray[np.float32]:
    side = arch.image_size
    return (2 * uniform((1, 3, side, side), 6)).astype(np.float32)


def save(arch: ViT, weights: StateDict, path: Path) -> onnx.ModelProto:
    taken = Weights(weights)
    assert vit.build(arch, taken).save(path) is None
    assert (taken.missing, taken.misshapen, taken.taken) == ([], [], set(weights))
    verify_graph(path)
    return onnx.load(path)


def run(path: Path, image: Floats) -> Floats:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: Floats = opened.run(["image_embeddings"], {"image": image})[0]
    return result


def embedded(arch: ViT, weights: StateDict, path: Path) -> Floats:
    save(arch, weights, path)
    return run(path, picture(arch))


ARCHS = {
    "padded windows": tiny(5, 3, "wgw"),
    "windows that fit": tiny(4, 2, "wgw"),
    "one window, padded": tiny(3, 5, "ww"),
    "one window that fits": tiny(3, 3, "g"),
    "whole grid only": tiny(4, 0, "gg"),
    "no whole grid": tiny(5, 2, "ww"),
    "windows of one token": tiny(3, 1, "wg"),
    "one head": tiny(4, 3, "wg", heads=1, head=24),
}


class TestDefinition:
    @pytest.mark.parametrize("name", ARCHS)
    def test_the_embedding(self, name: str, tmp_path: Path) -> None:
        arch = ARCHS[name]
        weights = drawn(arch)
        expected = NaiveViT(weights, arch)(picture(arch))
        found = embedded(arch, weights, tmp_path / "g.onnx")
        assert found.shape == expected.shape == (1, 256, arch.grid, arch.grid)
        assert relative_l2(expected, found) < TOLERANCE

    @pytest.mark.parametrize(
        ("name", "mistake"),
        [
            ("padded windows", "padding before the norm"),
            ("padded windows", "padding left out"),
            *(
                (name, mistake)
                for name in ("padded windows", "whole grid only", "no whole grid")
                for mistake in (
                    "positions scaled",
                    "no positions",
                    "keys to queries",
                    "rows for columns",
                )
            ),
        ],
    )
    def test_a_mistake_in_it_would_show(self, name: str, mistake: str) -> None:
        """Each costs a hundred times what is allowed above: nothing hides behind the tolerance."""
        arch = ARCHS[name]
        weights, image = drawn(arch), picture(arch)
        wrong = NaiveViT(weights, arch, mistake)(image)
        assert relative_l2(NaiveViT(weights, arch)(image), wrong) > 100 * TOLERANCE

    def test_norms_have_the_official_epsilon(self, tmp_path: Path) -> None:
        model = save(ARCHS["padded windows"], drawn(ARCHS["padded windows"]), tmp_path / "g.onnx")
        norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
        assert len(norms) == 3 * 2 + 2
        for node in norms:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            assert attributes["epsilon"] == pytest.approx(1e-6, rel=1e-6)
            assert attributes["axis"] == -1


class TestBlocks:
    """Queries and MLPs in blocks of rows: another order of work, the same numbers."""

    @pytest.mark.parametrize(
        ("rows", "row", "expected"),
        [
            (64, 1, 1),
            (64, (16 << 20) // 64, 1),
            (64, (16 << 20) // 64 + 1, 2),
            (64, 4 * 12 * 64**3, 64),  # ViT-B's scores: 12.6 MB for a row of queries
            (64, 4 * 16 * 64**3, 64),  # ViT-L's and ViT-H's: 16.8 MB
            (64, 4 * 5120 * 64, 8),  # ViT-H's MLP, 1.3 MB for a row
            (7, 16 << 20, 7),
            (12, 3 << 20, 3),  # four rows fit, five do not: blocks are equal
            (10, 7 << 20, 5),
            (5, 1 << 60, 5),
            (1, 1 << 60, 1),
        ],
    )
    def test_how_many(self, rows: int, row: int, expected: int) -> None:
        assert vit._BLOCK == 16 << 20
        assert vit._count(rows, row) == expected

    @pytest.mark.parametrize("name", ["padded windows", "whole grid only", "windows that fit"])
    def test_the_knob_changes_no_number(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arch = ARCHS[name]
        weights, image = drawn(arch), picture(arch)
        expected = NaiveViT(weights, arch)(image)
        found, softmaxes, gelus = [], [], []
        for i, block in enumerate((1, 4 * arch.heads * arch.grid**3 * 2, 1 << 40)):
            monkeypatch.setattr(vit, "_BLOCK", block)
            model = save(arch, weights, tmp_path / f"{i}.onnx")
            operators = [node.op_type for node in model.graph.node]
            softmaxes.append(operators.count("Softmax"))
            gelus.append(operators.count("Gelu"))
            found.append(run(tmp_path / f"{i}.onnx", image))
            assert relative_l2(expected, found[-1]) < TOLERANCE
        assert relative_l2(found[-1], found[0]) < 2e-6
        whole, windowed = len(arch.global_blocks), arch.depth - len(arch.global_blocks)
        rows = -(-arch.grid // arch.window) if windowed else 0
        assert softmaxes[0] == whole * arch.grid + windowed * rows
        assert softmaxes[-1] == whole + windowed * rows
        assert (gelus[0], gelus[-1]) == (arch.depth * arch.grid, arch.depth)
        assert softmaxes[0] >= softmaxes[1] >= softmaxes[-1]

    @pytest.mark.parametrize("name", ARCHS)
    def test_for_a_gpu_nothing_is_cut(self, name: str, tmp_path: Path) -> None:
        arch = ARCHS[name].for_gpu
        weights, image = drawn(arch), picture(arch)
        model = save(arch, weights, tmp_path / "g.onnx")
        operators = [node.op_type for node in model.graph.node]
        assert operators.count("Softmax") == operators.count("Gelu") == arch.depth
        assert not {"Split", "Concat"} & set(operators)
        found = run(tmp_path / "g.onnx", image)
        assert relative_l2(NaiveViT(weights, arch)(image), found) < TOLERANCE
        save(ARCHS[name], weights, tmp_path / "cut.onnx")
        assert relative_l2(run(tmp_path / "cut.onnx", image), found) < 2e-6

    def test_no_value_is_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """At no time are scores, or their positions, there for all queries of the grid."""
        arch = tiny(32, 14, "wg", heads=4)
        monkeypatch.setattr(vit, "_BLOCK", 1 << 20)
        save(arch, drawn(arch), tmp_path / "g.onnx")
        model = onnx.shape_inference.infer_shapes(
            onnx.load(tmp_path / "g.onnx"), strict_mode=True, data_prop=True
        )
        constants = {tensor.name for tensor in model.graph.initializer}
        sizes = {
            value.name: 4 * math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in model.graph.value_info
            if value.name not in constants
        }
        assert all(sizes.values()), "every shape is known"
        scores = {n: s for n, s in sizes.items() if "blocks.1" in n and "Softmax" in n}
        assert len(scores) == 16
        assert set(scores.values()) == {1 << 20}
        in_a_window = 4 * 4 * 3 * 14**4  # of a row of three windows
        assert max(sizes.values()) == in_a_window < 4 * arch.heads * arch.grid**4 / 8
        biases = {t.name: math.prod(t.dims) for t in model.graph.initializer if "rel_pos" in t.name}
        assert set(biases.values()) == {14 * 14 * 16, 32 * 32 * 16}, "no table of pairs of tokens"

    def test_padding_is_not_projected(self, tmp_path: Path) -> None:
        """Queries, keys and values are products of the picture's 25 tokens, not of 36."""
        arch = ARCHS["padded windows"]
        save(arch, drawn(arch), tmp_path / "g.onnx")
        model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "g.onnx"), data_prop=True)
        shapes = {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in model.graph.value_info
        }
        for part in "qkv":
            assert shapes[f"blocks.0.attn.qkv.{part}/MatMul"] == [1, 5, 5, 48]


class TestPictures:
    """For a GPU several are encoded in one run, each as if it were alone."""

    def pictures(self, arch: ViT) -> NDArray[np.float32]:
        side = arch.image_size
        return (2 * uniform((3, 3, side, side), 6)).astype(np.float32)

    def away(self, path: Path, images: NDArray[np.float32]) -> float:
        """How far a picture's embedding in company is from the one alone, at most."""
        alone = [run(path, one[None])[0] for one in images]
        assert relative_l2(alone[0], alone[1]) > 1e-2 < relative_l2(alone[1], alone[2])
        found = 0.0
        for count in range(1, len(images) + 1):
            together = run(path, images[:count])
            assert together.shape == (count, *alone[0].shape)
            pairs = zip(alone, together, strict=False)
            found = max(found, *(relative_l2(one, other) for one, other in pairs), 0.0)
        return found

    @pytest.mark.parametrize("name", ARCHS)
    def test_each_as_alone(self, name: str, tmp_path: Path) -> None:
        arch, path = ARCHS[name].for_gpu, tmp_path / "g.onnx"
        weights, images = drawn(arch), self.pictures(arch)
        save(arch, weights, path)
        assert self.away(path, images) < 2e-6
        for one, found in zip(images[::2], run(path, images)[::2], strict=True):
            assert relative_l2(NaiveViT(weights, arch)(one[None])[0], found) < TOLERANCE

    @pytest.mark.parametrize("name", ["padded windows", "whole grid only", "one window, padded"])
    @pytest.mark.parametrize(
        ("operator", "attribute", "right", "wrong"),
        [
            ("Transpose", "perm", [0, 2, 4, 1, 3, 5], [4, 0, 2, 1, 3, 5]),  # heads, then pictures
            ("Softmax", "axis", -1, 0),
        ],
    )
    def test_mixed_they_would_show(
        self, name: str, operator: str, attribute: str, right: object, wrong: object, tmp_path: Path
    ) -> None:
        arch, path = ARCHS[name].for_gpu, tmp_path / "g.onnx"
        model, spoilt = save(arch, drawn(arch), path), 0
        for node in model.graph.node:
            for each in node.attribute if node.op_type == operator else ():
                if onnx.helper.get_attribute_value(each) == right:
                    each.CopyFrom(onnx.helper.make_attribute(attribute, wrong))
                    spoilt += 1
        assert spoilt == arch.depth * (3 if operator == "Transpose" else 1)
        onnx.save(model, path)
        assert self.away(path, self.pictures(arch)) > 100 * 2e-6

    def test_their_number_alone_is_open(self, tmp_path: Path) -> None:
        arch = ARCHS["padded windows"]
        for each, count in ((arch, 1), (arch.for_gpu, "images")):
            graph = save(each, drawn(arch), tmp_path / "g.onnx").graph
            shapes = [
                [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
                for value in (*graph.input, *graph.output)
            ]
            assert shapes == [[count, 3, 80, 80], [count, 256, 5, 5]]
            assert "Shape" not in {node.op_type for node in graph.node}

    def test_each_is_as_much_work(self, tmp_path: Path) -> None:
        arch, path, cut = ARCHS["padded windows"], tmp_path / "g.onnx", tmp_path / "cut.onnx"
        weights = drawn(arch)
        save(arch.for_gpu, weights, path)
        save(arch, weights, cut)
        assert macs(path) == macs(cut) == macs(path, {"images": 3}) / 3

    def test_halved(self, tmp_path: Path) -> None:
        """By onnxruntime's kernels, which round in float16 where the graph says so."""
        arch, path = ARCHS["padded windows"].for_gpu, tmp_path / "g.onnx"
        net = vit.build(arch, Weights(drawn(arch)))
        halve(net)
        net.save(path)
        verify_graph(path)
        assert self.away(path, self.pictures(arch)) < 1e-3


class TestLayout:
    @pytest.mark.parametrize("model", ["sam-vit-b", "sam-vit-l", "sam-vit-h"])
    def test_the_official_sizes_are_laid_out_without_reading_a_tensor(self, model: str) -> None:
        shapes = {k: s for k, s in official(model).items() if k.startswith(PRE)}
        arch = vit.recognise(shapes)
        assert arch is not None

        class Unreadable(dict[str, Any]):
            def __missing__(self, key: str) -> Any:
                raise AssertionError(f"{key} is read")

        weights = Weights(Unreadable(), shapes)
        net = vit.build(arch, weights)
        assert (weights.missing, weights.misshapen) == ([], [])
        assert weights.taken == set(shapes)
        assert net.name == "vit_image_encoder"

    def test_every_tensor_matters(self, tmp_path: Path) -> None:
        """Any one of them the other way round gives another embedding."""
        arch = ARCHS["padded windows"]
        weights = drawn(arch)
        before = embedded(arch, weights, tmp_path / "g.onnx")
        for key in weights:
            changed = {**weights, key: np.flip(weights[key])}
            after = embedded(arch, changed, tmp_path / "g.onnx")
            assert relative_l2(before, after) > 1e-4, key
