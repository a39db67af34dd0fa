"""Result files: JSON, written whole or not at all, and read again. Knows no figure."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edgesam.atomic import write_atomic
from edgesam.errors import ParityError


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Put the content at ``path``.

    Raises:
        ParityError: it cannot be written; an earlier file stays.
    """
    write_atomic(path, (json.dumps(content, indent=1) + "\n").encode(), error=ParityError)


def read_results(path: Path, commands: Collection[str], told: str, schema: int) -> dict[str, Any]:
    """What one of these commands wrote there.

    Args:
        path: the file.
        commands: any of them.
        told: what they are called in errors.
        schema: the one that is understood.

    Raises:
        ValueError: it is no such file, or of another schema; in one line.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(report, dict) or report.get("command") not in commands:
        raise ValueError(f"{path} was not written by {told}")
    if report.get("schema") != schema:
        raise ValueError(f"{path} has schema {report.get('schema')!r}, this edgesam reads {schema}")
    return report
