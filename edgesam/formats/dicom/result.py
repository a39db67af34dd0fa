"""What DICOM SEG, RTSTRUCT and SR of ours have in common: names, colours, origin, bytes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.atomic import write_atomic
from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError, VolumeError
from edgesam.formats.quiet import quiet
from edgesam.labels import Labels, Source
from edgesam.provenance import Provenance
from edgesam.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_log = logging.getLogger("edgesam")

NAME = "edgesam"
SERIES_NUMBER = 9001
"""Behind a scanner's own series. The standard asks for a number, not for a unique one."""

# Okabe and Ito's palette (2008): told apart by people who see colours differently.
_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_LONGEST = 64  # characters of DICOM's LO (PS3.5 6.2)


def version() -> str:
    """Edgesam's own."""
    return str(import_module("edgesam").__version__)  # the package itself stands above this room


def colour(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a label, from 1."""
    return _COLOURS[(number - 1) % len(_COLOURS)]


def check_labels(path: Path, labels: Labels, *, empty: bool = False) -> None:
    """Refuse what a DICOM result cannot say.

    Args:
        path: of the result, for messages.
        labels: to be written.
        empty: a mask without any object is fine.

    Raises:
        VolumeError: a name is empty, too long or not of printable characters, no label is named, or
            the mask is empty.
    """
    if not labels.labels:
        raise VolumeError(f"cannot write {path}: there is no label to write")
    for number, label in enumerate(labels.labels, start=1):
        if not 1 <= len(label.name) <= _LONGEST:
            raise VolumeError(
                f"cannot write {path}: the name of label {number} has {len(label.name)} "
                f"characters; DICOM takes 1 to {_LONGEST}"
            )
        if "\\" in label.name or not label.name.isprintable() or label.name.isspace():
            raise VolumeError(
                f"cannot write {path}: the name of label {number} is blank, or has a backslash or "
                "a control character, which DICOM does not take"
            )
    if not empty and not labels.array.any():
        raise VolumeError(f"cannot write {path}: the mask is empty; there is nothing to write")


def set_characters(dataset: Dataset, labels: Labels, header: Dataset) -> None:
    """Gives a result the source's character set, in which its patient's name can be written.

    It is UTF-8 where a label's name has other letters than ASCII's.
    """
    if not all(label.name.isascii() for label in labels.labels):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    elif own := header.get("SpecificCharacterSet"):
        dataset.SpecificCharacterSet = own


def made_by(provenance: Provenance | None) -> dict[str, str]:
    """What made the labels, by name: parameters of the algorithm, or nothing if it is not known."""
    if provenance is None:
        return {}
    return {
        "model": provenance.model,
        "variant": provenance.variant,
        "engine": provenance.engine,
        "image_encoder_sha256": provenance.image_encoder,
        "mask_decoder_sha256": provenance.mask_decoder,
        "grey_levels": provenance.mapping,
    }


def other_formats(source: Source) -> str:
    """What can be written of a source without referring to DICOM images, as advice."""
    if isinstance(source, Volume):
        return "write NIfTI or NRRD (.nii.gz, .nrrd) instead"
    if isinstance(source, Cine):
        return "write .geojson or .json, or .png of one frame, instead"
    return "write .png, .geojson or .json instead"


@contextmanager
def writing(path: Path, source: Source, *, needs: str | None = None) -> Iterator[None]:
    """Inside, what libraries say is not heard, and what they raise becomes one line of ours.

    Args:
        path: of the result.
        source: what the result is of, for advice.
        needs: a package that must be installed.

    Raises:
        ImageError: the package is missing, or whatever is not an error of ours was raised.
    """
    if needs is not None and find_spec(needs) is None:
        raise ImageError(
            f"cannot write {path}: needs the package {needs}, which is not installed. "
            'Try: pip install "edgesam[dicom]"'
        )
    with quiet("pydicom"), quiet("highdicom"):
        try:
            yield
        except EdgeSamError:
            raise
        except MemoryError:
            raise ImageError(f"cannot write {path}: it does not fit into memory") from None
        except Exception as error:  # not chained: the libraries' messages quote the header's values
            _log.debug("%s: %s while it was made", path, type(error).__name__)
            raise ImageError(
                f"cannot write {path}: the source's header cannot be carried over into a result "
                "(an attribute is missing, or has a value that DICOM does not allow); "
                f"{other_formats(source)}"
            ) from None


def save(path: Path, dataset: Dataset) -> None:
    """Writes a data set with its file meta; the file is there whole or not at all."""
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    write_atomic(path, stream.getvalue())
