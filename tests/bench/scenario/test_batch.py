"""The long list: both ways do all pictures, and figures follow from known spans."""

from __future__ import annotations

import pytest

from edgesam_bench.scenario import batch
from edgesam_bench.scenario.scene import Played, Scene
from edgesam_bench.scenario.timeline import Span


def test_both_ways_do_the_same_in_turned_order(scene: Scene) -> None:
    said: list[str] = []
    told = Scene(scene.sam, scene.source, scene.frames, scene.recorder, 2, said.append, scene.sleep)
    played = batch.play(told)
    assert [line.rpartition(" ")[2] for line in said] == ["loop", "stream", "stream", "loop"]
    clicks = [span.index for span in scene.timeline.spans if span.stage == "click"]
    assert clicks == 4 * list(range(8))
    ahead = {span.ahead for span in scene.timeline.spans if span.stage == "encode"}
    assert ahead == {False, True}
    assert [title for title, *_ in played.parts] == ["loop", "stream"]
    for number in (0, 1):
        loop, stream, ratio = (played.samples[n][number][0] for n in ("loop", "stream", "ratio"))
        assert ratio == pytest.approx(stream / loop)
    assert set(played.facts["stages"]) == {*batch.STAGES, "other"}
    assert played.facts["pictures"] == 8
    assert played.facts["held"] == [] or len(played.facts["held"]) == 16


def test_where_the_time_goes(scene: Scene) -> None:
    scene.timeline.spans.clear()
    for begun in (0.0, 10.0):  # a picture of 5 s in the loop; what lies between is the stream's
        at = begun
        for stage, seconds in (("read", 0.5), ("prepare", 0.3), ("encode", 3.0), ("side", 0.2)):
            scene.timeline.spans.append(Span(stage, 0, at, at + seconds, False, False))
            at += seconds
        scene.timeline.spans.append(Span("click", 0, at, at + 0.6, False, False))
    scene.timeline.spans.append(Span("encode", 0, 6.0, 9.0, True, False))
    found = batch.where(scene, [(0.0, 5.0), (10.0, 15.0)], [[5.0], [5.0]])
    assert found["stages"] == {
        "read": pytest.approx(0.5),
        "prepare": pytest.approx(0.3),
        "encode": pytest.approx(3.0),
        "side": pytest.approx(0.2),
        "click": pytest.approx(0.6),
        "other": pytest.approx(0.4),
    }
    assert found["bound"] == pytest.approx(5.0 / 3.2)


def test_the_speedup_is_the_loop_by_the_stream() -> None:
    found = batch.speedup(Played({"ratio": [[0.8], [1.0], [0.5]]}))
    assert found == {"median": pytest.approx(1.25), "min": 1.0, "max": 2.0}
