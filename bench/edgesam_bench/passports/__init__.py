"""The parity reports that ship with the package, found by the graphs they measured."""

from __future__ import annotations

import json
from importlib import resources


def shipped_passport(image_encoder: str, mask_decoder: str) -> bytes | None:
    """The report that measured graphs of these two sha256, as it was written, or None."""
    measured = {"image_encoder": image_encoder, "mask_decoder": mask_decoder}
    for entry in resources.files(__name__).iterdir():
        if entry.name.endswith(".json"):
            text = entry.read_bytes()
            if json.loads(text)["graphs"] == measured:
                return text
    return None
