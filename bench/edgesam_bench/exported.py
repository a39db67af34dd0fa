"""A checkpoint as a bundle while something is measured on it. Knows a command, no graph."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgesam.errors import ParityError

# ``edgesam export`` without entry points, which a checkout that is not installed has not.
_EXPORT = """
import argparse
from edgesam.commands import shared_options
from edgesam.errors import EdgeSamError
from edgesam_export.commands import export
parser = argparse.ArgumentParser(parents=[shared_options()])
export.add_arguments(parser)
try:
    raise SystemExit(export.run(parser.parse_args()))
except EdgeSamError as error:
    raise SystemExit(str(error))
"""


@contextmanager
def exported(
    checkpoint: Path, profile: str, variants: Sequence[str] = (), folder: Path | None = None
) -> Iterator[Path]:
    """The bundle's folder, beside the checkpoint unless said otherwise; it is gone afterwards.

    A process of its own exports, as a user's would: this package stands below the exporter, and
    what the export held in memory is given back.

    Args:
        checkpoint: a file.
        profile: of the model.
        variants: to write; none leaves it to the exporter.
        folder: where the bundle's folder is made.

    Raises:
        ParityError: the export failed.
    """
    folder = checkpoint.parent if folder is None else folder
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=folder) as scratch:
        bundle = Path(scratch) / "bundle"
        command = [sys.executable, "-c", _EXPORT, str(checkpoint), "-o", str(bundle)]
        command += ["--profile", profile]
        command += [part for variant in variants for part in ("--variant", variant)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ParityError(f"no bundle to measure: {last}")
        yield bundle
