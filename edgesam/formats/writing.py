"""Writing masks over what they lie on, by suffix or by name. Knows which writer, and no format."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.dicom.terms import with_terms
from edgesam.formats.picture import write_mask
from edgesam.image import Image
from edgesam.labels import Label, Labels, Source, Written, label_map
from edgesam.levels import Levels
from edgesam.mask import Mask
from edgesam.provenance import Provenance
from edgesam.volume import Volume

Kind = Literal[
    "png", "tiff", "seg", "labelmap", "rtstruct", "sr", "nifti", "nrrd", "geojson", "coco", "sheet"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What :func:`write` writes: ``labelmap`` is DICOM SEG of that type, ``sheet`` is to look at."""

_BY_SUFFIX: dict[str, Kind] = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".dcm": "seg",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".geojson": "geojson",
    ".json": "coco",
    ".gif": "sheet",
}
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "nifti": (".nii", ".nii.gz"),
    "nrrd": (".nrrd",),
    "geojson": (".geojson", ".json"),
    "coco": (".json",),
    "sheet": (".png", ".gif"),
    **dict.fromkeys(("seg", "labelmap", "rtstruct", "sr"), (".dcm",)),
}
_DICOM = ("seg", "labelmap", "rtstruct", "sr")
_VOLUMES = ("nifti", "nrrd", "rtstruct")
_CODED = (*_DICOM, "nrrd", "coco")
_PACKAGES: dict[Kind, tuple[str, str]] = {
    "seg": ("highdicom", "dicom"),
    "labelmap": ("highdicom", "dicom"),
    "sr": ("highdicom", "dicom"),
    "nifti": ("nibabel", "volumes"),
}
_WRITERS: dict[Kind, tuple[str, str]] = {
    "seg": ("dicom.seg", "write_seg"),
    "labelmap": ("dicom.seg", "write_seg"),
    "rtstruct": ("dicom.rtstruct", "write_rtstruct"),
    "sr": ("dicom.sr", "write_sr"),
    "nifti": ("nifti", "write_nifti"),
    "nrrd": ("nrrd", "write_nrrd"),
    "geojson": ("annotations", "write_geojson"),
    "coco": ("annotations", "write_coco"),
    "sheet": ("sheet", "write_sheet"),
}


def kind_of(path: Path, kind: Kind | None = None) -> Kind:
    """What a file of that name holds.

    Raises:
        ImageError: no format has this suffix, or not the format that was asked for.
    """
    name = path.name.lower()
    # A DICOM file often has no suffix at all; any other format goes by its own.
    if kind is None:
        found = [k for suffix, k in _BY_SUFFIX.items() if name.endswith(suffix)]
        if not found:
            raise ImageError(
                f"cannot write {path}: a mask is written as {', '.join(_BY_SUFFIX)}; "
                f"or say which of {', '.join(KINDS)}"
            )
        return found[-1]
    if kind not in KINDS:
        raise ImageError(f"cannot write {path}: {kind!r} is none of {', '.join(KINDS)}")
    if not name.endswith(_SUFFIXES[kind]):
        raise ImageError(
            f"cannot write {path}: {kind} is written as {' or '.join(_SUFFIXES[kind])}"
        )
    return kind


def check_source(path: Path, kind: Kind | None, source: Source) -> None:
    """Refuse before anything is computed what :func:`write` would refuse.

    Raises:
        ImageError: a package is missing, the source is not one that this format refers to, or the
            path is one of its own files.
    """
    chosen = kind_of(path, kind)
    _spare(path, source)
    needed = _PACKAGES.get(chosen)
    if needed is not None and find_spec(needed[0]) is None:
        raise ImageError(
            f"cannot write {path}: needs the package {needed[0]}, which is not installed. "
            f'Try: pip install "edgesam[{needed[1]}]"'
        )
    if chosen in _DICOM and (source.origin is None or source.origin.format != "dicom"):
        raise ImageError(
            f"cannot write {path}: {chosen} refers to DICOM images, and the source is none; "
            f"write {_instead(source)}"
        )
    if chosen in ("seg", "labelmap") and isinstance(source, Cine):
        raise ImageError(
            f"cannot write {path}: DICOM SEG needs a place in the patient, and a cine has none; "
            "write a structured report (sr) instead"
        )
    if chosen in _VOLUMES and not (isinstance(source, Volume) or _has_place(source)):
        raise ImageError(
            f"cannot write {path}: {chosen} needs a place in the patient, and this picture or cine "
            f"has none; write {_instead(source)}"
        )


def _has_place(source: Source) -> bool:
    """Whether a picture can stand for a volume of one slice."""
    if not isinstance(source, Image) or source.place is None or source.pixels.ndim != 2:
        return False
    return source.place.affine is not None


