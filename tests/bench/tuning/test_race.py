"""Who wins a race, whatever the order and whoever fails; never how long it takes."""

from __future__ import annotations

import math

from edgesam import ParityError
from edgesam.tuned import Choice
from edgesam_bench.tuning.race import CLICKS, Result, race, told, winner

FAST, SLOW, BROKEN = (Choice(name, "fp32", 2) for name in ("fast", "slow", "broken"))
SECONDS = {FAST: (1.0, 0.05), SLOW: (0.9, 0.07)}  # a slower encoder may still win by its clicks

IOU = {"n": 4, "mean": 0.99, "p5": 0.98, "worst": 0.9}


class Asker:
    def __init__(self) -> None:
        self.asked: list[Choice] = []

    def __call__(self, choice: Choice) -> tuple[float, list[float]]:
        self.asked.append(choice)
        if choice == BROKEN:
            raise ParityError("broken gave no answer")
        encode, click = SECONDS[choice]
        return encode, [click, 9.0, click]  # one click that was disturbed


def test_in_turn_and_in_turned_order() -> None:
    ask = Asker()
    results = race([SLOW, FAST], 3, ask)
    assert ask.asked == [SLOW, FAST, FAST, SLOW, SLOW, FAST]
    assert [one.choice for one in results] == [FAST, SLOW]
    assert results[0].cost == 1.0 + CLICKS * 0.05
    assert results[0].rounds == (1.5, 1.5, 1.5)
    assert (results[1].encode, results[1].click) == (0.9, 0.07)


def test_who_fails_is_asked_no_more_and_comes_last() -> None:
    ask = Asker()
    results = race([BROKEN, SLOW, FAST], 4, ask)
    assert ask.asked.count(BROKEN) == 1
    assert [one.choice for one in results] == [FAST, SLOW, BROKEN]
    assert results[-1].failed == "broken gave no answer"
    assert math.isinf(results[-1].cost)


def test_a_variant_must_be_faster_than_noise() -> None:
    def result(variant: str, seconds: float) -> Result:
        return Result(Choice("engine", variant, 2), seconds, 0.0, (seconds,))

    fp32 = result("fp32", 1.0)
    assert winner([result("int8", 0.98), result("int8", 0.99), fp32]) is fp32
    clear = result("int8", 0.9)
    assert winner([clear, fp32]) is clear
    assert winner([fp32, result("int8", 1.01)]) is fp32
    assert winner([clear]) is clear
    broken = Result(Choice("engine", "fp32", 2), 0.0, 0.0, (), "broken")
    assert winner([clear, broken]) is clear


def test_what_json_says() -> None:
    rows = told(race([FAST, BROKEN, SLOW], 1, Asker()), {"fp32": IOU})
    assert [row["ratio"] for row in rows] == [1.0, 1.6 / 1.5, None]
    assert rows[-1]["encode"] is None
    assert rows[0] == {
        "engine": "fast",
        "variant": "fp32",
        "threads": 2,
        "mask_iou": IOU,
        "failed": None,
        "encode": 1.0,
        "click": 0.05,
        "rounds": [1.5],
        "ratio": 1.0,
    }
