"""Finished plans on disk, under a key of all that they depend on. Knows no TensorRT.

A plan that is missing, damaged, stale or another machine's is not loaded: it is built anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgesam.atomic import remove_abandoned, write_atomic
from edgesam.bundle import PLANS
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, EdgeSamError
from edgesam.home import home

logger = logging.getLogger("edgesam")

_MAGIC = b"edgesam plan 1\n"
_MOST = 24  # in the home folder: eight models of three graphs; the oldest go first
_LONGEST_HEADER = 1 << 16
# How a tensor in an ONNX file says that its values lie in another one (TensorProto.external_data).
_BESIDE = re.compile(rb"\n\x08location\x12([\x01-\x7f])")


@dataclass(frozen=True)
class Facts:
    """What a plan depends on.

    Attributes:
        graph: sha256 of the ONNX file.
        weights: sha256 of each file that it names, in their names' order.
        precision: that its layers were checked against.
        flavour, version: of the library.
        options: sizes that it was built for, and how.
        gpu, capability, driver: the machine's, as ``NVIDIA H200``, ``9.0``, ``13.0``; empty for a
            plan that was built ahead of time.
        capabilities: what a plan was built for ahead of time; empty for one of this machine.
    """

    graph: str
    weights: tuple[str, ...]
    precision: str
    flavour: str
    version: str
    options: str
    gpu: str = ""
    capability: str = ""
    driver: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """sha256 of them all."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def holds_for(self, wanted: Facts) -> bool:
        """Whether a plan of these facts is one of the wanted: the same, or made ahead for it."""
        if self == wanted:
            return True
        unbound = replace(wanted, gpu="", capability="", driver="", capabilities=self.capabilities)
        return self == unbound and wanted.capability in self.capabilities


def digests_of(graph: Path) -> tuple[str, tuple[str, ...]]:
    """sha256 of an ONNX file and of the files of weights that it names.

    Raises:
        BundleError: one of them cannot be read.
    """
    try:
        content = graph.read_bytes()
        weights = tuple(sha256_of(path) for path in _weights_of(graph, content))
    except OSError as error:
        raise BundleError(f"{graph.name} cannot be read: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest(), weights


def size_of(graph: Path) -> int:
    """Bytes of an ONNX file and of the files of weights that it names.

    Raises:
        OSError: one of them cannot be read.
    """
    paths = (graph, *_weights_of(graph, graph.read_bytes()))
    return sum(path.stat().st_size for path in paths)


def folders_for(graph: Path) -> list[Path]:
    """Where plans of a graph are kept: beside the bundle's files, else in the home folder."""
    with contextlib.suppress(EdgeSamError):
        return [graph.parent / PLANS, home() / "tensorrt"]
    return [graph.parent / PLANS]


def plan_path(folder: Path, graph: Path, facts: Facts) -> Path:
    """The file of a plan in a folder."""
    return folder / f"{graph.stem}.{facts.key[:16]}.plan"


def stored_plan(graph: Path, wanted: Facts) -> tuple[Path, bytes] | None:
    """A plan that holds here, whole and undamaged, and where it lies; None if there is none."""
    for folder in folders_for(graph):
        own = plan_path(folder, graph, wanted)
        with contextlib.suppress(OSError):
            others = sorted(set(folder.glob(f"{graph.stem}.*.plan")) - {own})
            for path in (own, *others):
                if (plan := read_plan(path, wanted)) is not None:
                    return path, plan
    return None


def read_plan(path: Path, wanted: Facts) -> bytes | None:
    """The plan in a file, if it is one of the wanted and undamaged."""
    try:
        with path.open("rb") as file:
            header = _header(file)
            if header is None or not header[0].holds_for(wanted):
                return None
            plan = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.debug("a plan cannot be read: %s", error)
        return None
    if hashlib.sha256(plan).hexdigest() != header[1]:
        logger.info("the plan %s is damaged and will be built anew", path)
        return None
    return plan


def write_plan(path: Path, plan: bytes, facts: Facts) -> None:
    """Put a plan where :func:`read_plan` finds it, whole or not at all.

    Raises:
        BundleError: it cannot be written.
    """
    header = {"facts": asdict(facts), "sha256": hashlib.sha256(plan).hexdigest()}
    text = json.dumps(header, sort_keys=True).encode() + b"\n"
    write_atomic(path, _MAGIC + text + plan, error=BundleError)


def sweep(folder: Path) -> None:
    """Remove what killed builds left, and in the home folder the oldest plans."""
    remove_abandoned(folder)
    with contextlib.suppress(OSError, EdgeSamError):
        if folder != home() / "tensorrt":
            return
        kept = sorted(folder.glob("*.plan"), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[:-_MOST]:
            old.unlink()


def facts_in(folder: Path) -> Iterator[tuple[Path, Facts]]:
    """The plans in a folder and what each depends on; damaged headers are left out."""
    for path in sorted(folder.glob("*.plan")):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if (header := _header(file)) is not None:
                yield path, header[0]


def _weights_of(graph: Path, content: bytes) -> list[Path]:
    starts = ((found.end(), found[1][0]) for found in _BESIDE.finditer(content))
    names = {content[at : at + length].decode("utf-8", "replace") for at, length in starts}
    return [graph.parent / name for name in sorted(names)]


def _header(file: Any) -> tuple[Facts, str] | None:
    """Facts and digest; the file then stands at the plan."""
    if file.read(len(_MAGIC)) != _MAGIC:
        return None
    try:
        values = json.loads(file.readline(_LONGEST_HEADER))
        facts = values["facts"]
        lists = {name: tuple(facts[name]) for name in ("weights", "capabilities")}
        return Facts(**{**facts, **lists}), str(values["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
