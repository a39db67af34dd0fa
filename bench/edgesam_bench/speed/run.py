"""One run of ``edgesam bench``: prepares, starts everybody, measures, reports. Prints nothing."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

import edgesam
from edgesam import machine
from edgesam.bundle import Bundle, find_bundle
from edgesam.engines import choose
from edgesam.errors import ParityError
from edgesam.loading import as_tuned
from edgesam.preprocess import one_picture
from edgesam_bench.phantoms import draw
from edgesam_bench.speed import busyness, probe, report
from edgesam_bench.speed.contender import EDGESAM, Asked, Contender
from edgesam_bench.speed.peers import Peer, Place
from edgesam_bench.speed.rounds import Found, Plan, measure
from edgesam_bench.speed.work import macs

_PHANTOM = 512
_THOROUGH = Plan(rounds=7, clicks=10, grid=32, grid_rounds=3)
_QUICK = Plan(rounds=3, clicks=5, grid=8, grid_rounds=3)


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line.

    Attributes:
        model: a known model's name, or a bundle's folder.
        engine: as for :func:`edgesam.load`, like the three that follow.
        device: see there.
        variant: see there.
        threads: see there; peers get as many.
        peers: names of :data:`edgesam_bench.speed.peers.PEERS`.
        rounds: None for as many as usual.
        quick: fewer and smaller measurements.
        image: a file that holds one picture, or None for a phantom.
        python: of the environment with the official code, or None.
        graphs: the folder that keeps the plain exports.
    """

    model: str
    engine: str
    device: str
    variant: str
    threads: int | None
    peers: tuple[str, ...]
    rounds: int | None
    quick: bool
    image: Path | None
    python: str | None
    graphs: Path


def run(request: Request, progress: Callable[[str], None]) -> dict[str, Any]:
    """The report of everything.

    Raises:
        EdgeSamError: the model, the engine or the picture cannot be used, or edgesam's own process
            failed. A peer that fails is part of the report.
    """
    bundle = find_bundle(request.model)
    if request.variant != "auto":
        bundle.variant(request.variant)
    request = _as_tuned(request, bundle)
    choose(request.engine, request.device)  # says what is wrong before anything has been started
    plan = _plan(request, "point" in bundle.manifest.profile.prompt_kinds)
    watch = busyness.Watch()
    with tempfile.TemporaryDirectory(prefix="edgesam-bench-") as folder, ExitStack() as stack:
        progress("preparing the picture and the peers")
        file, picture = _picture(request.image, Path(folder))
        place = Place(bundle.manifest, picture, request.python, request.graphs, request.threads)
        peers = [place.peer(name) for name in request.peers]
        ours = stack.enter_context(Contender(EDGESAM, _command(request, bundle, file)))
        about = ours.ask("load")["about"]
        contenders, peers = _started(stack, peers, progress)
        progress("measuring the machine's peak")
        engine, _, device = about["engine"].partition(":")
        variant = about["variant"]  # where it was to be chosen, the one that was
        before = probe.probed(bundle.path, engine, device, request.threads)
        generators = (EDGESAM, "torch")
        found = measure([ours, *contenders], plan, progress, generators)
        standing = [one for one in contenders if one.name not in found.failed]
        selections = {peer.name: peer.about["selects"] for peer in peers if peer.about}
        agreements = _agreements(ours, standing, selections, found)
        after = probe.probed(bundle.path, engine, device, request.threads)
        with Image.open(picture) as opened:
            width, height = opened.size
    # Outside: processes that have ended count as ours.
    return _report(
        {
            "command": "edgesam bench",
            "schema": report.SCHEMA,
            "model": bundle.manifest.model,
            "variant": variant,
            "engine": about["engine"],
            "graphs": bundle.variants[variant].graphs,
            "passport": about["passport"],
            "threads": request.threads,
            "picture": {"name": _name(request), "width": width, "height": height},
            "processor": machine.processor(),
            "system": platform.platform(),
            "versions": machine.versions(),
            "load": watch.told(),
            "quick": request.quick,
            **asdict(plan),
        },
        bundle,
        found,
        report.peak(before, after),
        {peer.name: _told(peer, found, agreements) for peer in peers},
    )


