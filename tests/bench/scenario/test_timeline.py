"""Spans and marks: whose they are, how they ended, and what a piece of the time-line holds."""

from __future__ import annotations

import threading

import pytest

from edgesam.cancel import Cancelled
from edgesam_bench.scenario.timeline import Mark, Span, Timeline


def test_a_span_ends_however_its_work_does() -> None:
    timeline = Timeline()
    with timeline.span("read", 1):
        pass
    with pytest.raises(Cancelled), timeline.span("encode", 1):
        raise Cancelled
    with pytest.raises(ValueError, match="no"), timeline.span("encode", 2):
        raise ValueError("no")
    assert [(s.stage, s.index, s.ahead, s.cancelled) for s in timeline.spans] == [
        ("read", 1, False, False),
        ("encode", 1, False, True),
        ("encode", 2, False, False),
    ]
    assert all(0 <= span.start <= span.end <= timeline.now() for span in timeline.spans)


def test_what_other_threads_do_is_ahead_and_under_way() -> None:
    timeline, begun, end = Timeline(), threading.Event(), threading.Event()

    def work() -> None:
        with timeline.span("encode", 7):
            begun.set()
            assert end.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    with timeline.span("encode", 8):
        assert timeline.under_way() == {7}
    end.set()
    thread.join()
    assert timeline.under_way() == set()
    assert [(span.index, span.ahead) for span in timeline.spans] == [(8, False), (7, True)]


def test_a_piece_is_counted_from_its_start_and_cut_at_its_ends() -> None:
    timeline = Timeline()
    timeline.spans += [
        Span("encode", 3, 4.0, 9.0, True, False),
        Span("read", 2, 1.0, 2.5, True, False),
        Span("read", 1, 0.0, 1.0, True, False),
    ]
    timeline.marks += [Mark("look", 1, 1.0), Mark("look", 2, 3.0)]
    piece = timeline.between(2.0, 5.0)
    assert piece["seconds"] == 3
    assert [(s["index"], s["start"], s["end"]) for s in piece["spans"]] == [(2, 0, 0.5), (3, 2, 3)]
    assert piece["marks"] == [{"kind": "look", "index": 2, "at": 1.0}]
