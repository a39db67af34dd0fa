"""Writes labels for annotation tools, as GeoJSON and COCO JSON; knows no pixels and no patient.

What is written is shapes, names of labels and what made them, never a value of a header. A file
name stands in COCO's list only for raster pictures, which have no other identity, and without its
folder; slices and frames are called by their number.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.atomic import write_atomic
from edgesam.formats.shown import Shown, shown
from edgesam.image import Image
from edgesam.labels import Labels, Source
from edgesam.mask import encode_runs
from edgesam.provenance import Provenance
from edgesam.runs import Runs
from edgesam_kernels.contours import Ring, contours

_TO_CORNER = 0.5  # our pixel (0, 0) spans -0.5..0.5, QuPath's 0..1


def write_geojson(path: str | os.PathLike[str], labels: Labels, source: Source) -> None:
    """Writes outlines as a GeoJSON FeatureCollection (RFC 7946), as QuPath reads and writes them.

    One feature for each object in each slice, frame or picture: a Polygon with holes, or a
    MultiPolygon where it has several parts; outer rings run counter-clockwise by their numbers
    (RFC 7946, 3.1.6). Coordinates are x, y in pixels of the slice as the source shows it, pixel
    (0, 0) spanning 0..1. Properties: ``name``, ``label`` (from 1), ``slice`` or ``frame`` (from
    0), ``axis`` of a slice without its volume, ``metadata`` with what made it; QuPath's own
    ``objectType`` and ``classification``, and its ``plane`` in the geometry.

    Args:
        path: to write; replaced if it exists.
        labels: on the source's grid.
        source: what they lie on.

    Raises:
        VolumeError: the labels are not of the source's size. ImageError: the file cannot be
            written.
    """
    features = [
        _feature(picture, number, mask, labels)
        for picture in shown(labels, source)
        for number, mask in picture.objects()
    ]
    _write(path, {"type": "FeatureCollection", "features": features})


def write_coco(path: str | os.PathLike[str], labels: Labels, source: Source) -> None:
    """Writes masks as COCO's object detection JSON, with compressed run lengths (RLE).

    ``images`` are the slices, frames or the picture that hold an object, called ``slice-0060``,
    ``frame-0003`` or, of a raster file, as that; ``categories`` are the labels, numbered as they
    are; ``annotations`` have ``bbox`` as x, y, width, height, and ``area`` in pixels.

    Args:
        path: to write; replaced if it exists.
        labels: on the source's grid.
        source: what they lie on.

    Raises:
        VolumeError: the labels are not of the source's size. ImageError: the file cannot be
            written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for picture in shown(labels, source):
        height, width = picture.array.shape
        image = len(images) + 1
        images.append(
            {"id": image, "file_name": _file_name(picture), "width": width, "height": height}
        )
        for number, mask in picture.objects():
            annotation = {"id": len(annotations) + 1, "image_id": image, "category_id": number}
            annotations.append(annotation | _coco_shape(mask))
    categories = [
        {"id": number, "name": label.name, "supercategory": label.category.meaning}
        for number, label in enumerate(labels.labels, start=1)
    ]
    content: dict[str, Any] = {
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    if labels.provenance is not None:
        content = {"info": {"description": _words(labels.provenance)}} | content
    _write(path, content)


def _feature(
    picture: Shown, number: int, mask: NDArray[np.bool_], labels: Labels
) -> dict[str, Any]:
    name = labels.labels[number - 1].name
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": name,
        "classification": {"name": name},
        "label": number,
    }
    plane = {"c": -1, "z": 0, "t": 0}
    if picture.kind == "slice":
        properties["slice"] = plane["z"] = picture.index
        if picture.axis is not None:
            properties["axis"] = picture.axis
    elif picture.kind == "frame":
        properties["frame"] = plane["t"] = picture.index
    if labels.provenance is not None:
        properties["metadata"] = asdict(labels.provenance)
    parts = [[_positions(ring) for ring in (part.outer, *part.holes)] for part in contours(mask)]
    geometry: dict[str, Any] = (
        {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) == 1
        else {"type": "MultiPolygon", "coordinates": parts}
    )
    if picture.kind != "picture":
        geometry["plane"] = plane
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _positions(ring: Ring) -> list[list[int]]:
    """A linear ring: its corners are whole numbers here, the first one repeated at the end."""
    corners: list[list[int]] = np.rint(ring + _TO_CORNER).astype(int).tolist()
    return [*corners, corners[0]]


def _coco_shape(mask: NDArray[np.bool_]) -> dict[str, Any]:
    runs = Runs.of(mask)
    x0, y0, x1, y1 = runs.box
    return {
        "segmentation": encode_runs(runs),
        "area": runs.area,
        "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
        "iscrowd": 0,
    }


def _file_name(picture: Shown) -> str:
    source = picture.source
    origin = source.origin if isinstance(source, Image) else None
    if origin is not None and origin.format == "raster" and picture.kind == "picture":
        file = origin.parts[0].file
        return (file.member or file.path.name).replace("\\", "/").rpartition("/")[2]
    return picture.name


def _words(made: Provenance) -> str:
    return f"edgesam: {made.model} {made.variant} on {made.engine}, {made.mapping}"


def _write(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(content).encode() + b"\n")
