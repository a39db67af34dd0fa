"""What is made ahead, in which order, and who goes first; by what happens, not by how long."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam.cancel import Cancel
from edgesam.prefetch import Prefetch

PATIENCE = 10.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "edgesam prefetch"]


class Workshop:
    """Makes numbers, and holds those that it is told to until they are let go or told to end."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.made: list[int] = []
        self.hold: set[int] = set()
        self.fail: dict[int, BaseException] = {}
        self.change = threading.Condition()

    def make(self, index: int, cancel: Cancel) -> int:
        with self.change:
            self.begun.append(index)
            self.change.notify_all()

            def wake() -> None:
                threading.Thread(target=self.notify).start()

            with cancel.by(wake):
                while index in self.hold and not cancel.told:
                    self.change.wait(PATIENCE)
            cancel.check()
            if index in self.fail:
                raise self.fail[index]
            self.made.append(index)
            self.change.notify_all()
            return index

    def notify(self) -> None:
        with self.change:
            self.change.notify_all()

    def wait_for(self, what: Callable[[], bool]) -> None:
        with self.change:
            assert self.change.wait_for(what, PATIENCE), (self.begun, self.made)


@pytest.fixture
def shop() -> Workshop:
    return Workshop()


@pytest.fixture
def prefetch(shop: Workshop) -> Iterator[Prefetch[int]]:
    """Twenty, of which five have room."""
    made = Prefetch(shop.make, lambda _: 10, count=20, memory=50, seconds=PATIENCE)
    yield made
    made.stop()
    made.join()
    assert threads() == []


def settled(prefetch: Prefetch[int], shop: Workshop, count: int) -> None:
    shop.wait_for(lambda: len(shop.made) >= count)
    time.sleep(0.02)  # time for a mistake
    assert len(shop.made) == count


def test_the_view_then_the_next_ones_and_one_behind(
    prefetch: Prefetch[int], shop: Workshop
) -> None:
    prefetch.look(10)
    settled(prefetch, shop, 5)
    assert shop.made == [10, 11, 9, 12, 13]
    assert [index for index in range(20) if prefetch.ready(index)] == [9, 10, 11, 12, 13]


def test_scrolling_back_turns_it_round(prefetch: Prefetch[int], shop: Workshop) -> None:
    prefetch.look(10)
    settled(prefetch, shop, 5)
    prefetch.look(9)
    settled(prefetch, shop, 8)
    assert shop.made[5:] == [8, 7, 6]
    assert [index for index in range(20) if prefetch.ready(index)] == [6, 7, 8, 9, 10]


def test_at_the_ends_there_is_room_for_more_of_the_other_side(
    prefetch: Prefetch[int], shop: Workshop
) -> None:
    prefetch.look(19)
    settled(prefetch, shop, 2)
    assert shop.made == [19, 18]


def test_a_jump_ends_what_is_made_for_later(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.hold = {3}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2, 3])
    prefetch.look(15)
    shop.wait_for(lambda: 15 in shop.made)
    assert shop.begun[:3] == [2, 3, 15]
    assert 3 not in shop.made


def test_scrolling_on_to_what_is_being_made_does_not(
    prefetch: Prefetch[int], shop: Workshop
) -> None:
    shop.hold = {3}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2, 3])
    prefetch.look(3)
    shop.hold = set()
    shop.notify()
    shop.wait_for(lambda: 3 in shop.made)
    assert shop.begun.count(3) == 1


def test_who_asks_goes_first_and_nothing_is_made_meanwhile(
    prefetch: Prefetch[int], shop: Workshop
) -> None:
    shop.hold = {3}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2, 3])
    with prefetch.taken(2) as found:
        assert found == 2
        while prefetch._work is not None:
            time.sleep(0.001)
        time.sleep(0.02)
        assert shop.begun == [2, 3]
    shop.wait_for(lambda: shop.begun == [2, 3, 3])


def test_who_asks_for_what_is_being_made_waits_for_it(
    prefetch: Prefetch[int], shop: Workshop
) -> None:
    shop.hold = {2}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2])
    threading.Timer(0.05, lambda: (shop.hold.clear(), shop.notify())).start()
    with prefetch.taken(2) as found:
        assert found == 2
    assert shop.begun.count(2) == 1


def test_who_asks_for_another_one_makes_it(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.hold = {2}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2])
    with prefetch.taken(17) as found:
        assert found == 17
    assert shop.made == [17]
    assert prefetch.ready(17)


