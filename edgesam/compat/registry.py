"""``sam_model_registry``: from a program's ``vit_b`` and ``.pth`` file to a loaded bundle.

Knows where bundles lie and what they were exported from; reads no checkpoint.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from edgesam.bundle import Bundle, open_bundle
from edgesam.compat.model import SamModel
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, ModelNotFound
from edgesam.home import bundle_path, home
from edgesam.loading import load
from edgesam.models import MODELS

logger = logging.getLogger("edgesam")

Checkpoint = str | os.PathLike[str]


def build_sam_vit_h(checkpoint: Checkpoint | None = None) -> SamModel:
    """SAM ViT-H, or what ``checkpoint`` is; see :data:`sam_model_registry`."""
    return _build("sam-vit-h", checkpoint)


def build_sam_vit_l(checkpoint: Checkpoint | None = None) -> SamModel:
    """SAM ViT-L, or what ``checkpoint`` is; see :data:`sam_model_registry`."""
    return _build("sam-vit-l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint | None = None) -> SamModel:
    """SAM ViT-B, or what ``checkpoint`` is; see :data:`sam_model_registry`."""
    return _build("sam-vit-b", checkpoint)


def build_sam_vit_t(checkpoint: Checkpoint | None = None) -> SamModel:
    """MobileSAM, or what ``checkpoint`` is; see :data:`sam_model_registry`."""
    return _build("mobile-sam", checkpoint)


build_sam = build_sam_vit_h

sam_model_registry: dict[str, Callable[..., SamModel]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}
"""Builders by type, each called with ``checkpoint``.

``checkpoint`` is a known model's name, a bundle's folder, or a checkpoint file: that runs through
the bundle in ``EDGESAM_HOME`` that was exported from a file with the same sha256. It decides which
model it is, whatever the type; None is the known model of that type. The model starts on the CPU.

Raises:
    ModelNotFound: there is no such file, folder or name, or no bundle of it on this machine.
    BundleError: the bundle cannot be used.
    EngineUnavailable: no engine works here.
"""


def _build(model: str, checkpoint: Checkpoint | None) -> SamModel:
    source: Checkpoint = model if checkpoint is None else checkpoint
    if Path(source).is_file():
        source = _bundle_of(Path(source)).path
    elif source not in MODELS and not Path(source).exists():
        raise ModelNotFound(
            f"{os.fspath(source)} is no file, no bundle's folder and no known model "
            f"({', '.join(MODELS)})"
        )
    return SamModel(load(source, device="cpu"), source)


def _bundle_of(checkpoint: Path) -> Bundle:
    """The bundle in ``EDGESAM_HOME`` that was written from that very file."""
    sha256 = sha256_of(checkpoint)
    for folder in sorted((home() / "bundles").glob("*/")):
        try:
            bundle = open_bundle(folder)
        except BundleError as error:  # another model's, perhaps of an earlier edgesam
            logger.debug("%s", error)
            continue
        if bundle.manifest.checkpoint_sha256 == sha256:
            return bundle
    known = [f" (or: edgesam pull {m.name})" for m in MODELS.values() if m.sha256 == sha256]
    raise ModelNotFound(
        f"no bundle of {checkpoint} is on this machine; run: edgesam export "
        f"{shlex.quote(str(checkpoint))} -o {shlex.quote(str(bundle_path(checkpoint.stem)))}"
        f"{''.join(known)}"
    )
