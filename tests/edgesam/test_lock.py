"""One process at a time in a bundle's folder."""

import os
import threading
import time
from pathlib import Path

import pytest

from edgesam import lock
from edgesam.lock import LOCK, alone_in


def test_two_are_never_inside_together(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with alone_in(tmp_path):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert list(tmp_path.iterdir()) == []


def test_it_is_left_when_something_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), alone_in(tmp_path):
        raise ValueError("inside")
    assert not (tmp_path / LOCK).exists()


def test_a_killed_process_lock_is_broken_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LOCK).touch()
    monkeypatch.setattr(lock, "_STALE", 0.3)
    start = time.monotonic()
    with alone_in(tmp_path):
        assert time.monotonic() - start >= 0.2, "a fresh lock is respected"
    os.close(os.open(tmp_path / LOCK, os.O_CREAT))
    os.utime(tmp_path / LOCK, (0, 0))
    start = time.monotonic()
    with alone_in(tmp_path):
        assert time.monotonic() - start < 0.2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"), alone_in(tmp_path / "missing"):
        pass


def test_who_says_that_it_is_there_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: others break a lock only when nobody has said so for a while."""
    monkeypatch.setattr(lock, "_STALE", 0.4)
    order: list[str] = []
    begun = threading.Event()

    def build() -> None:
        with alone_in(tmp_path) as alive:
            begun.set()
            for _ in range(10):
                time.sleep(0.1)
                alive()
            order.append("builder")

    builder = threading.Thread(target=build)
    builder.start()
    begun.wait()
    with alone_in(tmp_path):
        order.append("other")
    builder.join()
    assert order == ["builder", "other"]
