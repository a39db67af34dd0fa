"""Plays a person at a viewer on ``edgesam.Session``, and bare clicks in turn with it. No engine.

A click's kind is what it met: ``prefetched`` (its embedding was there), ``encoding`` (it was being
made), ``jump`` (looked at and clicked at once, while another one was being made), ``missing``.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice

from edgesam.prompt import Prompt
from edgesam.session import Session
from edgesam_bench.scenario.scene import Played, Scene
from edgesam_bench.scenario.script import VIEWER, Step, steps

KEPT = 6  # embeddings that the viewer's memory holds: far slices must not be there by themselves

_BARE_CLICKS = 3  # on each picture that is encoded bare
_BUTTON = 0.08  # seconds from a mouse button's way down, which a viewer is told of, to its way up
_PAUSE = 0.25  # seconds before each of them: somebody looks at the last mask

_RATIOS = {
    "next_ratio": ("prefetched", "bare_click"),
    "jump_ratio": ("jump", "bare_encode"),
}


def play(scene: Scene) -> Played:
    """All rounds: the script, then the same clicks with nothing beside them."""
    played = Played()
    prompts = map(scene.source.prompt, count())
    embedding = scene.sam.embed(scene.frames.frame(0))  # an engine's first run takes longer
    scene.sam.segment(embedding, next(prompts))
    memory = KEPT * embedding.nbytes
    del embedding
    script = steps(VIEWER, len(scene.frames))
    far = [step.index for step in script if step.kind == "jump"]
    for number in range(scene.rounds):
        scene.progress(f"round {number + 1} of {scene.rounds}: the viewer")
        begun = scene.timeline.now()
        with Session(scene.sam, scene.frames, memory=memory) as session:
            for step in script:
                scene.sleep(step.after)
                _act(scene, session, step, prompts, played, number)
        played.parts.append(("", begun, scene.timeline.now()))
        scene.progress(f"round {number + 1} of {scene.rounds}: bare clicks")
        _bare(scene, far, prompts, played, number)
    del played.parts[1:]
    compare(played)
    clicks = [event for event in played.events if "kind" in event]
    played.facts = {
        "kept": KEPT,
        "clicks": len(clicks),
        "from_prefetch": sum(e["kind"] == "prefetched" for e in clicks) / len(clicks),
        "beside": sum(e["kind"] == "prefetched" and e["beside"] for e in clicks),
        "cancelled": sum(span.cancelled for span in scene.timeline.spans),
    }
    return played


def _act(
    scene: Scene,
    session: Session,
    step: Step,
    prompts: Iterator[Prompt],
    played: Played,
    number: int,
) -> None:
    if step.kind == "look":
        at = scene.timeline.mark("look", step.index)
        session.look(step.index)
        played.events.append({"at": at, "round": number, "action": "look", "index": step.index})
        return
    prompt = next(prompts)
    making = scene.timeline.under_way()
    if step.kind == "click":
        session.rest()
        scene.sleep(_BUTTON)
    ready = session.ready(step.index)
    started = scene.timeline.now()
    if step.kind == "jump":
        scene.timeline.mark("jump", step.index)
        session.look(step.index)
    with scene.recorder.click(step.index):
        session.segment(step.index, prompt)
    seconds = scene.timeline.now() - started
    kind = kind_of(step, ready, making)
    played.events.append(
        {
            "at": started,
            "round": number,
            "action": step.kind,
            "index": step.index,
            "kind": kind,
            "beside": bool(making - {step.index}),
            "seconds": seconds,
        }
    )
    for measure in ("click", kind):
        played.add(measure, number, seconds)


def kind_of(step: Step, ready: bool, making: set[int]) -> str:
    """What a click met.

    Args:
        step: the click.
        ready: its slice's embedding was there.
        making: slices that were being made for later.
    """
    if ready:
        return "prefetched"
    if step.index in making:
        return "encoding"
    return "jump" if step.kind == "jump" and making else "missing"


def _bare(
    scene: Scene, far: list[int], prompts: Iterator[Prompt], played: Played, number: int
) -> None:
    """The slices that are jumped to, with no session: encoded and clicked on, then clicks alone."""
    for index in far:
        prompt = next(prompts)
        with _timed(scene, played, "bare_encode", number):
            embedding = scene.sam.embed(scene.frames.frame(index))
            with scene.recorder.click(index):
                scene.sam.segment(embedding, prompt)
        for prompt in islice(prompts, _BARE_CLICKS):
            with _timed(scene, played, "bare_click", number), scene.recorder.click(index):
                scene.sam.segment(embedding, prompt)


@contextmanager
def _timed(scene: Scene, played: Played, measure: str, number: int) -> Iterator[None]:
    scene.sleep(_PAUSE)
    started = scene.timeline.now()
    yield
    played.add(measure, number, scene.timeline.now() - started)


def compare(played: Played) -> None:
    """Round by round, where a round has both."""
    for ratio, (ours, bare) in _RATIOS.items():
        pairs = zip(played.samples.get(ours, ()), played.samples[bare], strict=False)
        for number, (mine, other) in enumerate(pairs):
            if mine and other:
                played.add(ratio, number, statistics.median(mine) / statistics.median(other))
