"""Prompts that can be meant, and one clear line for each that cannot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgesam import Prompt, PromptError

NAN, INF = math.nan, math.inf
POINT = {"points": [(1, 2)], "labels": [1]}


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({}, "give points with labels, a box or a mask_input"),
        ({"labels": [1]}, "labels without points"),
        ({"labels": [1], "box": (0, 0, 1, 1)}, "labels without points"),
        ({"points": [(1, 2)]}, "points without labels"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "1 points need 1 labels"),
        ({"points": [(1, 2), (3, 4)], "labels": [1]}, "2 points need 2 labels"),
        ({"points": [(1, 2)], "labels": 1}, "1 points need 1 labels"),
        ({"points": [(1, 2)], "labels": [[1]]}, "1 points need 1 labels"),
        ({"points": [], "labels": []}, "P at least 1"),
        ({"points": np.zeros((0, 2)), "labels": []}, "P at least 1"),
        ({"points": (1, 2), "labels": [1]}, r"must be \(P, 2\)"),
        ({"points": [(1, 2, 3)], "labels": [1]}, r"must be \(P, 2\)"),
        ({"points": [[(1, 2)]], "labels": [1]}, r"must be \(P, 2\)"),
        ({"points": [(1, 2), (3,)], "labels": [1, 1]}, "points must be numbers, all rows"),
        ({"points": [("a", "b")], "labels": [1]}, "points must be numbers"),
        ({"points": [(NAN, 2)], "labels": [1]}, "points must be finite"),
        ({"points": [(1, INF)], "labels": [1]}, "points must be finite"),
        ({"points": [(None, 2)], "labels": [1]}, "points must be finite"),
        ({"points": [(1e300, 2)], "labels": [1]}, "points must be pixels"),
        ({"points": [(10**400, 2)], "labels": [1]}, "points must be numbers"),
        ({"points": [(1, 2)], "labels": [2]}, "labels must be 1"),
        ({"points": [(1, 2)], "labels": [-1]}, "labels must be 1"),
        ({"points": [(1, 2)], "labels": [0.5]}, "labels must be 1"),
        ({"points": [(1, 2)], "labels": [NAN]}, "labels must be finite"),
        ({"points": [(1, 2)], "labels": ["in"]}, "labels must be numbers"),
        ({"box": (10, 0, 5, 5)}, "inverted"),
        ({"box": (0, 10, 5, 5)}, "inverted"),
        ({"box": (5, 5, 5, 9)}, "empty"),
        ({"box": (5, 5, 9, 5)}, "empty"),
        ({"box": (5, 5, 5, 5)}, "empty"),
        ({"box": (NAN, 0, 5, 5)}, "the box must be finite"),
        ({"box": (0, 0, INF, 5)}, "the box must be finite"),
        ({"box": (0, 0, 1e300, 5)}, "the box must be pixels"),
        ({"box": (0, 0, 5)}, "4 numbers"),
        ({"box": [(0, 0, 5, 5)]}, "4 numbers"),
        ({"box": [(0, 0), (5, 5)]}, "4 numbers"),
        ({"box": [0, 0, [5], 5]}, "the box must be numbers"),
        ({"box": "all"}, "the box must be numbers"),
        ({"mask_input": np.zeros((255, 256), np.float32)}, "mask_input must be"),
        ({"mask_input": np.zeros((2, 256, 256), np.float32)}, "mask_input must be"),
        ({"mask_input": np.zeros((256, 256), np.uint8)}, "mask_input must be"),
        ({"mask_input": np.zeros((256, 256), np.int64)}, "mask_input must be"),
        ({"mask_input": np.zeros(256, np.bool_)}, "mask_input must be"),
        ({"mask_input": np.zeros((3, 5, 5), np.bool_)}, "mask_input must be"),
        ({"mask_input": "logits"}, "mask_input must be"),
        ({"mask_input": [[1.0, 2.0], [1.0]]}, "mask_input must be one array"),
        ({"mask_input": np.full((256, 256), NAN, np.float32)}, "not finite"),
        ({"mask_input": np.full((256, 256), -INF, np.float32)}, "not finite"),
        ({"mask_input": np.full((256, 256), 1e300)}, "not finite"),  # not in float32
    ],
)
def test_what_cannot_be_meant(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(PromptError, match=says) as raised:
        Prompt(**parts)
    line = str(raised.value)
    assert "\n" not in line
    assert len(line) < 200


def test_the_parts_by_name() -> None:
    prompt = Prompt(points=[(1, 2), (3.5, 4)], labels=[1, 0], box=(1, 2, 3, 4))
    assert prompt.point_coords is not None
    assert prompt.point_labels is not None
    assert prompt.corners is not None
    assert prompt.point_coords.tolist() == [[1, 2], [3.5, 4]]
    assert prompt.point_labels.tolist() == [1, 0]
    assert prompt.corners.tolist() == [1, 2, 3, 4]
    assert prompt.point_coords.dtype == prompt.corners.dtype == np.float64
    assert prompt.point_labels.dtype == np.int32
    assert prompt.mask_input is None


def test_the_short_forms() -> None:
    box, point = Prompt.box(1, 2, 3, 4), Prompt.point(5, 6)
    outside, several = Prompt.point(5, 6, 0), Prompt.points([(1, 2), (3, 4)], [True, False])
    assert box.corners is not None
    assert box.corners.tolist() == [1, 2, 3, 4]
    assert box.point_coords is None
    assert point.point_coords is not None
    assert point.point_coords.tolist() == [[5, 6]]
    assert point.point_labels is not None
    assert point.point_labels.tolist() == [1]
    assert outside.point_labels is not None
    assert outside.point_labels.tolist() == [0]
    assert several.point_labels is not None
    assert several.point_labels.tolist() == [1, 0]


def test_a_mask_alone_is_a_prompt() -> None:
    for logits in (np.ones((256, 256), np.float64), np.ones((1, 256, 256), np.float16)):
        low = Prompt(mask_input=logits).mask_input
        assert low is not None
        assert (low.shape, low.dtype) == ((256, 256), np.float32)
    boolean = Prompt(mask_input=np.ones((7, 9), np.bool_)).mask_input
    assert boolean is not None
    assert (boolean.shape, boolean.dtype) == ((7, 9), np.bool_)


def test_a_prompt_keeps_what_it_was_given() -> None:
    points, box = np.array([(1.0, 2.0)]), np.array([0.0, 0.0, 5.0, 5.0])
    mask, logits = np.ones((4, 4), np.bool_), np.ones((256, 256), np.float32)
    prompts = Prompt(points, [1], box, mask), Prompt(mask_input=logits)
    for array in (points, box, logits):
        array[:] = 77
    mask[:] = False
    assert prompts[0].point_coords is not None
    assert prompts[0].point_coords.tolist() == [[1, 2]]
    assert prompts[0].corners is not None
    assert prompts[0].corners.tolist() == [0, 0, 5, 5]
    assert prompts[0].mask_input is not None
    assert prompts[0].mask_input.all()
    assert prompts[1].mask_input is not None
    assert prompts[1].mask_input.max() == 1
    with pytest.raises(AttributeError):
        prompts[0].corners = None  # type: ignore[misc]


def test_a_prompt_cannot_be_changed() -> None:
    prompt = Prompt([(1, 2)], [1], box=(0, 0, 4, 4), mask_input=np.zeros((256, 256), np.float32))
    for part in (prompt.point_coords, prompt.point_labels, prompt.corners, prompt.mask_input):
        assert part is not None
        with pytest.raises(ValueError, match="read-only"):
            part[...] = 0
