"""Times candidates in turn, round by round; knows how they are asked, not what they are.

Each round starts every candidate anew, so that one model at a time is in memory, and asks for one
picture and some clicks on it: what is fastest at that mixture wins.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from edgesam.bundle import Bundle
from edgesam.errors import ParityError
from edgesam.tuned import Choice
from edgesam_bench.phantoms import draw
from edgesam_bench.speed.contender import Contender
from edgesam_bench.tuning.candidates import REFERENCE

CLICKS = 10  # for each picture: what a person does, and both parts count
_WARM_CLICKS = 2
_SIDE = 512
_TIE = 1.03  # as much as two races of the same candidate differ


@dataclass(frozen=True)
class Result:
    """What one candidate needed, in seconds.

    Attributes:
        choice: the candidate.
        encode: median.
        click: median.
        rounds: a picture and :data:`CLICKS` clicks, of each round.
        failed: why it has no figures, or None.
    """

    choice: Choice
    encode: float
    click: float
    rounds: tuple[float, ...]
    failed: str | None = None

    @property
    def cost(self) -> float:
        """What is compared."""
        return statistics.median(self.rounds) if self.rounds else float("inf")


Ask = Callable[[Choice], tuple[float, list[float]]]
"""Seconds to encode a picture and of each click, by a candidate that is started for it."""


def race(choices: Sequence[Choice], rounds: int, ask: Ask) -> list[Result]:
    """All results, the fastest first; those that failed are last."""
    encodes: dict[Choice, list[float]] = {choice: [] for choice in choices}
    clicks: dict[Choice, list[float]] = {choice: [] for choice in choices}
    failed: dict[Choice, str] = {}
    for number in range(rounds):
        order = choices if number % 2 == 0 else choices[::-1]
        for choice in (one for one in order if one not in failed):
            try:
                seconds, of_clicks = ask(choice)
            except ParityError as error:
                failed[choice] = str(error)
                continue
            encodes[choice].append(seconds)
            clicks[choice].append(statistics.median(of_clicks))
    results = []
    for choice in choices:
        if choice in failed:
            results.append(Result(choice, float("nan"), float("nan"), (), failed[choice]))
            continue
        both = zip(encodes[choice], clicks[choice], strict=True)
        costs = tuple(encode + CLICKS * click for encode, click in both)
        middle = statistics.median(encodes[choice]), statistics.median(clicks[choice])
        results.append(Result(choice, *middle, costs))
    return sorted(results, key=lambda result: result.cost)


class Asker:
    """Asks a fresh process each time (:mod:`edgesam_bench.speed.ours`).

    Args:
        bundle: to run.
        folder: for the picture.
        progress: told whose turn it is.
    """

    def __init__(self, bundle: Bundle, folder: Path, progress: Callable[[str], None]) -> None:
        self._bundle = bundle
        self._picture = folder / "picture.png"
        self._progress = progress
        pixels = draw(_SIDE, _SIDE, colour=False, seed=1).pixels
        Image.fromarray(pixels).save(self._picture)

    def __call__(self, choice: Choice) -> tuple[float, list[float]]:
        name = f"{choice.engine} {choice.variant}, {choice.threads} threads"
        self._progress(f"measuring {name}")
        how = [choice.engine, "cpu", choice.variant, str(choice.threads)]
        where = [str(self._picture), str(self._bundle.path.absolute())]
        command = [sys.executable, "-m", "edgesam_bench.speed.ours", *where, *how]
        with Contender(name, command) as contender:
            contender.ask("load")
            contender.ask("encode")
            contender.ask("click", count=_WARM_CLICKS)
            encode: float = contender.ask("encode")["seconds"]
            clicks: list[float] = contender.ask("click", number=_WARM_CLICKS, count=CLICKS)[
                "seconds"
            ]
        return encode, clicks


def raced(
    bundle: Bundle, choices: Sequence[Choice], rounds: int, progress: Callable[[str], None]
) -> list[Result]:
    """:func:`race` of this bundle on a drawn picture."""
    with tempfile.TemporaryDirectory(prefix="edgesam-tune-") as folder:
        return race(choices, rounds, Asker(bundle, Path(folder), progress))


def winner(results: Sequence[Result]) -> Result:
    """The fastest; where the reference variant is as fast but for noise, the fastest of that: it
    needs no passport to be the same as PyTorch.

    Args:
        results: the fastest first.
    """
    best = results[0]
    level = (one for one in results if one.choice.variant == REFERENCE)
    reference = next(level, best)
    return reference if reference.cost <= _TIE * best.cost else best


def told(
    results: Sequence[Result], mask_iou: Mapping[str, Mapping[str, Any] | None]
) -> list[dict[str, Any]]:
    """The results for JSON, with ratios to the fastest, and what passports say of the variants."""
    best = results[0].cost
    return [
        {
            "engine": one.choice.engine,
            "variant": one.choice.variant,
            "threads": one.choice.threads,
            "mask_iou": mask_iou[one.choice.variant],
            "failed": one.failed,
            "encode": None if one.failed else one.encode,
            "click": None if one.failed else one.click,
            "rounds": list(one.rounds),
            "ratio": None if one.failed else one.cost / best,
        }
        for one in results
    ]
