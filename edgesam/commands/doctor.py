"""``edgesam doctor``: what is wrong on this machine, or with a study; repairs nothing."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from edgesam import __version__
from edgesam.bundle import open_bundle
from edgesam.commands.findings import Finding, tell
from edgesam.commands.models import engine_rows
from edgesam.commands.study import read_and_describe
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, ImageError
from edgesam.home import home
from edgesam.models import DEFAULT_MODEL, MODELS

NAME = "doctor"
HELP = "check this machine, or how a file or study is read and written"

# A checkpoint, its bundle, and the copies that exist while they are written.
_ROOM = 500_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file or study to look at, instead of the machine."""
    parser.add_argument(
        "study",
        nargs="?",
        type=Path,
        help="an image file or a study: say how it is read, what is odd about it, and whether a "
        "test mask comes back from every format where it was",
    )
    parser.add_argument("--frame", type=int, metavar="N", help="the frame of a multi-frame file")
    parser.add_argument("--series", metavar="N", help="of a study with several")


def run(args: argparse.Namespace) -> int:
    """Prints the findings; 1 if one of them is a problem.

    Raises:
        EdgeSamError: the file or study cannot be read, or ``--frame`` came without one.
    """
    if args.study is None and (args.frame is not None or args.series is not None):
        raise ImageError("--frame and --series need the FILE or STUDY that is meant")
    if args.study is None:
        return tell(_findings(), as_json=args.json)
    facts, found = read_and_describe(args.study, args.frame, args.series)
    return tell(found, as_json=args.json, **facts)


def _findings() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("edgesam", "ok", __version__)
    numpy = _numpy()
    yield numpy
    yield from _onnxruntime_twice()
    yield _codecs()
    yield _pip()
    yield _store()
    yield from _bundles()
    # Engines cannot even be asked without numpy.
    if numpy.state == "ok":
        yield from _engines()


def _numpy() -> Finding:
    try:
        import numpy as np
    except ImportError as error:
        # numpy's own advice on a broken installation spans pages.
        reason = str(error).strip().partition("\n")[0]
        return Finding("numpy", "problem", f"{reason}. Try: pip install --force-reinstall numpy")
    return Finding("numpy", "ok", np.__version__)


def _engines() -> Iterator[Finding]:
    from edgesam.engines.ort import cuda

    rows = engine_rows()
    for row in rows:
        state: Literal["ok", "note"] = "ok" if row.reason is None else "note"
        yield Finding(f"engine {row.name}", state, row.reason or ", ".join(row.devices))
        if "cuda" in row.devices and row.name == "onnxruntime":
            flaw = cuda.missing()
            if flaw is not None:
                yield Finding(f"{row.name} on cuda", "note", flaw)
    if all(row.reason for row in rows):
        yield Finding(
            "engines", "problem", 'none of them works here. Try: pip install "edgesam[cpu]"'
        )


def _onnxruntime_twice() -> Iterator[Finding]:
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        yield Finding(
            "onnxruntime",
            "problem",
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files. "
            "Try: pip uninstall -y onnxruntime onnxruntime-gpu, "
            'then pip install "edgesam[gpu]" (or "edgesam[cpu]")',
        )


def _codecs() -> Finding:
    if find_spec("gdcm"):
        also = " and imagecodecs" if find_spec("imagecodecs") else ""
        return Finding("codecs", "ok", f"compressed DICOM is read with gdcm{also}")
    return Finding(
        "codecs",
        "note",
        "JPEG lossless, JPEG-LS and some JPEG 2000 inside DICOM need gdcm. "
        'Try: pip install "edgesam[codecs]"',
    )


def _store() -> Finding:
    """Whether EDGESAM_HOME, or the folder it will be made in, takes files."""
    folder = home()
    advice = "set EDGESAM_HOME to a writable folder with room"
    try:
        existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(
            "EDGESAM_HOME", "problem", f"{folder} is not writable ({error.strerror}): {advice}"
        )
    room = f"{folder} (writable, {free / 1e9:.1f} GB free)"
    if free < _ROOM:
        return Finding("EDGESAM_HOME", "problem", f"{room} is nearly full: {advice}")
    return Finding("EDGESAM_HOME", "ok", room)


def _bundles() -> Iterator[Finding]:
    """Every bundle in the store. Its files are hashed here, whatever was found of them before."""
    folder = home() / "bundles"
    found = sorted(path for path in folder.glob("*") if path.is_dir())
    for path in found:
        flaw = _flaw(path)
        redo = f"pull --force {path.name}" if path.name in MODELS else f"export ... -o {path}"
        yield Finding(
            f"bundle {path.name}",
            "problem" if flaw else "ok",
            f"{flaw}. Try: edgesam {redo}" if flaw else "whole, all hashes hold",
        )
    if not found:
        yield Finding("bundles", "note", f"none in {folder}. Try: edgesam pull {DEFAULT_MODEL}")


def _flaw(path: Path) -> str:
    """What is wrong with a bundle, or nothing."""
    try:
        bundle = open_bundle(path)
        for variant in bundle.variants.values():
            for file in variant.files:
                if sha256_of(path / file.file) != file.sha256:
                    return f"{file.file} is not the file that was written (its sha256 differs)"
    except BundleError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    return ""


def _pip() -> Finding:
    if find_spec("pip"):
        return Finding("pip", "ok", version("pip") if _installed("pip") else "present")
    return Finding(
        "pip",
        "note",
        f"absent, so edgesam pull cannot use the package index. Try: {sys.executable} -m ensurepip",
    )


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
