"""The curve of memory: what it looks at, and that its thread ends."""

from __future__ import annotations

import sys
import threading
from itertools import count

import pytest

from edgesam_bench.scenario.memory import Curve, resident_mib


def test_it_looks_at_the_beginning_and_at_the_end() -> None:
    clock, held = count(), iter((100.04, 250.0, 250.0, 250.0))
    with Curve(lambda: float(next(clock)), lambda: next(held, 250.0)) as curve:
        pass
    told = curve.told()
    assert told is not None
    assert told["mib"][0] == 100.0
    assert told["mib"][-1] == 250.0
    assert told["seconds"] == sorted(told["seconds"])
    assert not [t for t in threading.enumerate() if t.name == "memory curve"]


def test_where_nobody_tells() -> None:
    with Curve(lambda: 0.0, lambda: None) as curve:
        pass
    assert curve.told() is None


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_this_process() -> None:
    before = resident_mib()
    held = bytearray(b"x" * (64 << 20))
    after = resident_mib()
    assert before is not None
    assert after is not None
    assert 40 < after - before < 90
    assert held