def _instead(source: Source) -> str:
    return ".nii.gz, .nrrd or .png" if isinstance(source, Volume) else ".png, .geojson or .json"


def _spare(path: Path, source: Source) -> None:
    """Never replace what was segmented."""
    if source.origin is None or not path.exists():
        return
    for file in {part.file.path for part in source.origin.parts}:
        if file.exists() and path.samefile(file):
            raise ImageError(f"cannot write {path}: it is a file of the source; give another name")


def write(
    path: str | os.PathLike[str],
    mask: Written,
    source: Source | None = None,
    *,
    kind: Kind | None = None,
    names: Sequence[str | Label] | None = None,
    provenance: Provenance | None = None,
    empty_frames: bool = False,
    window: Levels | None = None,
) -> None:
    """Writes segmented objects; the file is there whole or not at all.

    Args:
        path: its suffix decides: ``.dcm`` DICOM SEG, ``.nii`` and ``.nii.gz`` NIfTI, ``.nrrd`` (and
            ``.seg.nrrd``), ``.png`` and ``.tif`` a picture of labels, ``.geojson``, ``.json`` COCO
            run lengths, ``.gif`` an animation to look at.
        mask: one mask or several, as :meth:`edgesam.Sam.segment` gave them, each on its slice or
            frame (where two overlap the later one wins); or an array of the source's size,
            booleans for one object, labels from 1 for several.
        source: the picture, volume or cine that was segmented, as :func:`edgesam.read` gave it;
            needed for everything but a PNG or TIFF of one slice.
        kind: what else a file of that suffix may hold: ``labelmap`` (DICOM SEG, one label per
            voxel), ``rtstruct``, ``sr`` (TID 1500 with contours, for cines), ``sheet`` (a contact
            sheet as PNG).
        names: of the objects, in the order of their labels; ``object 1`` and so on. In DICOM a
            name that is one of its terms (``liver``, ``left kidney``, ``neoplasm``) is coded; a
            :class:`edgesam.Label` brings codes of its own.
        provenance: what made an array; masks know it themselves.
        empty_frames: DICOM SEG: keep slices without any object.
        window: a sheet's grey levels.

    Raises:
        ImageError: the file cannot be written, or not in that format.
        VolumeError: the mask does not lie on the source.
    """
    file = Path(path)
    chosen = kind_of(file, kind)
    if empty_frames and chosen not in ("seg", "labelmap"):
        raise ImageError(f"cannot write {file}: empty frames are for DICOM SEG")
    if source is not None:
        check_source(file, kind, source)
    if chosen in ("png", "tiff"):
        write_mask(file, _one_picture(file, mask, source))
        return
    if source is None:
        raise VolumeError(f"cannot write {file}: {chosen} needs the source that was segmented")
    labels = Labels.over(source, mask, names, provenance)
    if chosen in _VOLUMES and isinstance(source, Image):
        source = Volume.of_image(source)
        labels = replace(labels, array=labels.array[np.newaxis])
    if chosen in _CODED:
        labels = replace(labels, labels=tuple(with_terms(label) for label in labels.labels))
    module, name = _WRITERS[chosen]
    writer = getattr(import_module(f"edgesam.formats.{module}"), name)
    options: dict[str, Any] = {}
    if chosen in ("seg", "labelmap"):
        options = {"labelmap": chosen == "labelmap", "empty_frames": empty_frames}
    elif chosen == "sheet":
        options = {"window": window}
    cast("Callable[..., None]", writer)(file, labels, source, **options)


def _one_picture(file: Path, mask: Written, source: Source | None) -> NDArray[Any]:
    """The (H, W) booleans or labels of masks of one slice, or of a picture's array."""
    if isinstance(mask, np.ndarray):
        if mask.ndim == 2 and (source is None or isinstance(source, Image)):
            return mask
        raise VolumeError(
            f"cannot write {file}: it holds one picture, and this mask is of a volume or cine; "
            "write one slice's mask, or .nii.gz, .nrrd, .dcm, or a sheet"
        )
    masks = [mask] if isinstance(mask, Mask) else list(mask)
    if not masks:
        raise VolumeError("there is no mask to write")
    if len({(_where(m), m.array.shape) for m in masks}) > 1:
        raise VolumeError(
            f"cannot write {file}: it holds one picture, and these masks are of several; "
            "write .nii.gz, .nrrd, .dcm, or a sheet"
        )
    if len(masks) == 1:
        return masks[0].array
    return label_map((one.array for one in masks), masks[0].array.shape)


def _where(mask: Mask) -> object:
    return None if mask.place is None else (mask.place.plane, mask.place.frame)
