"""Sine and cosine of whole turns: right, and the same bits whatever NumPy was compiled with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_export.graphs.position import cos_two_pi, sin_two_pi

BITS = [
    "0x1.2cf2304755a5ep-1",
    "0x1.e6f0e13445500p-1",
    "0x1.bb67ae8584cabp-1",
    "-0x1.e6f0e134454fep-1",
    "0x1.2cf2304755a4ep-1",
    "0x1.1780b651b4f97p-2",
]


def exact(turns: float, quarter: float = 0.0) -> float:
    """sin(2 pi (t + quarter)); the whole turns are taken off first, which is exact."""
    return math.sin(2 * math.pi * (math.fmod(turns, 1.0) + quarter))


def test_against_math_over_many_turns() -> None:
    turns = np.linspace(-12.5, 12.5, 200_001)
    sines, cosines = sin_two_pi(turns), cos_two_pi(turns)
    assert max(abs(s - exact(t)) for s, t in zip(sines, turns.tolist(), strict=True)) < 4e-15
    assert (
        max(abs(c - exact(t, 0.25)) for c, t in zip(cosines, turns.tolist(), strict=True)) < 4e-15
    )


@pytest.mark.parametrize(
    ("turns", "sine", "cosine"),
    [
        (0.0, 0, 1),
        (0.25, 1, 0),
        (0.5, 0, -1),
        (0.75, -1, 0),
        (1.0, 0, 1),
        (-0.25, -1, 0),
        (-0.5, 0, -1),
        (-7.75, 1, 0),
        (1000.0, 0, 1),
        (1 / 12, 0.5, math.sqrt(0.75)),
        (0.125, math.sqrt(0.5), math.sqrt(0.5)),
    ],
)
def test_known_angles(turns: float, sine: float, cosine: float) -> None:
    assert sin_two_pi(np.array(turns)) == pytest.approx(sine, abs=1e-15)
    assert cos_two_pi(np.array(turns)) == pytest.approx(cosine, abs=1e-15)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6))
def test_any_turn(turns: float) -> None:
    assert abs(float(sin_two_pi(np.array(turns))) - exact(turns)) < 4e-15
    square = float(sin_two_pi(np.array(turns))) ** 2 + float(cos_two_pi(np.array(turns))) ** 2
    assert square == pytest.approx(1, abs=1e-9)


def test_shapes_are_kept() -> None:
    assert sin_two_pi(np.zeros((3, 4, 5))).shape == (3, 4, 5)


def test_the_bits() -> None:
    """Of a few values, as hexadecimal floats: another processor or NumPy must give the same."""
    turns = np.array([0.1, 0.2, 1 / 3, 0.7, -5.9, 123.456])
    assert [value.hex() for value in sin_two_pi(turns).tolist()] == BITS
