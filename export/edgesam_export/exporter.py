"""Checkpoint in, bundle out: load, recognise, write graphs, check, save. Knows no layer."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from edgesam.bundle import Bundle, write_bundle
from edgesam.digest import sha256_of
from edgesam.errors import BundleError, ExportError
from edgesam.manifest import Manifest, Role, Variant
from edgesam.models import MODELS, PROFILES, ModelSpec, Profile
from edgesam_bench.passports import shipped_passport
from edgesam_export import BUILDER
from edgesam_export.architecture import ARCHITECTURES, build, recognise
from edgesam_export.checkpoint import read_checkpoint
from edgesam_export.graphs.net import Net
from edgesam_export.graphs.weights import Weights
from edgesam_export.measured import entered
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Recipe, shipped_recipe
from edgesam_export.verify import verify_graph

logger = logging.getLogger("edgesam")

VARIANTS = ("fp32", "int8")

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
        variants: to write beside fp32: ``int8``; None for those whose passport ships.
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
        nets = build(name, found, weights, weights.shapes, checkpoint.name)
        with _scratch(out) as scratch:
            files: dict[str, Path] = {}
            written = {"fp32": _write_variant(nets, scratch, files, progress)}
            recipe = _recipe(sha256, variants, recipe, checkpoint.name)
            if recipe is not None:
                # Anew, and it alone: a network that was saved cannot be changed any more.
                encoder = ARCHITECTURES[name].build(found, Weights(weights, weights.shapes))
                quantize(encoder, recipe)
                int8 = _write_int8(encoder, written["fp32"], scratch, files, progress)
                if variants is not None or int8.passport is not None:
                    written["int8"] = int8
                else:
                    del files[int8.image_encoder.file]
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
                variants=written,
            )
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


def _write_variant(
    nets: dict[Role, Net], scratch: Path, files: dict[str, Path], progress: Progress
) -> Variant:
    """Graphs, checked, and the passport that ships for them; each noted in ``files``."""
    progress("writing the graphs")
    paths = {role: scratch / f"{role}.fp32.onnx" for role in nets}
    beside = {role: net.save(paths[role]) for role, net in nets.items()}
    weights = beside.pop("image_encoder")
    for within in beside.values():
        if within is not None:
            raise ExportError(f"the decoder's weights are too many for their file: {within.name}")
    progress("checking the graphs")
    for path in paths.values():
        verify_graph(path)
    entries = {role: entered(path, files) for role, path in paths.items()}
    variant = Variant(
        **entries, weights=None if weights is None else entered(weights, files), passport=None
    )
    return _vouched(variant, scratch / "passport.fp32.json", files)


def _write_int8(
    encoder: Net, fp32: Variant, scratch: Path, files: dict[str, Path], progress: Progress
) -> Variant:
    """A quantised encoder before the decoder of fp32, and the passport that ships for them."""
    progress("writing the int8 graph")
    path = scratch / "image_encoder.int8.onnx"
    beside = encoder.save(path)
    verify_graph(path)
    weights = None if beside is None else entered(beside, files)
    variant = replace(fp32, image_encoder=entered(path, files), weights=weights, passport=None)
    return _vouched(variant, scratch / "passport.int8.json", files)


def _vouched(variant: Variant, passport: Path, files: dict[str, Path]) -> Variant:
    """The variant with the passport that ships for its graphs, if one does."""
    report = shipped_passport(variant.graphs)
    if report is None:
        return variant
    passport.write_bytes(report)
    return replace(variant, passport=entered(passport, files))


def _recipe(
    sha256: str, variants: Sequence[str] | None, given: Recipe | None, where: str
) -> Recipe | None:
    """How to make the INT8 variant, if it is wanted."""
    for name in variants or ():
        if name not in VARIANTS:
            raise ExportError(f"no variant is called {name!r}; known: {', '.join(VARIANTS)}")
    if variants is not None and "int8" not in variants:
        return None
    if given is not None and given.checkpoint != sha256:
        raise ExportError(f"the recipe is not of {where}: learn one with --calibration")
    recipe = given or shipped_recipe(sha256)
    if recipe is None and variants is not None:
        raise ExportError(
            f"{where} has no recipe for int8: they ship for lite-medsam and mobile-sam; learn one "
            "from pictures of your own with --calibration DIR"
        )
    return recipe


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
