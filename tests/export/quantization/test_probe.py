"""What is noted of each product, against the same computed by hand; where smoothing can go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam_bench.random_weights import uniform
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.quantization.probe import probe
from edgesam_export.quantization.products import Product, products_of

pytest.importorskip("onnxruntime")

SIDE, WIDTH = 12, 8
WEIGHTS: dict[str, NDArray[Any]] = {
    "patch.weight": uniform((WIDTH, 3, 3, 3), 1),
    "patch.bias": uniform((WIDTH,), 2),
    "norm.weight": uniform((WIDTH,), 3) + 2,
    "norm.bias": uniform((WIDTH,), 4),
    "fc.weight": uniform((5, WIDTH), 5),
    "fc.bias": uniform((5,), 6),
    "deep.weight": uniform((5, 1, 3, 3), 7),
}


def net() -> Net:
    """A convolution of stride 2, a norm, a linear layer, a depthwise convolution."""
    made = Net("probed", Weights(WEIGHTS))
    x = made.input("image", FLOAT, (1, 3, SIDE, SIDE))
    weight, bias = made.promise("patch.weight", WIDTH, 3, 3, 3), made.promise("patch.bias", WIDTH)
    x = made.conv(x, "patch", weight, bias, stride=2, pad=1)
    x = made.transpose(x, 0, 2, 3, 1)
    x = made.linear(made.layer_norm(x, "norm", WIDTH), "fc", WIDTH, 5)
    x = made.transpose(x, 0, 3, 1, 2)
    x = made.conv(x, "deep", made.promise("deep.weight", 5, 1, 3, 3), None, pad=1, groups=5)
    made.output("image_embeddings", x, (1, 5, SIDE // 2, SIDE // 2))
    return made


def by_name() -> dict[str, Product]:
    return {product.name: product for product in products_of(net())}


def picture(seed: int) -> NDArray[np.float32]:
    return uniform((1, 3, SIDE, SIDE), seed).astype(np.float32)


def patches(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """All windows of the convolution: (places, channels * taps)."""
    padded = np.pad(image[0], ((0, 0), (1, 1), (1, 1)))
    return np.array(
        [
            padded[:, y : y + 3, x : x + 3].ravel()
            for y in range(0, SIDE, 2)
            for x in range(0, SIDE, 2)
        ]
    )


def test_products() -> None:
    found = by_name()
    assert list(found) == ["patch/Conv", "fc/MatMul"], "a depthwise convolution is none"
    assert (found["patch/Conv"].taps, found["patch/Conv"].channels) == (9, 3)
    assert found["patch/Conv"].place is None
    assert found["fc/MatMul"].place == "norm"
    assert found["fc/MatMul"].has_bias
    np.testing.assert_array_equal(
        found["fc/MatMul"].weight, WEIGHTS["fc.weight"].T.astype(np.float32)
    )


def test_a_norm_that_something_else_reads_is_no_place() -> None:
    made = Net("shared", Weights(WEIGHTS))
    x = made.layer_norm(made.input("image", FLOAT, (4, WIDTH)), "norm", WIDTH)
    y = made.linear(x, "fc", WIDTH, 5)
    made.output("y", made.op("Concat", y, x, axis=-1), (4, WIDTH + 5))
    (product,) = products_of(made)
    assert product.place is None


def test_weights_of_two_products_are_left_alone() -> None:
    made = Net("twice", Weights(WEIGHTS))
    x = made.input("image", FLOAT, (4, WIDTH))
    made.output("y", made.add(*(made.linear(x, "fc", WIDTH, 5) for _ in range(2))), (4, 5))
    assert products_of(made) == []


def test_ranges_rows_and_work(tmp_path: Path) -> None:
    pictures = [picture(1), picture(2)]
    told: list[int] = []
    seen = probe(net, products_of(net()), pictures, 2, tmp_path, told.append)
    assert told == [1, 2]
    patch = seen["patch/Conv"]
    every = [image[0].reshape(3, -1) for image in pictures]
    np.testing.assert_array_equal(patch.lowest, np.min([e.min(axis=1) for e in every], axis=0))
    np.testing.assert_array_equal(patch.highest, np.max([e.max(axis=1) for e in every], axis=0))
    assert patch.work == (SIDE // 2) ** 2 * WIDTH * 27
    assert seen["fc/MatMul"].work == (SIDE // 2) ** 2 * WIDTH * 5
    # Every row is one of the picture's windows, and they are not all the same.
    known = {row.tobytes() for image in pictures for row in patches(image).astype(np.float32)}
    taken = {row.tobytes() for row in patch.rows}
    assert taken <= known
    assert len(taken) > 0.9 * len(known)
    assert patch.rows.shape == (512, 27)
    assert seen["fc/MatMul"].rows.shape == (512, WIDTH)


def test_the_rows_are_what_the_product_takes(tmp_path: Path) -> None:
    seen = probe(net, products_of(net()), [picture(1)], 1, tmp_path)
    product = by_name()["patch/Conv"]
    y = patches(picture(1)) @ product.weight + WEIGHTS["patch.bias"]
    centred = y - y.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    normed = normed * WEIGHTS["norm.weight"] + WEIGHTS["norm.bias"]
    rows = seen["fc/MatMul"].rows
    nearest = np.abs(rows[:, None] - normed[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-4


def test_the_same_again(tmp_path: Path) -> None:
    one, two = (
        probe(net, products_of(net()), [picture(1)], 1, tmp_path)["fc/MatMul"] for _ in range(2)
    )
    np.testing.assert_array_equal(one.rows, two.rows)


def test_smoothing_goes_where_it_changes_nothing(
    tmp_path: Path, lite_weights: dict[str, NDArray[Any]]
) -> None:
    """In a whole network: which places there are."""
    from edgesam_export.graphs import tiny_vit

    shapes = {key: array.shape for key, array in lite_weights.items()}
    arch = tiny_vit.recognise(shapes)
    assert arch is not None
    make: Callable[[], Net] = lambda: tiny_vit.build(arch, Weights(lite_weights))  # noqa: E731
    places = {product.name: product.place for product in products_of(make())}
    assert places["layers.1.blocks.0.attn.qkv/MatMul"] == "norm"
    assert places["layers.1.blocks.0.attn.proj/MatMul"] == "values"
    assert places["layers.1.blocks.0.mlp.fc1/MatMul"] == "norm"
    assert places["layers.1.blocks.0.mlp.fc2/MatMul"] is None
    assert places["neck.2/Conv"] == "norm"