class Late:
    """Makes all but one number at once; that one ends when it is let, however early it was told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begun = threading.Event()
        self.told = threading.Event()
        self.let = threading.Event()
        self.ended = False

    def make(self, index: int, cancel: Cancel) -> int:
        if index == self.number:
            with cancel.by(self.told.set):
                self.begun.set()
                assert self.let.wait(PATIENCE)
            self.ended = True
            cancel.check()
        return index


@pytest.mark.parametrize("waits", [True, False])
def test_who_asks_waits_for_the_end_of_what_was_told_but_not_for_long(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesam.prefetch._MOMENT", PATIENCE if waits else 0.01)
    late = Late(3)
    prefetch = Prefetch(late.make, lambda _: 10, count=20, memory=50, seconds=PATIENCE)
    prefetch.look(2)
    assert late.begun.wait(PATIENCE)

    def let() -> None:
        assert late.told.wait(PATIENCE)
        time.sleep(0.02)  # time for a mistake
        late.let.set()

    letter = threading.Thread(target=let)
    if waits:
        letter.start()
    with prefetch.taken(2) as found:
        assert (found, late.ended) == (2, waits)
    if not waits:
        letter.start()
    letter.join()
    prefetch.stop()
    prefetch.join()


def test_at_rest_nothing_is_made_for_later(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.hold = {3}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2, 3])
    prefetch.rest(PATIENCE)
    while prefetch._work is not None:
        time.sleep(0.001)
    shop.hold = set()
    prefetch.look(1)
    shop.wait_for(lambda: shop.made == [2, 1])  # what is in view is
    time.sleep(0.02)
    assert shop.begun == [2, 3, 1]
    prefetch.rest(0)
    settled(prefetch, shop, 3)
    assert shop.made == [2, 1, 0]


def test_what_is_in_view_is_made_at_rest(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.hold = {2}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2])
    prefetch.rest(0.02)
    shop.hold = set()
    shop.notify()
    settled(prefetch, shop, 5)  # and the others when it is over, with no look
    assert shop.begun == shop.made


def test_failures_are_those_of_who_asks(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.fail = {2: ValueError("the view"), 4: SystemExit()}
    prefetch.look(2)
    settled(prefetch, shop, 3)
    assert shop.begun == [2, 3, 1, 4, 5]
    assert shop.made == [3, 1, 5]
    with pytest.raises(ValueError, match="the view"), prefetch.taken(2):
        pass
    shop.fail = {}
    with prefetch.taken(2) as found:
        assert found == 2
    prefetch.look(2)
    shop.wait_for(lambda: 4 in shop.made)


def test_no_more_is_made_where_memory_is_short(prefetch: Prefetch[int], shop: Workshop) -> None:
    shop.fail = {3: MemoryError()}
    prefetch.look(2)
    shop.wait_for(lambda: shop.begun == [2, 3])
    time.sleep(0.02)
    assert shop.begun == [2, 3]


def test_the_budget_of_time(shop: Workshop) -> None:
    prefetch = Prefetch(shop.make, lambda _: 1, count=9, memory=9, seconds=0.0)
    prefetch.look(4)
    settled(prefetch, shop, 1)
    assert shop.made == [4], "what is in view is made all the same"
    prefetch.stop()
    prefetch.join()


@pytest.mark.parametrize("memory", [0, 9, 10, 19])
def test_less_memory_than_two_take(shop: Workshop, memory: int) -> None:
    prefetch = Prefetch(shop.make, lambda _: 10, count=9, memory=memory, seconds=PATIENCE)
    for index in (4, 5):
        prefetch.look(index)
        shop.wait_for(lambda index=index: index in shop.made)  # type: ignore[misc]
    time.sleep(0.02)
    assert shop.made == [4, 5]
    assert [index for index in range(9) if prefetch.ready(index)] == [5]
    prefetch.stop()
    prefetch.join()


def test_outside(prefetch: Prefetch[int]) -> None:
    for index in (-1, 20):
        with pytest.raises(IndexError, match="there are 20"):
            prefetch.look(index)
        with pytest.raises(IndexError, match="there are 20"), prefetch.taken(index):
            pass
    assert threads() == []


def test_stopped_while_it_makes_something(shop: Workshop) -> None:
    prefetch = Prefetch(shop.make, lambda _: 10, count=20, memory=50, seconds=PATIENCE)
    shop.hold = {1}
    prefetch.look(0)
    shop.wait_for(lambda: shop.begun == [0, 1])
    prefetch.stop()
    prefetch.join()
    assert threads() == []
    assert not prefetch.ready(0)
    with pytest.raises(ValueError, match="closed"):
        prefetch.look(0)
    with pytest.raises(ValueError, match="closed"):
        prefetch.rest(1)
    with pytest.raises(ValueError, match="closed"), prefetch.taken(0):
        pass


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["look", "take", "rest"]), st.integers(0, 11)), max_size=12),
    st.integers(0, 80),
    st.sets(st.integers(0, 11), max_size=3),
)
def test_whatever_a_person_does(
    actions: list[tuple[str, int]], memory: int, broken: set[int]
) -> None:
    """Each gets what was asked for or its error; what is kept stays within its limit."""
    most = 0

    def make(index: int, cancel: Cancel) -> str:
        for _ in range(3):
            time.sleep(0.0005)
            cancel.check()
        if index in broken:
            raise LookupError(index)
        return f"picture {index}"

    prefetch = Prefetch(make, lambda _: 10, count=12, memory=memory, seconds=PATIENCE)
    for action, index in actions:
        if action == "look":
            prefetch.look(index)
        elif action == "rest":
            prefetch.rest(index / 5000)
        elif index in broken:
            with pytest.raises(LookupError), prefetch.taken(index):
                pass
        else:
            with prefetch.taken(index) as found:
                assert found == f"picture {index}"
        with prefetch._change:
            most = max(most, 10 * len(prefetch._kept))
    prefetch.stop()
    prefetch.join()
    assert threads() == []
    assert most <= max(memory, 20)  # one that was asked for, beside the one in view


def test_the_program_may_end_with_it_left_open() -> None:
    code = (
        "from edgesam.prefetch import Prefetch\n"
        "p = Prefetch(lambda i, c: i, lambda _: 1, count=9, memory=9, seconds=99)\n"
        "p.look(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
