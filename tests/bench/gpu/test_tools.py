from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgesam.errors import ParityError
from edgesam_bench.gpu.tools import busy, profiled


def test_work_side_by_side_counts_once() -> None:
    assert busy([]) == 0
    assert busy([(5, 6), (0, 2), (1, 3), (1.5, 1.6)]) == 4


def fake_torch(events: list[Any]) -> Any:
    """As much of PyTorch as the profiler takes."""

    class Profile:
        def __init__(self, activities: list[str]) -> None:
            assert activities == ["CUDA"]

        def __enter__(self) -> Profile:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def events(self) -> list[Any]:
            return events

    return SimpleNamespace(
        cuda=SimpleNamespace(synchronize=lambda: None),
        profiler=SimpleNamespace(profile=Profile, ProfilerActivity=SimpleNamespace(CUDA="CUDA")),
        autograd=SimpleNamespace(DeviceType=SimpleNamespace(CUDA="cuda")),
    )


def event(start: float, end: float, device: str = "cuda", note: bool = False) -> Any:
    span = SimpleNamespace(start=start, end=end)
    return SimpleNamespace(time_range=span, device_type=device, is_user_annotation=note)


def test_device_time_is_that_of_kernels_alone() -> None:
    events = [event(0, 10), event(5, 20), event(0, 900, "cpu"), event(0, 800, note=True)]
    called = []
    assert profiled(fake_torch(events), lambda: called.append(1)) == pytest.approx(20e-6)
    assert called == [1]


def test_a_profiler_that_saw_nothing_gives_no_figure() -> None:
    with pytest.raises(ParityError, match="saw no work"):
        profiled(fake_torch([event(0, 5, "cpu")]), lambda: None)
