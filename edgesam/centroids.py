"""Where a written mask lies, read from its file alone: the proof that nobody flipped it.

Each reader takes the numbers that its standard names and nothing that edgesam remembers, so that a
writer's mistake cannot be undone by the same mistake in a reader.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.affine import LPS_TO_RAS, to_patient
from edgesam.formats.writing import Kind
from edgesam.mask import decode_rle
from edgesam.volume import Volume

Point = NDArray[np.float64]

_NIFTI_UNITS = {1: 1000.0, 3: 0.001}  # nifti1.h: metres, micrometres; all else are mm
# NRRD leaves the words open. These are those that edgesam reads, told here once more.
_NRRD_UNITS = {
    **dict.fromkeys(("", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns"), 1e-3),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-6),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}


def centroid(path: Path, kind: Kind, source: Volume) -> Point:
    """The centre (3,) in patient millimetres (LPS) of all labelled voxels in a file.

    Args:
        path: of the file.
        kind: what it holds.
        source: needed by formats that count slices and pixels instead of millimetres.

    Raises:
        KeyError: there is no reader for this kind, or the file does not say where it lies.
        ImportError: the package that reads this kind is not installed.
    """
    return _READERS[kind](path, source)


def mask_centroid(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Point:
    """The same of an array."""
    return to_patient(affine, np.argwhere(mask).mean(axis=0))


def _nifti(path: Path, source: Volume) -> Point:  # noqa: ARG001
    """NIfTI by its sform, else its qform, in the units of ``xyzt_units``, as nifti1.h has them."""
    import nibabel

    image: Any = nibabel.load(path)
    scale = _NIFTI_UNITS.get(int(image.header["xyzt_units"]) & 7, 1.0)
    mask = np.asarray(image.dataobj) > 0
    # A picture has two axes, and some files have a fourth of length 1.
    mask = mask.reshape((*mask.shape, 1)[:3])
    return mask_centroid(mask, LPS_TO_RAS @ np.diag([scale, scale, scale, 1]) @ image.affine)


def _nrrd(path: Path, source: Volume) -> Point:  # noqa: ARG001
    """NRRD by ``space directions`` in ``space``, else by ``spacings``: format.html of teem."""
    import nrrd

    # Split here: pynrrd drops what is not ASCII, and micrometres would become metres.
    head, _, data = path.read_bytes().partition(b"\n\n")
    header = nrrd.read_header(head.decode("utf-8").split("\n"))
    array = nrrd.read_data(header, io.BytesIO(data), index_order="F")
    affine = np.eye(4)
    if "space directions" in header:
        affine[:3, :3] = np.asarray(header["space directions"], np.float64).T
        affine[:3, 3] = header.get("space origin", 0.0)
        affine[:3] *= _nrrd_units(header.get("space units"))[:, np.newaxis]
        affine = np.diag([*_nrrd_signs(header.get("space", "")), 1]) @ affine
    else:  # spacings without a space say no side, whatever their signs
        spacings = np.abs(np.asarray(header["spacings"], np.float64))
        affine[:3, :3] = np.diag(spacings * _nrrd_units(header.get("units")))
    return mask_centroid(array > 0, affine)


def _nrrd_units(units: list[str] | None) -> Point:
    """Millimetres (3,) in each unit; one that is not said is a millimetre."""
    return np.array([_NRRD_UNITS[unit.strip().lower()] for unit in units or ("", "", "")])


def _nrrd_signs(space: str) -> list[float]:
    """Along each axis of the space, whether it grows to the left, the back, the head: 1 or -1."""
    words = space.lower().split("-")
    ends = words[0] if len(words) == 1 else "".join(word[:1] for word in words)
    patient = ends in ("lps", "ras", "las")  # of other spaces nobody knows where they lie
    return [-1.0 if patient and end in "ra" else 1.0 for end in (ends if patient else "lps")]


def _seg(path: Path, source: Volume) -> Point:  # noqa: ARG001
    """DICOM SEG by its planes' positions, PS3.3 C.8.20 and C.7.6.16."""
    from pydicom import dcmread

    file = dcmread(path)
    frames = file.pixel_array.reshape(-1, file.Rows, file.Columns)
    shared = file.SharedFunctionalGroupsSequence[0]
    points = []
    for own, frame in zip(file.PerFrameFunctionalGroupsSequence, frames, strict=True):

        def macro(name: str, own: Any = own) -> Any:
            return (own.get(name) or shared[name].value)[0]

        position = macro("PlanePositionSequence").ImagePositionPatient
        directions = macro("PlaneOrientationSequence").ImageOrientationPatient
        row, column = macro("PixelMeasuresSequence").PixelSpacing
        y, x = np.nonzero(frame)
        along = np.outer(x * float(column), np.array(directions[:3], np.float64))
        down = np.outer(y * float(row), np.array(directions[3:], np.float64))
        points.append(np.array(position, np.float64) + along + down)
    found: Point = np.concatenate(points).mean(axis=0)
    return found


