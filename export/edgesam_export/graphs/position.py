"""Sine and cosine of whole turns, the same bits on every machine; knows nothing else.

NumPy's own sine takes another path, and rounds differently, with the processor's vector width;
exports must be byte-identical everywhere for a passport to cover them. Only +, - and * on doubles
are used here: IEEE 754 leaves them no freedom.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_TERMS = 14  # the series' next term is below 1e-20 at a quarter of a turn


def sin_two_pi(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """sin(2 pi t), within 1e-15, for any shape of t."""
    return _of_phase(turns)


def cos_two_pi(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """cos(2 pi t), within 1e-15, for any shape of t."""
    return _of_phase(turns + 0.25)


def _of_phase(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    turns = turns - np.rint(turns)  # -1/2 .. 1/2, exact
    folded = np.where(np.abs(turns) > 0.25, np.copysign(0.5, turns) - turns, turns)
    angle = folded * (2 * math.pi)
    square = angle * angle
    series = np.ones_like(angle)
    for term in range(_TERMS, 0, -1):  # Horner: 1 - x^2/6 (1 - x^2/20 (1 - ...
        series = 1.0 - square / (2 * term * (2 * term + 1)) * series
    return angle * series
