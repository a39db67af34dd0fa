"""The person at the viewer: every action in order, what a click met, ratios of known numbers."""

from __future__ import annotations

import pytest

from edgesam.session import Session
from edgesam_bench.scenario import viewer
from edgesam_bench.scenario.measures import KINDS
from edgesam_bench.scenario.scene import Played, Scene
from edgesam_bench.scenario.script import VIEWER, Step, steps


def test_every_action_is_played_in_order(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, int | None]] = []
    look, segment, rest = Session.look, Session.segment, Session.rest

    def looked(self: Session, index: int) -> None:
        done.append(("look", index))
        look(self, index)

    def clicked(self: Session, index: int, *more: object) -> object:
        done.append(("click", index))
        return segment(self, index, *more)  # type: ignore[call-overload]

    def pressed(self: Session) -> None:
        done.append(("press", None))
        rest(self)

    monkeypatch.setattr(Session, "rest", pressed)
    monkeypatch.setattr(Session, "look", looked)
    monkeypatch.setattr(Session, "segment", clicked)
    played = viewer.play(scene)
    script = steps(VIEWER, len(scene.frames))
    once: list[tuple[str, int | None]] = []
    for step in script:
        if step.kind == "click":  # a button that goes down says that a click is near
            once.append(("press", None))
        once += [
            (one, step.index)
            for one in (("look", "click") if step.kind == "jump" else (step.kind,))
        ]
    assert done == 2 * once
    assert [(e["action"], e["index"]) for e in played.events] == 2 * [
        (step.kind, step.index) for step in script
    ]
    assert [event["at"] for event in played.events] == sorted(e["at"] for e in played.events)


def test_what_is_found(scene: Scene) -> None:
    played = viewer.play(scene)
    clicks = sum(step.kind != "look" for step in steps(VIEWER, len(scene.frames)))
    assert [len(one) for one in played.samples["click"]] == [clicks, clicks]
    by_kind = {kind: played.samples.get(kind, []) for kind in KINDS}
    assert sum(len(one) for rounds in by_kind.values() for one in rounds) == 2 * clicks
    assert [len(one) for one in played.samples["bare_encode"]] == [2, 2]
    assert [len(one) for one in played.samples["bare_click"]] == [6, 6]
    assert played.facts["clicks"] == 2 * clicks
    share = sum(map(len, by_kind["prefetched"])) / (2 * clicks)
    assert played.facts["from_prefetch"] == pytest.approx(share)
    ((title, begun, ended),) = played.parts
    assert title == ""
    assert begun <= played.events[0]["at"] <= ended


@pytest.mark.parametrize(
    ("kind", "ready", "making", "met"),
    [
        ("click", True, set(), "prefetched"),
        ("click", True, {6}, "prefetched"),
        ("jump", True, {6}, "prefetched"),
        ("click", False, {5}, "encoding"),
        ("jump", False, {5}, "encoding"),
        ("jump", False, {6}, "jump"),
        ("jump", False, set(), "missing"),
        ("click", False, {6}, "missing"),
    ],
)
def test_what_a_click_met(kind: str, ready: bool, making: set[int], met: str) -> None:
    step = Step(0.0, kind, 5)  # type: ignore[arg-type]
    assert viewer.kind_of(step, ready, making) == met


def test_ratios_are_of_the_rounds_medians() -> None:
    played = Played(
        {
            "prefetched": [[0.03, 0.04, 0.05], [], [0.06]],
            "jump": [[1.1], [2.2], [3.3]],
            "bare_click": [[0.02, 0.02], [0.02], [0.03]],
            "bare_encode": [[1.0], [2.0], [3.0]],
        }
    )
    viewer.compare(played)
    assert played.samples["next_ratio"] == [[pytest.approx(2.0)], [], [pytest.approx(2.0)]]
    assert played.samples["jump_ratio"] == [[pytest.approx(1.1)]] * 3
