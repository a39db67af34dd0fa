"""Percentiles, spread and ratios, against figures worked out by hand."""

from __future__ import annotations

import pytest

from edgesam_bench.speed.samples import described, ratio, spread


def test_percentiles_are_of_all_samples_together() -> None:
    found = described([[1.0, 2.0, 3.0], [4.0, 5.0]])
    assert found["n"] == 5
    assert found["p50"] == 3.0
    assert found["p95"] == pytest.approx(4.8)  # 4 + 0.8 of the way to 5
    assert found["p99"] == pytest.approx(4.96)
    assert (found["min"], found["max"]) == (1.0, 5.0)
    assert found["rounds"] == [2.0, 4.5]


def test_one_sample_is_all_of_its_percentiles() -> None:
    found = described([[0.25]])
    assert [found[p] for p in ("n", "p50", "p95", "p99", "spread")] == [1, 0.25, 0.25, 0.25, None]


def test_the_spread_is_the_quartiles_distance_over_the_median() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert spread([2.0, 2.0, 2.0]) == 0
    assert spread([1.0, 9.0]) is None


def test_ratios_are_taken_round_by_round() -> None:
    found = ratio([1.0, 2.0, 9.0], [2.0, 2.0, 3.0])
    assert found == {"median": 1.0, "min": 0.5, "max": 3.0}


def test_a_round_without_its_partner_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])
