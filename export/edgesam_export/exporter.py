"""Checkpoint in, bundle out: load, recognise, write graphs, check, save. Knows no layer."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from edgesam.bundle import Bundle, write_bundle
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, ExportError
from edgesam.manifest import Manifest
from edgesam.models import MODELS, PROFILES, ModelSpec, Profile
from edgesam_export import BUILDER
from edgesam_export.architecture import ARCHITECTURES, build, recognise
from edgesam_export.checkpoint import read_checkpoint
from edgesam_export.graphs.weights import Weights
from edgesam_export.quantization.recipe import Recipe
from edgesam_export.variants import planned, write_others
from edgesam_export.writing import Writing

logger = logging.getLogger("edgesam")

_ABANDONED = 3600.0  # seconds: an export takes seconds, a large one on a slow disk minutes

Progress = Callable[[str], None]


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    model: str | None = None,
    arch: str | None = None,
    profile: str | None = None,
    variants: Sequence[str] | None = None,
    recipe: Recipe | None = None,
    progress: Progress = lambda _: None,
) -> Bundle:
    """Turn a checkpoint into a bundle with the variant ``fp32``, and others where they are known.

    Args:
        checkpoint: a PyTorch or safetensors file; nothing in it is executed.
        out: the bundle's folder; its parent must exist. An earlier bundle there stays whole until
            everything else is done, and is then replaced in one step.
        model: name to give the bundle; a known checkpoint brings its own.
        arch: overrides what the keys say.
        profile: preprocessing of a checkpoint whose sha256 is not known.
        variants: to write beside fp32: ``fp16``, ``bf16``, ``int8``; None for those whose
            passport ships, but for fp16.
        recipe: of int8, instead of the one that ships.
        progress: told what is happening.

    Raises:
        ExportError: the checkpoint cannot be read or recognised, or a graph fails its check.
        BundleError: the bundle cannot be written.
    """
    if not out.absolute().parent.is_dir():
        raise ExportError(f"the folder {out.absolute().parent} does not exist: make it first")
    progress(f"reading {checkpoint.name}")
    with read_checkpoint(checkpoint) as weights:
        sha256 = sha256_of(checkpoint)
        known = next((spec for spec in MODELS.values() if spec.sha256 == sha256), None)
        name, found = recognise(weights.shapes, arch, checkpoint.name)
        chosen, assumed = _profile(known, profile, name, found.image_size, checkpoint.name)
        plan = planned(variants, sha256, recipe, checkpoint.name)
        nets = build(name, found, weights, weights.shapes, checkpoint.name)
        with _scratch(out) as scratch:
            writing = Writing(scratch, progress)
            fp32 = writing.whole("fp32", nets)
            others = write_others(
                plan,
                fp32.variant,
                nets["image_encoder"],
                lambda: build(name, found.for_gpu, weights, weights.shapes, checkpoint.name),
                lambda: ARCHITECTURES[name].build(found, Weights(weights, weights.shapes)),
                writing,
            )
            written = {"fp32": fp32, **others}
            manifest = Manifest(
                model=known.name if known else model or checkpoint.stem,
                architecture=name,
                image_size=found.image_size,
                grid=found.grid,
                profile=chosen,
                profile_assumed=assumed,
                checkpoint_sha256=sha256,
                licence=known.licence if known else "unknown",
                builder=BUILDER,
                working_memory=found.working_memory,
                variants={variant: one.variant for variant, one in written.items()},
            )
            files = {name: path for one in written.values() for name, path in one.files.items()}
            return write_bundle(out, manifest, files)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder inside the bundle's for unfinished files; what a killed export left is removed."""
    existed = out.exists()
    scratch: Path | None = None
    try:
        out.mkdir(exist_ok=True)
        for abandoned in out.glob(".export-*"):
            if time.time() - abandoned.stat().st_mtime > _ABANDONED:
                shutil.rmtree(abandoned, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
        yield scratch
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"the bundle {out} cannot be written: {reason}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        if not existed:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def _profile(
    known: ModelSpec | None, asked: str | None, arch: str, image_size: int, where: str
) -> tuple[Profile, bool]:
    """The preprocessing, and whether it is only the family's default."""
    if asked is not None and asked not in PROFILES:
        raise ExportError(f"no profile is called {asked!r}; known: {', '.join(PROFILES)}")
    if known is not None:
        if asked not in (None, known.profile.name):
            raise ExportError(
                f"{where} is the official {known.name}, whose profile is {known.profile.name}: "
                f"the profile {asked} would ruin its masks"
            )
        return known.profile, False
    if asked is not None:
        return PROFILES[asked], False
    alike = (
        s.profile for s in MODELS.values() if (s.architecture, s.image_size) == (arch, image_size)
    )
    family = next(alike, None)
    if family is None:
        raise ExportError(f"{where} needs a profile: pass --profile {'|'.join(PROFILES)}")
    logger.warning(
        "%s is not a known checkpoint: profile %s is assumed; pass --profile to decide",
        where,
        family.name,
    )
    return family, True
