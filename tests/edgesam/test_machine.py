"""What the processor is said to offer, and what an engine may conclude from it."""

from __future__ import annotations

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


def test_a_system_that_does_not_tell(cpuinfo: Path) -> None:
    assert machine.instruction_sets() == ()
    assert machine.byte_products() is None
