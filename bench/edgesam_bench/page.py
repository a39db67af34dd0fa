"""A page of ``docs/`` that is made of reports, as a program. Knows no report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesam.atomic import write_atomic
from edgesam.errors import EdgeSamError, ParityError


def main(
    program: str,
    read: Callable[[Path], Mapping[str, Any]],
    markdown: Callable[[Sequence[Mapping[str, Any]]], str],
    arguments: Sequence[str] | None = None,
) -> int:
    """Command line: reports in, one page out; the exit code is 1 if a report is none.

    Args:
        program: its name in the usage.
        read: gives a report, or raises ValueError in one line.
        markdown: makes the page of them.
        arguments: None for those of the process.
    """
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("reports", nargs="+", type=Path, metavar="JSON")
    parser.add_argument("--out", type=Path, required=True, metavar="MD")
    options = parser.parse_args(arguments)
    try:
        text = markdown([read(path) for path in options.reports])
        write_atomic(options.out, text.encode(), error=ParityError)
    except (EdgeSamError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
