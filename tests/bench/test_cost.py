"""The page of the ViTs' costs, and what its driver makes of a program that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgesam.errors import ParityError
from edgesam_bench.cost import __main__ as cost
from edgesam_bench.cost.table import markdown


def costs(**more: Any) -> dict[str, Any]:
    ours = {"load": 1.0, "encode": 8.04, "click": 0.0396, "peak_mib": 963.4}
    return {
        "torch": "2.13",
        "checkpoint_mib": 358.0,
        "export": {"seconds": 4.26, "peak_mib": 183.0},
        "edgesam": ours,
        "official": ours,
        "ratio": {"encode": 0.5, "click": 0.25, "peak_mib": 0.3},
        **more,
    }


def test_the_page() -> None:
    report = {"processor": "a processor", "rounds": 3, "models": {"sam-vit-b": costs()}}
    page = markdown(report)
    assert page.startswith("# What SAM's ViTs cost\n")
    assert "a processor,\nin turn with official PyTorch 2.13, medians of rounds: 3." in page
    assert page.endswith(
        "| `sam-vit-b` | 358 MiB | 4.3 s, 183 MiB (0.51) | 8.0 s | 0.50 | 40 ms | 0.25 "
        "| 963 MiB | 0.30 |\n"
    )
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {10}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is not asked")
def test_the_peak_only_grows() -> None:
    """In a process of its own: what other tests held is a peak, too."""
    code = (
        "from edgesam_bench.cost.peak import peak_mib\n"
        "print(peak_mib())\n"
        "block = bytearray(64 << 20)\n"
        "block[::4096] = b'x' * len(block[::4096])\n"
        "print(peak_mib())\n"
        "del block\n"
        "print(peak_mib())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if run.stdout.startswith("None"):
        pytest.skip("this system does not tell")
    before, after, later = map(float, run.stdout.split())
    assert after - before > 32
    assert later > after - 2  # Linux counts in batches of pages


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit('no such weights')", "utf-8")
    with pytest.raises(ParityError, match=r"program\.py ended with 1: no such weights$"):
        cost._run(sys.executable, program)


def test_the_last_line_is_what_a_program_says(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('chatter')\nprint('{\"seconds\": 1.5}')", "utf-8")
    assert cost._run(sys.executable, program) == {"seconds": 1.5}
