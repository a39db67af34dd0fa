"""Plays a live source through a stream in an event loop, and a heartbeat beside it. No engine.

Frames of the live source are decoded beforehand, as a camera's or a scanner's are. What reading
and decoding files does to the event loop is measured by itself, on the same pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import edgesam
from edgesam.embedding import Embedding
from edgesam.image import Image
from edgesam_bench.scenario.recorder import recorded
from edgesam_bench.scenario.scene import Played, Scene

BEAT = 0.01  # seconds from one beat to the next

_LIVE = 8.0  # seconds of the source in each round
_DECODED = 16  # of its pictures, shown again and again
_FILES = 5  # read and decoded in each round


def play(scene: Scene) -> Played:
    """All rounds: live, then from files."""
    played = Played()
    images = [scene.frames.frame(i) for i in range(min(_DECODED, len(scene.frames)))]
    scene.sam.segment(scene.sam.embed(images[0]), scene.source.prompt(0))  # first runs take longer
    frames = round(_LIVE * scene.source.rate)
    arrived = dropped = given = 0
    rates = []
    for number in range(scene.rounds):
        scene.progress(f"round {number + 1} of {scene.rounds}: live")
        begun = scene.timeline.now()
        masks, lost = asyncio.run(_live(scene, images, frames, played, number))
        ended = scene.timeline.now()
        rates.append(masks / (ended - begun))
        arrived, dropped, given = arrived + frames, dropped + lost, given + masks
        if number == 0:
            played.parts.append(("", begun, ended))
        scene.progress(f"round {number + 1} of {scene.rounds}: files")
        asyncio.run(_files(scene, played, number))
    played.facts = {
        "rate": scene.source.rate,
        "arrived": arrived,
        "dropped": dropped,
        "segmented": given,
        "frames_per_second": rates,
    }
    return played


async def _live(
    scene: Scene, images: list[Image], frames: int, played: Played, number: int
) -> tuple[int, int]:
    """How many frames were segmented, and how many dropped."""
    arrivals: dict[int, float] = {}
    masks = 0
    source = paced(scene, images, frames, arrivals)
    stream = edgesam.stream(scene.sam, source, when_full="drop-oldest")
    async with _heartbeat(scene, played, "heartbeat", number), stream:
        async for embedding in stream:
            index = stream.index
            assert index is not None
            await asyncio.to_thread(_segment, scene, index, embedding)
            seconds = scene.timeline.now() - arrivals[index]
            masks += 1
            played.add("latency", number, seconds)
            played.events.append(
                {"at": arrivals[index], "round": number, "index": index, "seconds": seconds}
            )
    return masks, stream.dropped


def paced(
    scene: Scene, images: list[Image], frames: int, arrivals: dict[int, float]
) -> Iterator[Image]:
    """A frame whenever it is due; one that comes late makes the next ones no later."""
    begun = scene.timeline.now()
    for index in range(frames):
        wait = begun + index / scene.source.rate - scene.timeline.now()
        if wait > 0:
            scene.sleep(wait)
        arrivals[index] = scene.timeline.mark("arrival", index)
        yield scene.recorder.numbered(index, images[index % len(images)])


async def _files(scene: Scene, played: Played, number: int) -> None:
    few = replace(scene.source, readers=scene.source.readers[:_FILES])
    stream = edgesam.stream(scene.sam, recorded(few, scene.recorder))
    async with _heartbeat(scene, played, "heartbeat_files", number), stream:
        async for embedding in stream:
            await asyncio.to_thread(_segment, scene, stream.index or 0, embedding)


def _segment(scene: Scene, index: int, embedding: Embedding) -> None:
    with scene.recorder.click(index):
        scene.sam.segment(embedding, scene.source.prompt(index))


@asynccontextmanager
async def _heartbeat(
    scene: Scene, played: Played, measure: str, number: int
) -> AsyncIterator[None]:
    """Inside, how late the event loop comes to what is due every 10 ms."""

    async def beat() -> None:
        while True:
            due = scene.timeline.now() + BEAT
            await asyncio.sleep(BEAT)
            played.add(measure, number, max(0.0, scene.timeline.now() - due))

    heart = asyncio.create_task(beat())
    try:
        yield
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart
