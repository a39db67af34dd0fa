"""What the reference side imports must run where edgesam is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def imported(sources: list[Path]) -> set[str]:
    """Names of the edgesam_bench modules that these files import."""
    lines = (line for source in sources for line in source.read_text("utf-8").splitlines())
    return {line.split()[1] for line in lines if line.startswith("from edgesam_bench.")}


def test_it_never_imports_edgesam() -> None:
    names = sorted(imported(sorted((BENCH / "reference").glob("*.py"))))
    assert "edgesam_bench.reference" in names
    told = f"import sys, {', '.join(names)}; print('edgesam' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
