"""Tensors promised to a graph: what is noted of wrong ones, and that none is read too early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import ExportError
from edgesam_export.graphs.net import FLOAT, Net
from edgesam_export.graphs.weights import Promise, Weights


class Counted(Mapping[str, NDArray[Any]]):
    """Tensors that count how often each is read."""

    def __init__(self, tensors: dict[str, NDArray[Any]]) -> None:
        self.tensors = tensors
        self.reads: list[str] = []

    def __getitem__(self, key: str) -> NDArray[Any]:
        self.reads.append(key)
        return self.tensors[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def counted(**shapes: tuple[int, ...]) -> tuple[Counted, Weights]:
    arrays = {
        key: 1 + np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for key, shape in shapes.items()
    }
    tensors = Counted(arrays)
    return tensors, Weights(tensors, shapes)


class TestTake:
    def test_a_right_one_is_only_noted_as_taken(self) -> None:
        tensors, weights = counted(a=(2, 3), b=(4,))
        promise = weights.take("a", (2, 3))
        assert promise.shape == (2, 3)
        assert (weights.taken, weights.missing, weights.misshapen) == ({"a"}, [], [])
        np.testing.assert_array_equal(promise.read(), [[1, 2, 3], [4, 5, 6]])
        assert tensors.reads == ["a"]

    def test_a_missing_one_is_noted_and_stands_in_as_zeros(self) -> None:
        tensors, weights = counted(a=(2, 3))
        found = weights.take("b", (2, 2)).read()
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.zeros((2, 2)))
        assert weights.missing == ["b"]
        assert weights.misshapen == []
        assert weights.taken == {"b"}
        assert tensors.reads == []

    @pytest.mark.parametrize("asked", [(3, 2), (6,), (2, 3, 1), (1, 2, 3), (2, 4), ()])
    def test_a_misshapen_one_likewise(self, asked: tuple[int, ...]) -> None:
        tensors, weights = counted(a=(2, 3))
        found = weights.take("a", asked).read()
        assert found.shape == asked
        assert not found.any()
        assert weights.misshapen == [f"a (2, 3) instead of {asked}"]
        assert weights.missing == []
        assert weights.taken == {"a"}
        assert tensors.reads == []

    def test_what_is_asked_for_twice_is_wrong_once(self) -> None:
        """Queries, keys and values are three parts of one tensor."""
        _, weights = counted(a=(2, 3))
        for _ in range(3):
            weights.take("a", (2, 4))
            weights.take("b", (1,))
        assert weights.misshapen == ["a (2, 3) instead of (2, 4)"]
        assert weights.missing == ["b"]

    def test_the_order_is_the_networks(self) -> None:
        _, weights = counted()
        for key in "zay":
            weights.take(key, (1,))
        assert weights.missing == ["z", "a", "y"]

    def test_shapes_come_from_the_tensors_where_nobody_says_them(self) -> None:
        weights = Weights({"a": np.ones((2, 3), np.float32), "b": np.array(1.0)})
        weights.take("a", (2, 3))
        weights.take("b", ())
        assert (weights.missing, weights.misshapen) == ([], [])

    def test_a_shape_that_is_known_is_not_read_for(self) -> None:
        tensors, weights = counted(a=(2, 3), b=(3,))
        for key in "abc":
            weights.take(key, (2, 3))
        assert tensors.reads == []


class TestPromise:
    def test_each_read_is_a_new_one(self) -> None:
        tensors, weights = counted(a=(2, 3))
        promise = weights.take("a", (2, 3))
        promise.read()
        promise.read()
        assert tensors.reads == ["a", "a"]

    def test_transposed(self) -> None:
        tensors, weights = counted(a=(2, 3), b=(2, 3, 5), c=(4,))
        flat, deep, line = (
            weights.take(k, s).T for k, s in [("a", (2, 3)), ("b", (2, 3, 5)), ("c", (4,))]
        )
        assert (flat.shape, deep.shape, line.shape) == ((3, 2), (5, 3, 2), (4,))
        assert tensors.reads == []
        np.testing.assert_array_equal(flat.read(), [[1, 4], [2, 5], [3, 6]])
        assert deep.read().shape == (5, 3, 2)
        assert line.read().shape == (4,)

    def test_changes_are_put_off_too_and_follow_each_other(self) -> None:
        tensors, weights = counted(a=(2, 3))
        calls: list[str] = []

        def change(array: NDArray[np.float32]) -> NDArray[np.float32]:
            calls.append("change")
            return array[:1] * 2

        promise = weights.take("a", (2, 3)).map(change, 1, 3).T.map(np.ravel, 3)
        assert promise.shape == (3,)
        assert (tensors.reads, calls) == ([], [])
        np.testing.assert_array_equal(promise.read(), [2, 4, 6])
        assert (tensors.reads, calls) == (["a"], ["change"])

    def test_a_change_leaves_the_first_promise_alone(self) -> None:
        _, weights = counted(a=(2, 2))
        whole = weights.take("a", (2, 2))
        whole.map(lambda a: a * 0, 2, 2).read()
        np.testing.assert_array_equal(whole.read(), [[1, 2], [3, 4]])


class TestValues:
    @pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "bool"])
    def test_any_type_becomes_float32(self, dtype: str) -> None:
        weights = Weights({"a": np.array([1, 0, 1]).astype(dtype)})
        found = weights.take("a", (3,)).read()
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, [1, 0, 1])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e300])
    def test_what_is_not_finite_in_float32_is_refused_when_it_is_read(self, value: float) -> None:
        weights = Weights({"some.key": np.array([[0.0, value]]), "other": np.zeros(2)})
        promise = weights.take("some.key", (1, 2))
        weights.take("other", (2,)).read()
        with pytest.raises(ExportError) as raised:
            promise.T.read()
        assert str(raised.value) == (
            "the tensor some.key has values that are not finite: the checkpoint is damaged"
        )

    def test_the_largest_float32_passes(self) -> None:
        largest = float(np.finfo(np.float32).max)
        assert Weights({"a": np.array([largest])}).take("a", (1,)).read()[0] == largest


class TestNet:
    """What a graph does with promises."""

    def test_nothing_is_read_before_it_is_saved_and_then_once(self, tmp_path: Path) -> None:
        shapes = {"a.weight": (4, 3), "a.bias": (4,), "n.weight": (4,), "n.bias": (4,)}
        tensors, weights = counted(**shapes)
        net = Net("test", weights)
        x = net.linear(net.input("x", FLOAT, (2, 3)), "a", 3, 4)
        net.output("y", net.layer_norm(x, "n", 4), (2, 4))
        assert tensors.reads == []
        net.save(tmp_path / "g.onnx")
        assert sorted(tensors.reads) == sorted(tensors.tensors)

    def test_a_prefix_and_scopes_make_the_key(self) -> None:
        _, weights = counted(**{"enc.a.b.w": (1,)})
        net = Net("test", weights, "enc.")
        with net.scope("a"), net.scope("b"):
            assert net.weight("w", 1) == 1
        with net.scope("a"):
            net.promise("w", 1)
        assert weights.missing == ["enc.a.w"]

    def test_the_key_of_values_that_are_not_finite_is_said_when_saving(
        self, tmp_path: Path
    ) -> None:
        spoiled: dict[str, NDArray[Any]]
        spoiled = {"enc.a.weight": np.full((4, 3), np.nan, np.float32), "enc.a.bias": np.zeros(4)}
        net = Net("test", Weights(spoiled), "enc.")
        net.output("y", net.linear(net.input("x", FLOAT, (2, 3)), "a", 3, 4), (2, 4))
        with pytest.raises(ExportError, match=r"the tensor enc\.a\.weight has values that are not"):
            net.save(tmp_path / "g.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_a_promise_with_a_shape_of_its_own(self) -> None:
        promise = Promise((2, 1), lambda: np.ones((2, 1), np.float32))
        value = Net("test", Weights({})).constant("a", promise)
        assert value.shape is not None
        assert [*value.shape] == [2, 1]
