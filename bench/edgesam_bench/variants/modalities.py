"""The modalities that a report may name. A closed list: a folder may be named after a patient."""

from __future__ import annotations

UNKNOWN = "unknown"

# What a report says -> DICOM's codes (PS3.3 C.7.3.1.1.1) and what people call their folders.
_NAMES: dict[str, tuple[str, ...]] = {
    "ct": ("ct", "cbct"),
    "mri": ("mr", "mri"),
    "ultrasound": ("us", "ultrasound", "echo", "ivus"),
    "xray": ("cr", "dx", "dr", "rg", "xray", "x-ray", "radiography", "px", "io"),
    "mammography": ("mg", "mammography", "mammo"),
    "angiography": ("xa", "rf", "angiography", "fluoroscopy"),
    "nuclear": ("nm", "pt", "pet", "spect", "nuclear"),
    "fundus": ("op", "fundus", "retina"),
    "oct": ("opt", "oct", "ivoct"),
    "endoscopy": ("es", "endoscopy", "colonoscopy", "gastroscopy", "laparoscopy"),
    "dermoscopy": ("dms", "dermoscopy", "dermatology", "skin"),
    "histology": ("sm", "histology", "pathology"),
    "microscopy": ("gm", "microscopy", "cells"),
    "photography": ("xc", "photography", "photos"),
}
_BY_NAME = {name: modality for modality, names in _NAMES.items() for name in names}

KNOWN = tuple(_NAMES)


def modality_of(code: str | None, folder: str | None) -> str:
    """The modality that DICOM's code says, else the folder's name, else ``unknown``."""
    for name in (code, folder):
        if name is not None and (found := _BY_NAME.get(name.strip().lower())):
            return found
    return UNKNOWN
