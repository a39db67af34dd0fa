"""A linear scale and its marks."""

from __future__ import annotations

import pytest

from edgesam_bench.speed.ruler import Ruler


def test_places() -> None:
    ruler = Ruler(2.0, 4.0, 100.0, 50.0)
    assert [ruler.at(value) for value in (2.0, 3.0, 4.0)] == [100, 75, 50]


@pytest.mark.parametrize(
    ("low", "high", "most", "marks"),
    [
        (0.0, 10.0, 5, [0, 2, 4, 6, 8, 10]),
        (0.0, 13.9, 14, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (0.0, 0.1, 2, [0, 0.05, 0.1]),
        (3.0, 460.0, 4, [200, 400]),
    ],
)
def test_marks(low: float, high: float, most: int, marks: list[float]) -> None:
    assert Ruler(low, high, 0.0, 1.0).marks(most) == pytest.approx(marks)
