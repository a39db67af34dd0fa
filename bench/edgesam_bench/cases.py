"""Prompts to compare on: from the objects of a label map; knows no model and asks none."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.objects import LabelledObject, middle

Kind = Literal["box", "point", "points", "box+point", "box+logits", "points+logits", "logits"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Negative points lie around the object, not across the picture: within this share of its box.
_MARGIN = 0.5


@dataclass(frozen=True)
class Case:
    """One prompt on one picture.

    Attributes:
        name: unique within a reference.
        picture: name of the picture.
        kind: which prompts are there.
        points: x, y in pixels of the picture.
        labels: 1 inside, 0 outside; one per point.
        box: x0, y0, x1, y1.
        mask_input: name of an earlier case whose single mask's logits are fed back.
    """

    name: str
    picture: str
    kind: Kind
    points: tuple[tuple[int, int], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[int, int, int, int] | None = None
    mask_input: str | None = None

    def prompt(self, fed_back: NDArray[np.float32] | None) -> dict[str, NDArray[Any]]:
        """The parts that are there, as keywords of edgesam's ``Prompt`` and of the reference.

        Args:
            fed_back: the (256, 256) logits that ``mask_input`` names, if it names any.
        """
        parts: dict[str, NDArray[Any]] = {}
        if self.points:
            parts |= {"points": np.array(self.points), "labels": np.array(self.labels)}
        if self.box is not None:
            parts["box"] = np.array(self.box)
        if fed_back is not None:
            parts["mask_input"] = fed_back
        return parts


def cases_of(
    picture: str,
    objects: Sequence[LabelledObject],
    *,
    kinds: Sequence[Kind],
    most_beyond_boxes: int,
) -> list[Case]:
    """A box for every object, and the other kinds for the first few.

    Args:
        picture: its name.
        objects: largest first.
        kinds: what to make; ``box`` must be one of them if logits are to be fed back.
        most_beyond_boxes: number of objects that get more than a box.
    """
    cases: list[Case] = []
    for number, thing in enumerate(objects):
        stem = f"{picture}/{number}"
        wanted = kinds if number < most_beyond_boxes else [k for k in kinds if k == "box"]
        cases += [_case(stem, picture, kind, thing) for kind in KINDS if kind in wanted]
    return cases


def _case(stem: str, picture: str, kind: Kind, thing: LabelledObject) -> Case:
    points: tuple[tuple[int, int], ...] = ()
    labels: tuple[int, ...] = ()
    if "points" in kind:
        points, labels = _mixed_points(thing, seed=zlib.crc32(stem.encode()))
    elif "point" in kind:
        points, labels = (middle(thing.mask),), (1,)
    fed_back = f"{stem}/points" if kind == "points+logits" else f"{stem}/box"
    return Case(
        name=f"{stem}/{kind}",
        picture=picture,
        kind=kind,
        points=points,
        labels=labels,
        box=thing.box if kind.startswith("box") else None,
        mask_input=fed_back if "logits" in kind else None,
    )


def _mixed_points(
    thing: LabelledObject, seed: int
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Two points inside the object, then up to two around it, at random places."""
    random = np.random.default_rng(seed)
    x0, y0, x1, y1 = thing.box
    margin = int(_MARGIN * max(x1 - x0, y1 - y0)) + 1
    around = np.zeros_like(thing.mask)
    around[max(y0 - margin, 0) : y1 + margin + 1, max(x0 - margin, 0) : x1 + margin + 1] = True
    inside = _places(thing.mask, 2, random)
    outside = _places(around & ~thing.mask, 2, random)
    return (*inside, *outside), (1,) * len(inside) + (0,) * len(outside)


def _places(
    where: NDArray[np.bool_], count: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    places = np.argwhere(where)
    chosen = random.choice(len(places), size=min(count, len(places)), replace=False)
    return [(int(x), int(y)) for y, x in places[chosen]]