def _as_tuned(request: Request, bundle: Bundle) -> Request:
    """By name what ``edgesam tune`` found: a start with an empty home would not know it, and peers
    are to get as many threads.
    """
    best = as_tuned(bundle, request.engine, request.variant, request.device)
    if best is None:
        return request
    threads = request.threads or best.threads
    return replace(request, engine=best.engine, variant=best.variant, threads=threads)


def _plan(request: Request, points: bool) -> Plan:
    usual = _QUICK if request.quick else _THOROUGH
    rounds = request.rounds or usual.rounds
    grid = usual.grid if points else None
    return Plan(rounds, usual.clicks, grid, min(rounds, usual.grid_rounds))


def _name(request: Request) -> str:
    return "a phantom" if request.image is None else request.image.name


def _picture(image: Path | None, folder: Path) -> tuple[Path, Path]:
    """The file that edgesam reads, and one that Pillow reads: 8 bits, shown as edgesam shows it."""
    seen = folder / "picture.png"
    if image is None:
        Image.fromarray(draw(_PHANTOM, _PHANTOM, colour=False, seed=1).pixels).save(seen)
        return seen, seen
    rgb, _ = one_picture(edgesam.read(image)).to_rgb8()
    Image.fromarray(rgb).save(seen)
    return image.absolute(), seen


def _command(request: Request, bundle: Bundle, file: Path) -> list[str]:
    threads = "default" if request.threads is None else str(request.threads)
    options = [request.engine, request.device, request.variant, threads]
    where = str(bundle.path.absolute())
    return [sys.executable, "-m", "edgesam_bench.speed.ours", str(file), where, *options]


def _started(
    stack: ExitStack, peers: Sequence[Peer], progress: Callable[[str], None]
) -> tuple[list[Contender], list[Peer]]:
    """Those that load; and all peers, with the reasons of those that do not, and their versions."""
    contenders, told = [], []
    for peer in peers:
        if peer.command is None:
            told.append(peer)
            continue
        progress(f"starting {peer.name}")
        contender = stack.enter_context(Contender(peer.name, peer.command))
        try:
            about = contender.ask("load")["about"]
        except ParityError as error:
            told.append(Peer(peer.name, None, f"failed: {error}"))
        else:
            contenders.append(contender)
            told.append(Peer(peer.name, peer.command, about=about))
    return contenders, told


def _agreements(
    ours: Asked, contenders: Sequence[Asked], selections: dict[str, str], found: Found
) -> dict[str, float]:
    """IoU of every peer's mask of the first box with the one edgesam selects in the same way."""
    agreements = {}
    for contender in contenders:
        select = selections[contender.name]
        mine = ours.ask("mask", select=select)
        try:
            theirs = contender.ask("mask", select=select)
        except ParityError as error:
            found.drop(contender.name, f"failed: {error}")
            continue
        agreements[contender.name] = report.agreement(mine, theirs)
    return agreements


def _told(peer: Peer, found: Found, agreements: dict[str, float]) -> dict[str, Any]:
    return {
        "reason": found.failed.get(peer.name, peer.reason),
        "about": peer.about,
        "agreement": agreements.get(peer.name),
    }


def _report(
    head: dict[str, Any],
    bundle: Bundle,
    found: Found,
    peak: dict[str, Any],
    peers: dict[str, Any],
) -> dict[str, Any]:
    variant = bundle.variants[head["variant"]]
    counted = {
        stage: macs(bundle.verified(getattr(variant, role)))
        for stage, role in report.GRAPHS.items()
    }
    not_measured = {}
    if head["grid"] is None:
        not_measured["everything"] = f"{head['model']} takes no points"
    if "memory" not in found.samples:
        not_measured["memory"] = "this system does not tell"
    content = {
        **head,
        "busy": busyness.complaint(head["load"], os.cpu_count() or 1),
        "contenders": list(found.samples["click"]),
        "peers": peers,
        "idle": found.idle,
        "measures": report.measures(found),
        "not_measured": not_measured,
        "objects": found.objects,
        "stages": report.stages(found),
        "peak": peak,
        "work": report.work(counted, found, peak["gflops"]),
        "click_samples": {
            who: [value for one in rounds for value in one]
            for who, rounds in found.samples["click"].items()
        },
    }
    return {**content, "doubts": report.doubts(content), "compared": None, "failures": []}
