"""A contender's process: questions and answers, and what is said when it dies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.errors import ParityError
from edgesam_bench.speed.contender import Contender
from edgesam_bench.speed.prompts import Box, box
from edgesam_bench.speed.report import agreement, mask_of
from edgesam_bench.speed.worker import Answers, Program

PROGRAM = """
import sys
import numpy as np
from edgesam_bench.speed import worker

class Small(worker.Program):
    size = 40, 60
    def load(self):
        print("chatter", file=sys.stderr)
        return {"version": "1", "selects": "single"}
    def encode(self):
        pass
    def click(self, corners):
        if "--chatter" in sys.argv:
            print("loading 100 %")
        if "--fail" in sys.argv:
            raise RuntimeError("no such weights")
        return np.ones(self.size, bool)
    def batch(self, boxes):
        return [self.click(corners) for corners in boxes]

raise SystemExit(worker.main(Small(), sys.argv[1:]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "small.py"
    file.write_text(PROGRAM, "utf-8")
    return file


class InHalf(Program):
    """Answers with the left half of the picture."""

    def __init__(self) -> None:
        self.asked: list[Box] = []

    def load(self) -> dict[str, Any]:
        return {"version": "2"}

    @property
    def size(self) -> tuple[int, int]:
        return 5, 9

    def encode(self) -> None:
        pass

    def click(self, corners: Box) -> NDArray[np.bool_]:
        self.asked.append(corners)
        return np.arange(9) < np.full((5, 1), 4)

    def batch(self, boxes: Any) -> object:
        return [self.click(corners) for corners in boxes]


def test_questions_and_answers(program: Path) -> None:
    with Contender("small", [sys.executable, str(program)]) as contender:
        assert contender.ask("load")["about"] == {"version": "1", "selects": "single"}
        assert contender.ask("encode")["seconds"] >= 0
        assert len(contender.ask("click", number=3, count=4)["seconds"]) == 4
        assert contender.ask("batch", number=0, size=16)["seconds"] > 0
        assert contender.ask("mask", select="single")["size"] == [40, 60]


def test_a_fresh_process(program: Path) -> None:
    with Contender("small", [sys.executable, str(program)]) as contender:
        found = contender.once({})
    assert found["start"] > 0
    assert found["peak_mib"] is None or found["peak_mib"] > 1


def test_a_process_that_dies_says_why_in_one_line(program: Path) -> None:
    with Contender("small", [sys.executable, str(program), "--fail"]) as contender:
        contender.ask("load")
        said = r"^small gave no answer: RuntimeError: no such weights$"
        with pytest.raises(ParityError, match=said):
            contender.ask("click", number=0, count=1)
    with (
        Contender("small", [sys.executable, str(program), "--fail"]) as contender,
        pytest.raises(ParityError, match=said),
    ):
        contender.once({})


def test_a_process_that_says_something_else(program: Path) -> None:
    with Contender("small", [sys.executable, str(program), "--chatter"]) as contender:
        contender.ask("load")
        with pytest.raises(ParityError, match=r"^small answered 'loading 100 %'$"):
            contender.ask("click", number=0, count=1)


def test_what_it_cannot_do(program: Path) -> None:
    with Contender("small", [sys.executable, str(program)]) as contender:
        contender.ask("load")
        with pytest.raises(ParityError, match=r"small gave no answer: .*no everything mode"):
            contender.ask("everything", side=8)
    with pytest.raises(AssertionError, match="where its time goes"):
        Answers(InHalf()).stages(count=1, number=0)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        Contender("torch", [str(tmp_path / "python")]) as contender,
        pytest.raises(ParityError, match=r"^torch: cannot run .*python \("),
    ):
        contender.ask("load")


def test_another_box_every_time_and_none_leaves_the_picture() -> None:
    boxes = [box(number, 300, 200) for number in range(256)]
    assert len(set(boxes)) == 256
    for x0, y0, x1, y1 in boxes:
        assert 0 < x0 < x1 < 300
        assert 0 < y0 < y1 < 200
    program = InHalf()
    Answers(program).click(number=2, count=3)
    assert program.asked == [box(number, 9, 5) for number in (2, 3, 4)]


def test_masks_come_back_as_they_were() -> None:
    program = InHalf()
    answer = Answers(program).mask(select="best")
    assert np.array_equal(mask_of(answer), program.click((0, 0, 1, 1)))
    assert agreement(answer, answer) == 1
