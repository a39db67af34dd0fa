"""The parity reports that ship with the package, found by the graphs they measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources


def shipped_passport(graphs: Mapping[str, str]) -> bytes | None:
    """The report that measured these graphs (role -> sha256), as it was written, or None."""
    measured = dict(graphs)
    for entry in resources.files(__name__).iterdir():
        if entry.name.endswith(".json"):
            text = entry.read_bytes()
            if json.loads(text)["graphs"] == measured:
                return text
    return None
