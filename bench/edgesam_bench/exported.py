"""A checkpoint as a bundle while something is measured on it. Knows the command line, no graph."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgesam.errors import ParityError

_EDGESAM = "from edgesam.commands import main; raise SystemExit(main())"


@contextmanager
def exported(checkpoint: Path, profile: str) -> Iterator[Path]:
    """The bundle's folder, beside the checkpoint; it is gone afterwards.

    A process of its own exports, as a user's would: this package stands below the exporter, and
    what the export held in memory is given back.

    Raises:
        ParityError: the export failed.
    """
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=checkpoint.parent) as scratch:
        bundle = Path(scratch) / "bundle"
        command = [sys.executable, "-c", _EDGESAM, "export", str(checkpoint), "-o", str(bundle)]
        done = subprocess.run(
            [*command, "--profile", profile], capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ParityError(f"no bundle to measure: {last.removeprefix('edgesam: ')}")
        yield bundle
