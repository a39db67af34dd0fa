"""What ``edgesam tune`` found fastest on this machine: kept, and believed only while it holds.

A choice is bound to the bundle's graphs, to the processor and to the versions of edgesam and the
engines: whatever changes, it is no longer known. Measures nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgesam import machine
from edgesam.atomic import write_atomic
from edgesam.errors import EdgeSamError
from edgesam.home import home
from edgesam.manifest import Manifest

logger = logging.getLogger("edgesam")


@dataclass(frozen=True)
class Choice:
    """How to run a bundle.

    Attributes:
        engine: its name.
        variant: of the bundle.
        threads: per graph run.
    """

    engine: str
    variant: str
    threads: int


def remember(manifest: Manifest, choice: Choice) -> Path:
    """Keep a choice for this bundle on this machine.

    Raises:
        EdgeSamError: the home folder cannot be written.
    """
    path = _path(manifest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSamError(f"{path.parent} cannot be made: {error.strerror}") from None
    content = {"choice": asdict(choice), "found_on": _here(), "graphs": _graphs(manifest)}
    write_atomic(path, (json.dumps(content, indent=1) + "\n").encode(), error=EdgeSamError)
    return path


def remembered(manifest: Manifest) -> Choice | None:
    """What was kept for this bundle, if nothing has changed since."""
    try:
        path = _path(manifest)
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        choice = Choice(**content["choice"])
        found_on, graphs = content["found_on"], content["graphs"]
    except FileNotFoundError:
        return None
    except (EdgeSamError, OSError, ValueError, TypeError, KeyError) as error:
        logger.debug("no choice of edgesam tune is known: %s", error)
        return None
    if found_on != _here() or graphs != _graphs(manifest) or choice.variant not in graphs:
        logger.info("%s was tuned on another machine, bundle or version: not used", manifest.model)
        return None
    return choice


def _path(manifest: Manifest) -> Path:
    text = json.dumps(_graphs(manifest), sort_keys=True)
    return home() / "tuned" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _graphs(manifest: Manifest) -> dict[str, dict[str, str]]:
    return {name: variant.graphs for name, variant in manifest.variants.items()}


def _here() -> dict[str, Any]:
    return {
        "processor": machine.processor(),
        "instruction_sets": list(machine.instruction_sets()),
        "versions": machine.versions(),
    }
