"""What the processor is said to offer, and what an engine may conclude from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgesam import machine


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Linux's list of processors, to be written by the test."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_CPUINFO", path)
    monkeypatch.setattr(machine, "_cpuinfo", machine._cpuinfo.__wrapped__)
    return path


@pytest.mark.parametrize(
    ("line", "sets", "family"),
    [
        ("flags\t\t: fpu avx2 fma", ("avx2", "fma"), None),
        ("flags\t\t: fpu avx2 avx512_vnni", ("avx2", "avx512_vnni"), "x86"),
        ("flags\t\t: amx_int8 avx2_vnni_not", ("amx_int8",), "x86"),
        ("Features\t: fp asimd asimddp", ("asimd", "asimddp"), "arm"),
        ("Features\t: fp asimd", ("asimd",), None),
        ("bogomips: 4", (), None),
    ],
)
def test_byte_products(cpuinfo: Path, line: str, sets: tuple[str, ...], family: str | None) -> None:
    cpuinfo.write_text(f"processor: 0\n{line}\n\nprocessor: 1\n")
    assert machine.instruction_sets() == sets
    assert machine.byte_products() == family


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [
        (8, None, 8),
        (2, None, 2),
        (8, "max 100000", 8),
        (8, "400000 100000", 4),
        (8, "150000 100000", 2),  # a core and a half keep two threads busy
        (8, "10000 100000", 1),
        (2, "400000 100000", 2),
        (8, "1600000 100000", 8),
        (8, "what", 8),
    ],
)
def test_cores_that_are_ours(
    affinity: int,
    quota: str | None,
    cores: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "_QUOTA", file)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    if quota is not None:
        file.write_text(quota)
    assert machine.cores() == cores
    assert machine.is_shared() == (cores < 8)
    assert machine.processor().endswith(f", {cores} cores")


def test_a_system_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.cores() == 8
    assert not machine.is_shared()


def test_a_system_that_does_not_tell(cpuinfo: Path) -> None:
    assert machine.instruction_sets() == ()
    assert machine.byte_products() is None
