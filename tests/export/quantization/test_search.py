"""The search keeps what holds, by halving, and shows what it tried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgesam_bench.comparison import Comparison, MaskResult, PictureResult
from edgesam_bench.gate import LOW_PRECISION
from edgesam_export.quantization.order import Joining
from edgesam_export.quantization.recipe import Quantized
from edgesam_export.quantization.search import Answer, Tried, chosen, pareto, search

PLAIN = Quantized(1.0, 0)
ORDER = [Joining(f"n{i}", PLAIN, 0.02, 1e-4 * i) for i in range(40)]


def answer(iou: float, times: tuple[float, float] | None = None) -> Answer:
    masks = [
        MaskResult(f"p/0/{kind}", kind, "ct", 0, 1000, 0, iou, 0.0, 0.0)
        for kind in ("box", "point")
    ]
    return Answer(Comparison([PictureResult("p", "ct", "p", 0.1)], masks), times)


def judge(limit: int, times: dict[int, float] | None = None) -> tuple[list[int], list[Tried]]:
    """Sets of up to so many hold."""
    asked: list[int] = []

    def ask(joined: Sequence[Joining]) -> Answer:
        asked.append(len(joined))
        time = None if times is None else (1.0, times.get(len(joined), 0.5))
        return answer(0.99 if len(joined) <= limit else 0.9, time)

    return asked, search(ORDER, ask, LOW_PRECISION)


@pytest.mark.parametrize("limit", [1, 2, 17, 26, 39, 40, 99])
def test_the_largest_set_that_holds(limit: int) -> None:
    asked, tried = judge(limit)
    best = chosen(tried)
    assert best is not None
    assert best.nodes == min(limit, len(ORDER))
    assert len(asked) <= 7
    assert len(set(asked)) == len(asked)
    assert [one.nodes for one in tried] == sorted(asked)


def test_none_holds() -> None:
    _, tried = judge(0)
    assert chosen(tried) is None
    assert all(one.failures for one in tried)


def test_the_fastest_where_times_are_known() -> None:
    _, tried = judge(20, times={20: 0.6, 19: 0.6, 10: 0.4})
    best = chosen(tried)
    assert best is not None
    assert best.times is not None
    assert best.times[1] == min(one.times[1] for one in tried if one.times and not one.failures)


def test_the_table() -> None:
    _, tried = judge(20)
    best = chosen(tried)
    text = pareto(tried, best)
    rows = text.splitlines()[2:]
    assert len(rows) == 3 * len(tried), "all, box and point"
    (row,) = [row for row in rows if "chosen" in row]
    assert row.startswith("| 20 | 40% | not measured: no VNNI | all | 2 | 0.990 | 0.990 | 0.990 |")
    assert sum("fails" in row for row in rows) == sum(bool(one.failures) for one in tried)


def test_the_table_with_times() -> None:
    _, tried = judge(40, times={40: 0.25})
    assert "| 250 / 1000 ms = 0.25 |" in pareto(tried, chosen(tried))
