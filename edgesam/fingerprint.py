"""What a picture is, as one sha256 of its pixels and place, not of its file. Knows no patient.

Two files with the same pixels have the same fingerprint, whatever else their headers say.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

import numpy as np

from edgesam.image import Image, LookupTable
from edgesam.origin import Origin
from edgesam.place import Place


def fingerprint(image: Image) -> str:
    """The sha256, in hexadecimal, of all that decides what a model sees and where masks lie.

    That is pixels with their type and size, the file's own window or table, whether small values
    are bright, and the place: size of pixels, affine, which plane or frame. Levels that a caller
    gives (:attr:`edgesam.Image.window`) are not part of it.
    """
    digest = hashlib.sha256()
    about = [image.pixels.shape, image.pixels.dtype.str, image.inverted, _place(image.place)]
    if isinstance(image.voi, LookupTable):
        table = image.voi
        about += [table.first, table.bits, table.values.dtype.str, len(table.values)]
        digest.update(np.ascontiguousarray(table.values).data)
    else:
        about.append(None if image.voi is None else repr(image.voi))
    digest.update(json.dumps(about).encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
    return digest.hexdigest()


@lru_cache(maxsize=4)
def files_fingerprint(origin: Origin) -> str:
    """The sha256 of the files that something was read from: results in DICOM refer to them.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for file in dict.fromkeys(part.file for part in origin.parts):
        with file.open() as stream:
            whole = hashlib.sha256()
            while chunk := stream.read(1 << 20):
                whole.update(chunk)
            digest.update(whole.digest())
    return digest.hexdigest()


def _place(place: Place | None) -> list[Any] | None:
    if place is None:
        return None
    affine = None if place.affine is None else place.affine.tolist()
    regions = [repr(region) for region in place.regions]
    plane = None if place.plane is None else repr(place.plane)
    return [regions, place.thickness, affine, plane, place.frame, place.aspect]
