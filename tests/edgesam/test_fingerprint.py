"""A picture's fingerprint: the same for the same picture, another one for any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgesam
from edgesam import Image, Volume, Window
from edgesam.fingerprint import files_fingerprint, fingerprint
from edgesam.image import LookupTable
from edgesam.origin import File, Origin, Part
from edgesam.place import Place, Region

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_the_same_picture() -> None:
    base = Image(PIXELS)
    assert len(fingerprint(base)) == 64
    assert fingerprint(base) == fingerprint(Image(PIXELS.copy()))
    assert fingerprint(base) == fingerprint(Image(np.asfortranarray(PIXELS)))
    assert fingerprint(base) == fingerprint(replace(base, window=Window(1, 2))), "not the picture's"
    origin = Origin("raster", (Part(File(Path("name.png"))),))
    assert fingerprint(base) == fingerprint(replace(base, origin=origin))


def test_any_difference_is_another() -> None:
    changed = PIXELS.copy()
    changed[2, 3] += 1
    table = LookupTable(0, np.arange(9, dtype=np.uint8), 8)
    region = Region((0, 0, 3, 2), 1.0, 1.0, "PixelSpacing")
    affine = np.eye(4)
    moved = affine.copy()
    moved[0, 3] = 1e-9
    plane = Volume.from_array(np.zeros((3, 4, 5), np.uint8), affine).plane(1)
    several = [
        Image(PIXELS),
        Image(changed),
        Image(PIXELS.T),
        Image(PIXELS.reshape(4, 3)),
        Image(PIXELS.astype(np.int8)),
        Image(PIXELS, inverted=True),
        Image(PIXELS, voi=Window(40, 400)),
        Image(PIXELS, voi=Window(40, 401)),
        Image(PIXELS, voi=table),
        Image(PIXELS, voi=replace(table, first=1)),
        Image(PIXELS, voi=replace(table, bits=10)),
        Image(PIXELS, voi=replace(table, values=table.values[::-1])),
        Image(PIXELS, place=Place()),
        Image(PIXELS, place=Place(regions=(region,))),
        Image(PIXELS, place=Place(regions=(replace(region, row=2.0),))),
        Image(PIXELS, place=Place(thickness=1.0)),
        Image(PIXELS, place=Place(affine=affine)),
        Image(PIXELS, place=Place(affine=moved)),
        Image(PIXELS, place=Place(plane=plane)),
        Image(PIXELS, place=Place(plane=replace(plane, rows_reversed=not plane.rows_reversed))),
        Image(PIXELS, place=Place(frame=1)),
        Image(PIXELS, place=Place(aspect=1.5)),
    ]
    assert len({fingerprint(image) for image in several}) == len(several)


def test_a_new_patient_name_is_not_another_picture(make_stack: Callable[..., Volume]) -> None:
    pydicom = pytest.importorskip("pydicom")
    stack = make_stack((3, 12, 10))
    assert stack.origin is not None
    file = stack.origin.parts[1].file.path
    before, bytes_before = fingerprint(edgesam.read(file, frame=0)), files_fingerprint(stack.origin)
    dataset = pydicom.dcmread(file)
    dataset.PatientName = "ANOTHER"
    dataset.save_as(file)
    files_fingerprint.cache_clear()
    assert fingerprint(edgesam.read(file, frame=0)) == before
    assert files_fingerprint(stack.origin) != bytes_before
