"""The live source: each frame is segmented or dropped, and none twice."""

from __future__ import annotations

from edgesam_bench.scenario import cine
from edgesam_bench.scenario.scene import Scene


def test_every_frame_is_segmented_or_dropped(scene: Scene) -> None:
    played = cine.play(scene)
    facts = played.facts
    assert facts["arrived"] == 2 * 200  # of two rounds of eight seconds at 25 a second
    assert facts["segmented"] + facts["dropped"] == facts["arrived"]
    assert facts["segmented"] == len(played.events) > 0
    assert sum(map(len, played.samples["latency"])) == facts["segmented"]
    assert len(facts["frames_per_second"]) == 2
    for number in (0, 1):
        taken = [event["index"] for event in played.events if event["round"] == number]
        assert taken == sorted(set(taken))
        assert taken[-1] == 199, "the newest frame is never dropped"


def test_frames_come_when_they_are_due(scene: Scene) -> None:
    arrivals: dict[int, float] = {}
    waited: list[float] = []
    slow = Scene(scene.sam, scene.source, scene.frames, scene.recorder, 1, print, waited.append)
    images = [scene.frames.frame(n) for n in range(3)]
    shown = list(cine.paced(slow, images, 5, arrivals))
    assert sorted(arrivals) == [0, 1, 2, 3, 4]
    assert [mark.kind for mark in scene.timeline.marks] == ["arrival"] * 5
    assert len(waited) >= 4
    assert max(waited) <= 4 / 25  # counted from the first one: who sleeps too little catches up
    assert (shown[3].pixels == images[0].pixels).all()


def test_files_are_read_beside_the_heartbeat(scene: Scene) -> None:
    cine.play(scene)
    read = [span for span in scene.timeline.spans if span.stage == "read" and span.ahead]
    assert {span.index for span in read} == set(range(5))
    assert len(read) == 2 * 5
