"""The parity reports that ship with the package, found by the graphs they measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources


def shipped_passport(graphs: Mapping[str, str]) -> bytes | None:
    """The report that measured these graphs (role -> sha256), as it was written, or None."""
    measured = dict(graphs)
    return next((text for text in _texts() if json.loads(text)["graphs"] == measured), None)


def shipped_variants(checkpoint: str) -> list[str]:
    """The variants that were measured of the checkpoint with that sha256."""
    reports = map(json.loads, _texts())
    return [r["variant"] for r in reports if r["reference"]["checkpoint_sha256"] == checkpoint]


def _texts() -> Iterator[bytes]:
    entries = sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name)
    return (entry.read_bytes() for entry in entries if entry.name.endswith(".json"))
