"""A bundle on disk: opened, verified, written. Knows files and hashes, not what graphs compute.

A bundle is a folder with ``manifest.json`` and the files it names. Graph files carry a part of
their hash in their name and the manifest is replaced last, in one step: whoever kills an export
leaves the old bundle or the new one. Nothing that a manifest names is ever executed or unpickled.
Plans that TensorRT built of the graphs (folder ``tensorrt``) are programs for a GPU: take them
along only from where you would take a program.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesam.atomic import write_atomic
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, ChecksumMismatch, EdgeSamError, ModelNotFound
from edgesam.home import bundle_path, home
from edgesam.lock import LOCK, alone_in
from edgesam.manifest import BundleFile, Manifest, Variant
from edgesam.models import MODELS

logger = logging.getLogger("edgesam")

MANIFEST = "manifest.json"
PLANS = "tensorrt"  # folder of what TensorRT makes of the graphs beside it
# What an exporter leaves in a bundle's folder, whether it finishes or is killed.
_OURS = re.compile(
    r"(image_encoder|image_side|mask_decoder|passport)\.\w+\.[0-9a-f]{8}\.(onnx|data|json)"
    r"|\.edgesam-\w+\.tmp"
)
_SCRATCH = re.compile(r"\.export-\w+")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        path: its folder.
        manifest: what it says of itself.
    """

    path: Path
    manifest: Manifest

    @property
    def variants(self) -> dict[str, Variant]:
        return self.manifest.variants

    def variant(self, name: str) -> tuple[str, Variant]:
        """The variant of that name, or the default one for ``auto``, with its name.

        Raises:
            BundleError: the bundle has no such variant.
        """
        if name == "auto":
            name = next(iter(self.variants), "fp32")
        if name not in self.variants:
            have = ", ".join(self.variants) or "none"
            raise BundleError(f"the bundle {self.path} has no variant {name!r}; it has: {have}")
        return name, self.variants[name]

    def verified(self, file: BundleFile) -> Path:
        """The path of a file of this bundle, its bytes checked.

        Raises:
            BundleError: the file is missing or cannot be read.
            ChecksumMismatch: its bytes are not those the manifest names.
        """
        path = self.path / file.file
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise BundleError(
                f"the bundle {self.path} lacks {file.file}; export it again"
            ) from None
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from None
        stamp = _Stamp(path, stat)
        if stamp.holds(file.sha256):
            return path
        try:
            found = sha256_of(path)
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from None
        if found != file.sha256:
            raise ChecksumMismatch(
                f"{path} has sha256 {found[:12]}..., the manifest says {file.sha256[:12]}...: the "
                "bundle was changed or damaged; export or pull it again"
            )
        stamp.write(found)
        return path

    def passport(self, variant: Variant) -> dict[str, Any] | None:
        """The parity report of a variant, if it has one that measured these very graphs.

        Raises:
            BundleError: the report is missing, or is none.
            ChecksumMismatch: it is not the one the manifest names.
        """
        if variant.passport is None:
            return None
        path = self.verified(variant.passport)
        try:
            report: dict[str, Any] = json.loads(path.read_text("utf-8"))
            measured, holds = report["graphs"], _holds(report)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise BundleError(f"{path} is not a parity report; export the bundle again") from None
        return report if measured == variant.graphs and holds else None


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open the bundle in a folder; its files are checked when they are used.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be used.
    """
    folder = Path(path)
    try:
        text = (folder / MANIFEST).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read: {error}") from None
    return Bundle(folder, Manifest.from_json(text, str(folder / MANIFEST)))


def find_bundle(model: str | os.PathLike[str]) -> Bundle:
    """The bundle of a known model, as ``edgesam pull`` left it, or the one in a folder.

    Raises:
        ModelNotFound: the name is unknown, or the model has not been pulled.
        BundleError: it is there and cannot be used.
    """
    if isinstance(model, str) and model in MODELS:
        if not (bundle_path(model) / MANIFEST).exists():
            raise ModelNotFound(f"{model} is not on this machine; run: edgesam pull {model}")
        return open_bundle(bundle_path(model))
    if Path(model).exists():
        return open_bundle(model)
    known = ", ".join(MODELS)
    raise ModelNotFound(f"{os.fspath(model)!r} is neither a known model ({known}) nor a folder")


def write_bundle(path: Path, manifest: Manifest, files: dict[str, Path]) -> Bundle:
    """Put finished files into a bundle's folder and make the manifest name them.

    Args:
        path: the bundle's folder; its parent must exist.
        manifest: naming every file.
        files: name in the bundle -> a finished file on the same disk, moved from there.

    Raises:
        BundleError: the folder cannot be written; what was there is there still.
    """
    try:
        path.mkdir(exist_ok=True)
        for source in files.values():
            with source.open("rb+") as file:
                os.fsync(file.fileno())
        with alone_in(path):
            _place(path, manifest, files)
            _sweep(path, manifest)
    except OSError as error:
        raise BundleError(f"the bundle {path} cannot be written: {error.strerror}") from None
    return Bundle(path, manifest)


def _place(path: Path, manifest: Manifest, files: dict[str, Path]) -> None:
    """Move the files in, then replace the manifest; take everything back if that fails."""
    added: list[Path] = []
    try:
        for name, source in files.items():
            if not (path / name).exists():
                added.append(path / name)
            _move(source, path / name)
        write_atomic(path / MANIFEST, manifest.to_json().encode(), error=BundleError)
    except (OSError, BundleError):
        for file_path in added:
            with contextlib.suppress(OSError):
                file_path.unlink(missing_ok=True)
        raise


def _move(source: Path, target: Path) -> None:
    """Put a file in its place; on Windows none can take the place of one that an engine reads."""
    try:
        source.replace(target)
    except PermissionError:
        if not target.exists() or sha256_of(target) != sha256_of(source):
            raise


def _sweep(path: Path, manifest: Manifest) -> None:
    """Remove what earlier exports wrote and this manifest does not name; nothing else."""
    named = {MANIFEST}
    for variant in manifest.variants.values():
        named.update(file.file for file in variant.files)
    for entry in path.iterdir():
        if entry.name not in named and _OURS.fullmatch(entry.name):
            with contextlib.suppress(OSError):  # still open in another process: the next sweep's
                entry.unlink()
    stems = {Path(name).stem for name in named}
    for plan in (path / PLANS).glob("*.plan"):
        if ".".join(plan.name.split(".")[:3]) not in stems:  # of a graph that is no longer here
            with contextlib.suppress(OSError):
                plan.unlink()


def left_by_export(name: str) -> bool:
    """Whether a file of that name in a bundle's folder is an exporter's, finished or killed."""
    return name in (MANIFEST, LOCK, PLANS) or bool(
        _OURS.fullmatch(name) or _SCRATCH.fullmatch(name)
    )


def _holds(report: dict[str, Any]) -> bool:
    """Whether a parity report's masks pass the gate it names itself, and were enough to tell."""
    iou, gate = report["mask_iou"], report["gate"]
    return not report.get("too_few") and all(
        0.0 <= float(gate[figure]) <= float(iou[figure]) <= 1.0
        for figure in ("mean", "p5", "worst")
    )


class _Stamp:
    """Remembers, outside the bundle, that a file with this size and these times had this hash.

    The second load then costs a stat. The times include the change time, which a program that
    restores the modification time cannot set on POSIX systems.
    """

    def __init__(self, path: Path, stat: os.stat_result) -> None:
        key = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        try:
            self._file: Path | None = home() / "verified" / f"{key}.json"
        except EdgeSamError:  # no home folder: nothing is remembered
            self._file = None
        self._state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]

    def holds(self, sha256: str) -> bool:
        if self._file is None:
            return False
        try:
            return bool(json.loads(self._file.read_text("utf-8")) == [sha256, *self._state])
        except (OSError, ValueError):
            return False

    def write(self, sha256: str) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps([sha256, *self._state]), "utf-8")
            temporary.replace(self._file)
        except OSError as error:  # a read-only home costs time, not correctness
            logger.debug("verified hashes are not remembered: %s", error)
