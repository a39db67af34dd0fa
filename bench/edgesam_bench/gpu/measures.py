"""What is timed, by name, and how often in a round. Knows no contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgesam_bench.gpu.contender import TOGETHER, Contender

Role = Literal["image_encoder", "image_side", "mask_decoder"]


@dataclass(frozen=True)
class Measure:
    """One figure of a contender.

    Attributes:
        title: for people.
        call: does it once; the number makes each click another one.
        count: calls in a round.
        frames: a call does all frames, and its figure is that of one.
        profiled: calls whose device time is taken.
        parts: graphs of the bundle that one call runs, for its share of the peaks.
        pictures: a call encodes so many, and its figure is that of one.
    """

    title: str
    call: Callable[[Contender, int], object]
    count: int
    frames: bool = False
    profiled: int = 5
    parts: tuple[Role, ...] = ()
    pictures: int = 1


MEASURES = {
    "encode": Measure(
        "encode: prepared picture to embedding",
        lambda c, _: c.encode(),
        10,
        profiled=10,
        parts=("image_encoder", "image_side"),
    ),
    "embed": Measure("embed: picture to embedding", lambda c, _: c.embed(), 5),
    "click": Measure(
        "click: box to mask",
        lambda c, number: c.click(number),
        20,
        profiled=10,
        parts=("mask_decoder",),
    ),
    "batch": Measure("batch of boxes on one embedding", lambda c, number: c.batch(number), 3),
    "serial": Measure(
        "pipeline, a frame, one after the other", lambda c, _: c.serial(), 1, True, 0
    ),
    "overlapped": Measure("pipeline, a frame, overlapped", lambda c, _: c.overlapped(), 1, True, 0),
    "everything": Measure("everything mode", lambda c, _: c.everything(), 1, profiled=1),
    # Last: torch.compile begins anew for another shape, which must cost the others no figure.
    f"encode_{TOGETHER}": Measure(
        f"encode of {TOGETHER} pictures in one call, a picture",
        lambda c, _: c.encode_batch(),
        5,
        parts=("image_encoder", "image_side"),
        pictures=TOGETHER,
    ),
}
