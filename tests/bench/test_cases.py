"""Prompts: every kind is what its name says, the same each time."""

from __future__ import annotations

from edgesam_bench.cases import KINDS, cases_of
from edgesam_bench.objects import LabelledObject
from edgesam_bench.phantoms import draw


def ellipse() -> LabelledObject:
    phantom = draw(64, 96, colour=False, seed=3)
    return LabelledObject(1, phantom.ellipses[0].depth(64, 96) >= 0)


def test_every_kind_has_its_parts() -> None:
    cases = cases_of("a", [ellipse(), ellipse()], kinds=KINDS, most_beyond_boxes=1)
    assert [c.name for c in cases] == [*(f"a/0/{kind}" for kind in KINDS), "a/1/box"]
    for case in cases:
        assert (case.box is not None) == case.kind.startswith("box")
        assert bool(case.points) == ("point" in case.kind)
        assert (case.mask_input is not None) == ("logits" in case.kind)
        assert len(case.points) == len(case.labels)


def test_logits_come_from_an_earlier_case() -> None:
    cases = cases_of("a", [ellipse()], kinds=KINDS, most_beyond_boxes=1)
    seen: set[str] = set()
    for case in cases:
        assert case.mask_input is None or case.mask_input in seen
        seen.add(case.name)


def test_points_lie_where_their_labels_say() -> None:
    thing = ellipse()
    cases = cases_of("a", [thing], kinds=KINDS, most_beyond_boxes=1)
    mixed = next(case for case in cases if case.kind == "points")
    assert mixed.labels == (1, 1, 0, 0)
    for case in cases:
        for (x, y), label in zip(case.points, case.labels, strict=True):
            assert thing.mask[y, x] == bool(label)


def test_they_are_the_same_each_time() -> None:
    once, again = (cases_of("a", [ellipse()], kinds=KINDS, most_beyond_boxes=1) for _ in range(2))
    assert once == again
