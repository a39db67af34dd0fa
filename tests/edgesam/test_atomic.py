"""A write either happens wholly or leaves what was there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from edgesam.atomic import remove_abandoned, write_atomic
from edgesam.errors import BundleError, ImageError


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_atomic(target, b"old")
    write_atomic(str(target), b"new")
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "atomic", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "not permitted"), (errno.EIO, "cannot write")],
)
def test_a_failure_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, words: str
) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BundleError, match=words) as caught:
        write_atomic(target, b"new", error=BundleError)
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.bin", b"new")
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no folder") as caught:
        write_atomic(tmp_path / "missing" / "a.png", b"")
    assert str(tmp_path / "missing") in str(caught.value)
    assert not (tmp_path / "missing").exists()


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ImageError, match="it is a folder"):
        write_atomic(tmp_path / "a", b"")


def test_what_was_abandoned_is_removed(tmp_path: Path) -> None:
    for name in (".edgesam-0a.tmp", ".edgesam-1b.tmp", "x.tmp", "a.png", ".edgesam-lock"):
        (tmp_path / name).touch()
        if name != ".edgesam-1b.tmp":
            os.utime(tmp_path / name, (1, 1))
    remove_abandoned(tmp_path)
    assert set(names(tmp_path)) == {".edgesam-1b.tmp", "x.tmp", "a.png", ".edgesam-lock"}
    remove_abandoned(tmp_path / "missing")
