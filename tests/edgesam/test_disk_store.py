"""Entries on disk: whole or not at all, found out when damaged, within their limit."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam import EdgeSamError
from edgesam.disk_store import DiskStore

OVERHEAD = 32  # the digest


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def content(number: int, size: int = 1000) -> bytes:
    return bytes([number % 256]) * size


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "cache", 1 << 20)


def aged(store: DiskStore, number: int, seconds: float) -> None:
    path = store.folder / f"{key(number)}.entry"
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def entries(store: DiskStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_what_was_put_is_there_also_for_others(store: DiskStore) -> None:
    assert store.get(key(1)) is None
    store.put(key(1), content(1))
    assert store.get(key(1)) == content(1)
    assert DiskStore(store.folder, 5).get(key(1)) == content(1)
    store.put(key(1), content(2))
    assert store.get(key(1)) == content(2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: bytes([data[0] ^ 128]) + data[1:],
    ],
    ids=["digest cut", "cut", "longer", "empty", "zeros", "a bit", "a bit of the digest"],
)
def test_damage_is_found_out(
    store: DiskStore, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    store.put(key(1), content(1))
    path = store.folder / f"{key(1)}.entry"
    path.write_bytes(damage(path.read_bytes()))
    assert store.get(key(1)) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert not path.exists()
    store.put(key(1), content(1))
    assert store.get(key(1)) == content(1)


def test_an_entry_under_another_ones_name_is_damaged(store: DiskStore) -> None:
    store.put(key(1), content(1))
    (store.folder / f"{key(1)}.entry").rename(store.folder / f"{key(2)}.entry")
    assert store.get(key(2)) is None


def test_the_one_not_used_for_longest_goes(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, 3 * (1000 + OVERHEAD))
    for number in range(3):
        store.put(key(number), content(number))
        aged(store, number, 100 - number)
    assert store.get(key(0)) == content(0)  # used now
    store.put(key(3), content(3))
    assert [number for number in range(4) if store.get(key(number))] == [0, 2, 3]
    store.put(key(4), content(4, 3 * 1000))
    assert [number for number in range(5) if store.get(key(number))] == [4]


def test_what_never_fits_displaces_nothing(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, 2000)
    store.put(key(1), content(1))
    store.put(key(2), content(2, 2000))
    assert store.get(key(1)) == content(1)
    assert store.get(key(2)) is None


def test_files_of_others_stay(tmp_path: Path) -> None:
    others = {"notes.txt", "a.entry", f"{key(1)}.entry.bak", ".edgesam-lock"}
    for name in others:
        (tmp_path / name).write_bytes(bytes(5000))
    (tmp_path / f"{key(7)}.entry.d").mkdir()
    store = DiskStore(tmp_path, 2000)
    for number in range(5):
        store.put(key(number), content(number))
    store.clear()
    assert entries(store) == {*others, f"{key(7)}.entry.d"}


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such rights on Windows")
def test_the_folder_is_this_users_alone(store: DiskStore) -> None:
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(EdgeSamError, match="parent exists"):
        DiskStore(tmp_path / "no" / "cache", 1)
    (tmp_path / "file").touch()
    with pytest.raises(EdgeSamError, match="cannot be made a cache"):
        DiskStore(tmp_path / "file", 1)


def test_a_full_disk(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(key(1), content(1))
    tries = []

    def full(_: int) -> None:
        tries.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for number in range(2, 6):
        store.put(key(number), content(number))
    assert len(tries) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no space left on the disk" in caplog.text
    assert store.get(key(1)) == content(1)
    assert entries(store) == {f"{key(1)}.entry"}


def test_a_folder_that_vanished(store: DiskStore, caplog: pytest.LogCaptureFixture) -> None:
    store.folder.rmdir()
    for number in range(2):
        store.put(key(number), content(number))
        assert store.get(key(number)) is None
    assert len(caplog.records) == 1


CHILD = """
import hashlib, os, random, sys, time
from pathlib import Path
from edgesam.disk_store import DiskStore

def key(number):
    return hashlib.sha256(str(number).encode()).hexdigest()

def content(number, size):
    return bytes([number % 256]) * size

folder = Path(sys.argv[1])
"""


def child(folder: Path, code: str, *more: str) -> subprocess.Popen[str]:
    program = CHILD + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_while_it_writes(store: DiskStore) -> None:
    process = child(
        store.folder,
        """
        def hang(handle):
            print("writing", flush=True)
            time.sleep(600)
        store = DiskStore(folder, 1 << 20)
        store.put(key(1), content(1, 1000))
        os.fsync = hang
        store.put(key(2), content(2, 1000))
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.communicate()
    (unfinished,) = store.folder.glob(".edgesam-*.tmp")
    assert store.get(key(1)) == content(1)
    assert store.get(key(2)) is None
    store.put(key(2), content(2))
    assert unfinished.exists(), "it may be another process's that still writes"
    os.utime(unfinished, (1, 1))
    store.put(key(3), content(3))
    assert entries(store) == {f"{key(number)}.entry" for number in (1, 2, 3)}


def test_killed_at_any_moment(store: DiskStore) -> None:
    """Large entries one after another: whatever is there after kill -9 is whole."""
    for _ in range(3):
        process = child(
            store.folder,
            """
            store = DiskStore(folder, 1 << 30)
            for number in range(10 ** 6):
                store.put(key(number % 5), content(number % 5, 3_000_000))
                print(number, flush=True)
            """,
        )
        assert process.stdout is not None
        for _ in range(7):
            process.stdout.readline()
        process.kill()
        process.communicate()
        for path in store.folder.glob("*.entry"):
            assert path.stat().st_size == 3_000_000 + OVERHEAD
        for number in range(5):
            assert store.get(key(number)) == content(number, 3_000_000)
        store.clear()


def test_two_processes_share_a_folder_under_load(store: DiskStore) -> None:
    limit = 5 * (1000 + OVERHEAD)
    code = """
    store, found = DiskStore(folder, int(sys.argv[2])), 0
    chance = random.Random(int(sys.argv[3]))
    for _ in range(300):
        number = chance.randrange(12)
        got = store.get(key(number))
        assert got in (None, content(number, 1000)), number
        found += got is not None
        if got is None:
            store.put(key(number), content(number, 1000))
    print(found)
    """
    processes = [child(store.folder, code, str(limit), str(seed)) for seed in (1, 2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert int(out) > 0
    files = list(store.folder.iterdir())
    assert sum(path.stat().st_size for path in files) <= limit
    assert len(files) == 5
