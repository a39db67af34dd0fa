"""Result files: JSON, written whole or not at all. Knows no figure."""

from __future__ import annotations

import json
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