def _rtstruct(path: Path, source: Volume) -> Point:  # noqa: ARG001
    """RT Structure Set by its closed contours' areas, PS3.3 C.8.8.6."""
    from pydicom import dcmread

    file = dcmread(path)
    return _weighted(
        np.array(contour.ContourData, np.float64).reshape(-1, 3)
        for roi in file.ROIContourSequence
        for contour in roi.ContourSequence
    )


def _sr(path: Path, source: Volume) -> Point:
    """TID 1500 by its SCOORD polylines, PS3.3 C.18.6: image pixels, their corner at 0, 0."""
    from pydicom import dcmread

    slices = _slices_by_uid(source)

    def polygons(items: Any) -> Iterator[Point]:
        for item in items:
            if item.ValueType == "SCOORD":
                xy = np.array(item.GraphicData, np.float64).reshape(-1, 2) - 0.5
                chosen = item.ContentSequence[0].ReferencedSOPSequence[0]
                frame = int(chosen.get("ReferencedFrameNumber") or 1) - 1
                index = slices[str(chosen.ReferencedSOPInstanceUID), frame]
                yield _in_patient(source, index, xy)
            yield from polygons(item.get("ContentSequence") or ())

    return _weighted(polygons(dcmread(path).ContentSequence))


def _geojson(path: Path, source: Volume) -> Point:
    """RFC 7946 polygons in pixels, the corner of the first at 0, 0; holes turn the other way."""

    def polygons() -> Iterator[Point]:
        for feature in json.loads(path.read_text("utf-8"))["features"]:
            geometry = feature["geometry"]
            parts = geometry["coordinates"]
            for rings in [parts] if geometry["type"] == "Polygon" else parts:
                for ring in rings:
                    xy = np.array(ring, np.float64) - 0.5
                    yield _in_patient(source, feature["properties"]["slice"], xy)

    return _weighted(polygons())


def _coco(path: Path, source: Volume) -> Point:
    """COCO's run lengths, columns first; the slice is in the image's name."""
    file = json.loads(path.read_text("utf-8"))
    slices = {image["id"]: int(image["file_name"].split("-")[-1]) for image in file["images"]}
    points = []
    for annotation in file["annotations"]:
        y, x = np.nonzero(decode_rle(annotation["segmentation"]))
        points.append(_in_patient(source, slices[annotation["image_id"]], np.stack([x, y], axis=1)))
    found: Point = np.concatenate(points).mean(axis=0)
    return found


def _in_patient(source: Volume, index: int, xy: NDArray[Any]) -> Point:
    return to_patient(source.affine, source.plane(index).to_voxel(xy))


def _slices_by_uid(source: Volume) -> dict[tuple[str, int], int]:
    from pydicom import dcmread

    found = {}
    for index, part in enumerate(source.origin.parts if source.origin else ()):
        with part.file.open() as stream:
            header = dcmread(stream, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        found[str(header.SOPInstanceUID), part.frame] = index
    return found


def _weighted(polygons: Iterator[Point]) -> Point:
    """The centre of polygons (P, 3) by their areas; what turns the other way is a hole."""
    total, moment = 0.0, np.zeros(3)
    normal = None
    for polygon in polygons:
        corner = polygon[0]
        edges = polygon - corner
        crosses = np.cross(edges[:-1], edges[1:])
        if normal is None:
            summed = crosses.sum(axis=0)
            normal = summed / np.linalg.norm(summed)
        areas = crosses @ normal
        total += areas.sum()
        moment += (areas[:, None] * (corner + (edges[:-1] + edges[1:]) / 3)).sum(axis=0)
    return moment / total


_READERS: dict[Kind, Callable[[Path, Volume], Point]] = {
    "seg": _seg,
    "labelmap": _seg,
    "rtstruct": _rtstruct,
    "sr": _sr,
    "nifti": _nifti,
    "nrrd": _nrrd,
    "geojson": _geojson,
    "coco": _coco,
}
KINDS: tuple[Kind, ...] = tuple(_READERS)
"""Formats whose place can be read back."""
