"""Bundles: verified when used, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgesam
from edgesam import BundleError, ChecksumMismatch, ModelNotFound, bundle
from edgesam.bundle import MANIFEST, Bundle, find_bundle, open_bundle, write_bundle
from edgesam.digest import sha256_of
from edgesam.engines.fake import FakeEngine
from edgesam.home import bundle_path
from edgesam.manifest import ROLES, BundleFile

Make = Callable[..., Bundle]


def graphs(opened: Bundle) -> list[BundleFile]:
    variant = opened.variants["fp32"]
    return [variant.graph(role) for role in ROLES]


def with_weights(opened: Bundle, data: bytes = b"weights") -> Bundle:
    """The same bundle with its encoder's weights in a file of their own."""
    sha256 = hashlib.sha256(data).hexdigest()
    entry = BundleFile(f"image_encoder.fp32.{sha256[:8]}.data", sha256, len(data))
    (opened.path / entry.file).write_bytes(data)
    variant = replace(opened.variants["fp32"], weights=entry)
    manifest = replace(opened.manifest, variants={"fp32": variant})
    (opened.path / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return open_bundle(opened.path)


def contents(opened: Bundle) -> str:
    """What the bundle's graphs say, once verified."""
    said = {opened.verified(file).read_text("utf-8").split()[0] for file in graphs(opened)}
    assert len(said) == 1, "graphs of two bundles are mixed"
    return said.pop()


def flip(path: Path) -> None:
    """Change one byte, after as long as a file system needs to give it another time."""
    time.sleep(0.02)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are hashed."""
    seen: list[Path] = []

    def spy(path: Path) -> str:
        seen.append(path)
        return sha256_of(path)

    monkeypatch.setattr(bundle, "sha256_of", spy)
    return seen


class TestOpening:
    def test_round_trip(self, make_bundle: Make) -> None:
        written = make_bundle()
        opened = open_bundle(written.path)
        assert opened == written
        assert contents(opened) == "graph"
        assert open_bundle(str(written.path)) == written

    def test_no_bundle(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "missing"):
            with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
                open_bundle(path)
        file = tmp_path / "file"
        file.touch()
        with pytest.raises(BundleError, match=r"is not a bundle|cannot be read"):
            open_bundle(file)

    def test_a_manifest_that_cannot_be_read(self, make_bundle: Make) -> None:
        path = make_bundle().path
        (path / MANIFEST).write_bytes(b"\xff\xfe\x00{")
        with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
            open_bundle(path)
        (path / MANIFEST).unlink()
        (path / MANIFEST).mkdir()
        with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
            open_bundle(path)

    def test_an_earlier_schema(self, make_bundle: Make) -> None:
        path = make_bundle().path / MANIFEST
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "schema": 1}), "utf-8")
        with pytest.raises(BundleError, match=r"schema 1.*: pull or export it again$"):
            open_bundle(path.parent)

    def test_variants(self, make_bundle: Make) -> None:
        opened = make_bundle()
        assert opened.variant("auto") == ("fp32", opened.variants["fp32"])
        assert opened.variant("fp32")[0] == "fp32"
        with pytest.raises(BundleError, match=r"no variant 'int8'; it has: fp32"):
            opened.variant("int8")
        opened.variants.clear()
        with pytest.raises(BundleError, match="it has: none"):
            opened.variant("auto")


class TestFinding:
    def test_an_unknown_name(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFound, match=r"'sam-9000' is neither a known model.*mobile-sam"):
            find_bundle("sam-9000")
        with pytest.raises(ModelNotFound, match="nor a folder"):
            find_bundle(tmp_path / "missing")

    def test_a_model_that_is_not_here(self) -> None:
        with pytest.raises(ModelNotFound, match="run: edgesam pull lite-medsam"):
            find_bundle("lite-medsam")

    def test_a_model_that_is_here(self, make_bundle: Make) -> None:
        path = make_bundle().path
        bundle_path("mobile-sam").parent.mkdir(parents=True)
        path.rename(bundle_path("mobile-sam"))
        assert contents(find_bundle("mobile-sam")) == "graph"

    def test_a_folder(self, make_bundle: Make) -> None:
        path = make_bundle().path
        assert find_bundle(path) == find_bundle(str(path)) == open_bundle(path)


class TestVerifying:
    def test_a_byte_flipped_before_the_first_load(self, make_bundle: Make) -> None:
        opened = make_bundle()
        for file in graphs(opened):
            flip(opened.path / file.file)
            with pytest.raises(ChecksumMismatch, match=f"{file.sha256[:12]}.*pull it again"):
                opened.verified(file)

    def test_weights_that_were_changed(self, make_bundle: Make) -> None:
        opened = with_weights(make_bundle())
        weights = opened.variants["fp32"].weights
        assert weights is not None
        path = opened.verified(weights)
        assert path.read_bytes() == b"weights"
        flip(path)
        with pytest.raises(ChecksumMismatch, match=f"{weights.sha256[:12]}.*pull it again"):
            opened.verified(weights)

    def test_a_byte_flipped_after_a_load(self, make_bundle: Make) -> None:
        opened = make_bundle()
        for file in graphs(opened):
            opened.verified(file)
            flip(opened.path / file.file)
            with pytest.raises(ChecksumMismatch):
                opened.verified(file)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no change time to look at")
    def test_a_flipped_byte_under_the_old_modification_time(self, make_bundle: Make) -> None:
        opened = make_bundle()
        for file in graphs(opened):
            path = opened.verified(file)
            times = path.stat()
            flip(path)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert path.stat().st_mtime_ns == times.st_mtime_ns
            with pytest.raises(ChecksumMismatch):
                opened.verified(file)

    def test_a_file_put_in_its_place(self, make_bundle: Make, tmp_path: Path) -> None:
        opened = make_bundle()
        file = graphs(opened)[0]
        path = opened.verified(file)
        times = path.stat()
        other = tmp_path / "other"
        other.write_bytes(b"x" * times.st_size)
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(path)
        with pytest.raises(ChecksumMismatch):
            opened.verified(file)

    def test_the_second_load_hashes_nothing(self, make_bundle: Make, hashed: list[Path]) -> None:
        path = make_bundle().path
        for _ in range(3):
            contents(open_bundle(path))
        assert len(hashed) == 3

    def test_each_bundle_is_hashed_by_itself(self, make_bundle: Make, hashed: list[Path]) -> None:
        contents(make_bundle("one"))
        contents(make_bundle("two"))
        assert len(hashed) == 6

    def test_a_spoiled_memory_is_not_believed(
        self, make_bundle: Make, hashed: list[Path], own_home: Path
    ) -> None:
        opened = make_bundle()
        contents(opened)
        for stamp in (own_home / "verified").iterdir():
            stamp.write_text("[", "utf-8")
        contents(opened)
        assert len(hashed) == 6

    @pytest.mark.parametrize("kind", ["a file", "no rights", "no home"])
    def test_without_a_place_to_remember(
        self,
        make_bundle: Make,
        hashed: list[Path],
        own_home: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
    ) -> None:
        opened = make_bundle()
        if kind == "a file":
            own_home.write_text("in the way")
        elif kind == "no rights":  # root may write everywhere: the call itself must fail
            refuse = PermissionError(errno.EACCES, "Permission denied")
            monkeypatch.setattr(Path, "mkdir", raising(refuse))
        else:
            monkeypatch.setattr(bundle, "home", raising(edgesam.EdgeSamError("no home")))
        for _ in range(2):
            assert contents(opened) == "graph"
        assert len(hashed) == 6

    def test_a_missing_file(self, make_bundle: Make) -> None:
        opened = make_bundle()
        file = graphs(opened)[1]
        (opened.path / file.file).unlink()
        with pytest.raises(BundleError, match=f"lacks {file.file}; export it again"):
            opened.verified(file)

    def test_a_folder_in_its_place(self, make_bundle: Make) -> None:
        opened = make_bundle()
        file = graphs(opened)[1]
        (opened.path / file.file).unlink()
        (opened.path / file.file).mkdir()
        with pytest.raises(BundleError, match="cannot be read"):
            opened.verified(file)


def passport(mean: float = 0.5, **more: Any) -> dict[str, Any]:
    """A report whose figures hold a gate of 0.4."""
    gate = {"mean": 0.4, "p5": 0.4, "worst": 0.4}
    return {"mask_iou": {"mean": mean, "p5": mean, "worst": mean}, "gate": gate, **more}


class TestPassports:
    def test_of_these_graphs(self, make_bundle: Make) -> None:
        opened = make_bundle(passport=passport())
        report = opened.passport(opened.variants["fp32"])
        assert report is not None
        assert report["mask_iou"]["mean"] == 0.5

    def test_none(self, make_bundle: Make) -> None:
        opened = make_bundle()
        assert opened.passport(opened.variants["fp32"]) is None

    def test_weights_are_measured_too(self, make_bundle: Make) -> None:
        opened = make_bundle(passport=passport())
        assert opened.passport(opened.variants["fp32"]) is not None
        other = with_weights(opened)
        assert other.passport(other.variants["fp32"]) is None, "it measured no weights"

    def test_of_other_graphs(self, make_bundle: Make) -> None:
        other = dict.fromkeys(ROLES, "0" * 64)
        opened = make_bundle(passport=passport(graphs=other))
        assert opened.passport(opened.variants["fp32"]) is None

    @pytest.mark.parametrize(
        "report", [{}, {"mask_iou": None}, {"mask_iou": {}}, {"mask_iou": {"mean": None}}]
    )
    def test_that_is_none(self, make_bundle: Make, report: dict[str, Any]) -> None:
        opened = make_bundle(passport=report)
        with pytest.raises(BundleError, match="is not a parity report"):
            opened.passport(opened.variants["fp32"])

    @pytest.mark.parametrize("mean", [0.3, -3.0, 1.1, float("nan")])
    def test_whose_figures_do_not_hold_its_gate(self, make_bundle: Make, mean: float) -> None:
        opened = make_bundle(passport=passport(mean))
        assert opened.passport(opened.variants["fp32"]) is None

    def test_that_was_changed(self, make_bundle: Make) -> None:
        opened = make_bundle(passport=passport())
        variant = opened.variants["fp32"]
        assert variant.passport is not None
        path = opened.path / variant.passport.file
        path.write_text(path.read_text("utf-8").replace("0.5", "1.0"), "utf-8")
        with pytest.raises(ChecksumMismatch):
            opened.passport(variant)


class Died(BaseException):
    """The process ends here: nothing may tidy up."""


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def steps(monkeypatch: pytest.MonkeyPatch, fail_at: int, error: BaseException) -> list[str]:
    """Count the steps that touch the disk, and fail at one of them."""
    taken: list[str] = []

    def step(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            taken.append(name)
            if len(taken) == fail_at:
                raise error
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", step("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", step("replace", Path.replace))
    monkeypatch.setattr(Path, "mkdir", step("mkdir", Path.mkdir))
    return taken


def rewritten(make_bundle: Make) -> tuple[Path, Callable[[], Bundle]]:
    """The path of a bundle "old", and what writes the bundle "new" over it."""
    old, new = make_bundle("kept", content="old"), make_bundle("source", content="new")
    files = {}
    for file in graphs(new):
        files[file.file] = new.path / file.file
    return old.path, lambda: write_bundle(old.path, new.manifest, files)


class TestWriting:
    def test_old_files_are_swept_and_others_kept(self, make_bundle: Make) -> None:
        path, write = rewritten(make_bundle)
        strangers = ["notes.txt", "mine.json", "mine.onnx", "image_encoder.onnx", "a.fp32.png"]
        for name in strangers:
            (path / name).write_text("mine")
        killed = ["image_encoder.fp32.00000000.onnx", "passport.fp32.00000000.json"]
        for name in [*killed, ".edgesam-0123456789abcdef.tmp"]:
            (path / name).write_text("left by a killed export")
        new = write()
        assert contents(open_bundle(path)) == "new"
        kept = {entry.name for entry in path.iterdir()}
        assert kept == {MANIFEST, *strangers, *(file.file for file in graphs(new))}

    def test_the_manifest_is_the_same_bytes_everywhere(self, make_bundle: Make) -> None:
        text = (make_bundle().path / MANIFEST).read_bytes()
        assert b"\r" not in text
        assert (
            hashlib.sha256(text).digest()
            == hashlib.sha256((make_bundle("again").path / MANIFEST).read_bytes()).digest()
        )

    def test_a_missing_parent(self, make_bundle: Make, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(tmp_path / "no" / "bundle", make_bundle().manifest, {})

    @pytest.mark.parametrize("fail_at", range(1, 11))
    def test_the_disk_is_full(
        self, make_bundle: Make, fail_at: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, write = rewritten(make_bundle)
        before = {entry.name for entry in path.iterdir()}
        full = OSError(errno.ENOSPC, "No space left on device")
        taken = steps(monkeypatch, fail_at, full)
        failure = None
        try:
            write()
        except BundleError as error:
            failure = str(error)
        if failure is not None:
            assert "\n" not in failure
            assert "space" in failure
            assert contents(open_bundle(path)) == "old"
            assert {entry.name for entry in path.iterdir()} == before, "something was left"
        else:  # the last steps may fail: the bundle is written by then
            assert len(taken) < fail_at or taken[fail_at - 1] == "fsync"
            assert contents(open_bundle(path)) == "new"

    @pytest.mark.parametrize("fail_at", range(1, 11))
    def test_the_process_dies(
        self, make_bundle: Make, fail_at: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, write = rewritten(make_bundle)
        with monkeypatch.context() as patch:
            taken = steps(patch, fail_at, Died())
            try:
                write()
            except Died:
                assert len(taken) == fail_at
        assert contents(open_bundle(path)) in ("old", "new")
        source = make_bundle("third", content="third")
        files = {file.file: source.path / file.file for file in graphs(source)}
        write_bundle(path, source.manifest, files)
        assert contents(open_bundle(path)) == "third"
        assert len(list(path.iterdir())) == 4, "what the dead one left is swept"

    def test_all_steps_are_covered_above(
        self, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, write = rewritten(make_bundle)
        taken = steps(monkeypatch, 0, Died())
        write()
        assert taken.count("replace") == 4
        assert 8 <= len(taken) < 11

    def test_a_first_bundle_that_fails_leaves_nothing_in_the_folder(
        self, make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = make_bundle()
        files = {file.file: source.path / file.file for file in graphs(source)}
        steps(monkeypatch, 6, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(BundleError, match="space"):
            write_bundle(tmp_path / "first", source.manifest, files)
        assert list((tmp_path / "first").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is being read")
def test_loads_while_exports_replace_the_bundle(make_bundle: Make) -> None:
    """Every load gives one whole bundle, whichever."""
    path = make_bundle("kept", content="first").path
    sources: list[Bundle] = [make_bundle(f"s{i}", content=f"v{i}") for i in range(30)]
    done = threading.Event()
    problems: list[BaseException] = []
    loads = 0

    def worker() -> None:
        nonlocal loads
        try:
            while not done.is_set():
                with edgesam.load(path, engine=FakeEngine()):
                    loads += 1
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for source in sources:
        files = {file.file: source.path / file.file for file in graphs(source)}
        write_bundle(path, source.manifest, files)
    done.set()
    for thread in threads:
        thread.join()
    assert not problems, json.dumps([str(problem) for problem in problems])
    assert loads
    assert contents(open_bundle(path)) == "v29"
