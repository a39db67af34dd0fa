"""A graph's plan for one machine: taken from where it is kept, or built and kept. Runs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesam.atomic import write_atomic
from edgesam.engines.blobs import Blob
from edgesam.engines.tensorrt.building import Request, Tell, build_in_process
from edgesam.engines.tensorrt.flavour import Flavour
from edgesam.engines.tensorrt.network import OPTIONS
from edgesam.engines.tensorrt.plans import (
    Facts,
    digests_of,
    folders_for,
    plan_path,
    size_of,
    stored_plan,
    sweep,
    write_plan,
)
from edgesam.errors import BundleError, EdgeSamError
from edgesam.home import home
from edgesam.lock import alone_in

logger = logging.getLogger("edgesam")

_Alive = Callable[[], None]


@dataclass(frozen=True)
class Target:
    """What plans are for.

    Attributes:
        flavour, version: of the library.
        gpu, capability, driver: of the machine, as ``NVIDIA H200``, ``9.0``, ``13.0``; empty where
            plans are built ahead of time.
        capabilities: that are built for by name; empty for whatever GPU is here.
    """

    flavour: Flavour
    version: str
    gpu: str = ""
    capability: str = ""
    driver: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def is_ahead(self) -> bool:
        """Whether no machine is meant."""
        return not self.gpu

    def facts(self, graph: Path, precision: str) -> Facts:
        """Of a graph's plan.

        Raises:
            BundleError: the graph cannot be read.
        """
        sha256, weights = digests_of(graph)
        return Facts(
            graph=sha256,
            weights=weights,
            precision=precision,
            flavour=self.flavour.name,
            version=self.version,
            options=OPTIONS,
            gpu=self.gpu,
            capability=self.capability,
            driver=self.driver,
            capabilities=self.capabilities if self.is_ahead else (),
        )

    @property
    def name(self) -> str:
        """Of what is kept for it beside plans: timing caches and build times."""
        said = (self.flavour.name, self.version, self.gpu, self.capability, self.driver)
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def plan_for(graph: Path, precision: str, target: Target, tell: Tell = logger.info) -> bytes:
    """The plan that is kept, or a new one.

    Args:
        graph: an ONNX file of a bundle, verified.
        precision: that this graph is to run in.
        target: what it is for.
        tell: takes lines of progress.

    Raises:
        BundleError, EngineUnavailable, OutOfMemory, PrecisionMismatch: as building does.
    """
    facts = target.facts(graph, precision)
    if (found := stored_plan(graph, facts)) is not None:
        return found[1]
    with _own_folder(graph) as (folder, alive):
        # Whoever held the lock may have built it.
        if (found := stored_plan(graph, facts)) is not None:
            return found[1]
        logger.warning(
            "%s has no %s plan for this machine yet: it is built now, once, which may take minutes",
            graph.name,
            target.flavour.title,
        )
        plan = _built(graph, precision, target, folder, tell, alive)
        try:
            write_plan(plan_path(folder, graph, facts), plan, facts)
        except BundleError as error:  # a full disk costs time, not correctness
            logger.warning("the plan of %s is not kept: %s", graph.name, error)
        sweep(folder)
    return plan


def forget_plan(graph: Path, precision: str, target: Target) -> None:
    """Remove what is kept of a graph for that target, because the library refused it."""
    facts = target.facts(graph, precision)
    while (found := stored_plan(graph, facts)) is not None:
        try:
            found[0].unlink()
        except OSError as error:
            raise BundleError(
                f"{found[0]} is refused and cannot be removed: {error.strerror}"
            ) from None


def write_ahead(
    graph: Path, precision: str, target: Target, folder: Path, tell: Tell = logger.info
) -> Path:
    """A plan into a folder that exists, whoever is to run it; one that is there and whole stays.

    Raises:
        BundleError, EngineUnavailable, OutOfMemory, PrecisionMismatch: as building does.
    """
    facts = target.facts(graph, precision)
    path = plan_path(folder, graph, facts)
    found = stored_plan(graph, facts)
    if found is not None and found[0] == path:
        return path
    try:
        with alone_in(folder) as alive:
            plan = _built(graph, precision, target, folder, tell, alive)
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror}") from None
    write_plan(path, plan, facts)
    return path


def _built(
    graph: Path, precision: str, target: Target, folder: Path, tell: Tell, alive: _Alive
) -> bytes:
    times = _Times.of(target)
    output = folder / f".edgesam-{os.urandom(8).hex()}.tmp"
    timing = None if target.flavour.is_rtx else output.with_name(f"{output.stem}t.tmp")
    kept = _timing_cache(target) if timing is not None else None
    try:
        size = size_of(graph)
        if timing is not None and kept is not None and (content := kept.load()) is not None:
            timing.write_bytes(content)
        seconds = build_in_process(
            Request(
                graph=str(graph),
                precision=precision,
                flavour=target.flavour.name,
                capabilities=target.capabilities,
                plan=str(output),
                timing=None if timing is None else str(timing),
            ),
            expected=times.expected(size),
            tell=tell,
            alive=alive,
        )
        plan = output.read_bytes()
        if timing is not None and kept is not None and timing.exists():
            kept.store(timing.read_bytes())
    except OSError as error:
        raise BundleError(f"the plan of {graph.name} cannot be kept: {error.strerror}") from None
    finally:
        for path in (output, timing):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
    times.remember(size, seconds)
    title = target.flavour.title
    tell(f"built the {title} plan of {graph.name}: {seconds:.0f} s, {len(plan) >> 20} MiB")
    return plan


@contextlib.contextmanager
def _own_folder(graph: Path) -> Iterator[tuple[Path, _Alive]]:
    """The first folder of plans that can be written, held against other processes: two builds at
    once would also spoil each other's timings. One that goes with the process if none can.
    """
    with contextlib.ExitStack() as stack:
        for folder in folders_for(graph):
            try:
                if folder.parent != graph.parent:
                    folder.mkdir(parents=True, exist_ok=True)
                else:
                    folder.mkdir(exist_ok=True)
                alive = stack.enter_context(alone_in(folder))
            except OSError as error:
                logger.debug("plans are not kept in %s: %s", folder, error)
                continue
            yield folder, alive
            return
        logger.warning("no folder can be written: the plan of %s is not kept", graph.name)
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgesam-"))
        yield Path(temporary), lambda: None


def _timing_cache(target: Target) -> Blob | None:
    with contextlib.suppress(EdgeSamError):
        return Blob(home() / "tensorrt" / f"timing-{target.name}.blob")
    return None


@dataclass(frozen=True)
class _Times:
    """What builds for a target took, in seconds per byte of their graphs."""

    path: Path | None
    rate: float | None

    @classmethod
    def of(cls, target: Target) -> _Times:
        try:
            path = home() / "tensorrt" / f"times-{target.name}.json"
            return cls(path, float(json.loads(path.read_text("utf-8"))["seconds_per_byte"]))
        except EdgeSamError:
            return cls(None, None)
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path, None)

    def expected(self, size: int) -> float | None:
        """Seconds for a graph of that size, None before the first build."""
        return None if self.rate is None else self.rate * size

    def remember(self, size: int, seconds: float) -> None:
        if self.path is None:
            return
        text = json.dumps({"seconds_per_byte": seconds / max(1, size)})
        with contextlib.suppress(OSError, EdgeSamError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, text.encode(), error=BundleError)
