"""GeoJSON and COCO: the same pixels come back, and no name of a patient or a folder goes out."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.annotations import write_coco, write_geojson
from edgesam.image import Image
from edgesam.labels import Labels
from edgesam.mask import decode_rle
from edgesam.origin import File, Origin, Part
from edgesam.place import Place
from edgesam.provenance import Provenance
from edgesam.volume import Volume

MADE = Provenance("lite-medsam", "fp32", "onnxruntime:cpu", "a" * 64, "b" * 64, "window 40/400")
LAS = np.diag([1.0, -2.0, 3.0, 1.0])
label_maps = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.integers(0, 2),
)


@dataclass(frozen=True)
class Still:
    """Frames that are all alike."""

    picture: Image
    count: int

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> Image:
        return self.picture


def cine(count: int, height: int, width: int) -> Cine:
    return Cine(Still(Image(np.zeros((height, width), np.uint8)), count), height, width)


def picture(height: int, width: int, **more: Any) -> Image:
    return Image(np.zeros((height, width), np.uint8), **more)


def labelled(array: NDArray[Any], *names: str) -> Labels:
    source = picture(*array.shape)
    names = names or tuple(f"thing {i + 1}" for i in range(int(array.max())))
    return Labels.over(source, array, names)


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def polygons(geometry: dict[str, Any]) -> list[list[list[list[int]]]]:
    """The parts of a Polygon or a MultiPolygon."""
    found: list[list[list[list[int]]]] = geometry["coordinates"]
    return found if geometry["type"] == "MultiPolygon" else [found]  # type: ignore[list-item]


def filled(geometry: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose centre, at halves, is inside by the even-odd rule, counted ray by ray."""
    inside = np.zeros(shape, np.bool_)
    for y, x in np.ndindex(*shape):
        for rings in polygons(geometry):
            for ring in rings:
                for (x0, y0), (x1, y1) in itertools.pairwise(ring):
                    if x0 == x1 and x0 > x + 0.5 and min(y0, y1) < y + 0.5 < max(y0, y1):
                        inside[y, x] ^= True
    return inside


def area(ring: list[list[int]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) / 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps)
def test_geojson_outlines_are_the_pixels(tmp_path: Path, array: NDArray[np.uint8]) -> None:
    labels = labelled(array)
    write_geojson(tmp_path / "a.geojson", labels, picture(*array.shape))
    content = written(tmp_path / "a.geojson")
    assert content["type"] == "FeatureCollection"
    back = np.zeros_like(array)
    for feature in content["features"]:
        number = feature["properties"]["label"]
        inside = filled(feature["geometry"], array.shape)
        assert not back[inside].any()
        back[inside] = number
        assert feature["properties"]["name"] == f"thing {number}"
    np.testing.assert_array_equal(back, array)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps)
def test_rings_are_closed_and_wound_as_rfc_7946_says(
    tmp_path: Path, array: NDArray[np.uint8]
) -> None:
    write_geojson(tmp_path / "a.geojson", labelled(array), picture(*array.shape))
    for feature in written(tmp_path / "a.geojson")["features"]:
        for outer, *holes in polygons(feature["geometry"]):
            assert area(outer) > 0
            assert all(area(hole) < 0 for hole in holes)
            assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in (outer, *holes))


def test_pixel_0_0_spans_0_to_1(tmp_path: Path) -> None:
    array = np.zeros((4, 6), np.uint8)
    array[0, 0] = 1
    write_geojson(tmp_path / "a.geojson", labelled(array, "tip"), picture(4, 6))
    (feature,) = written(tmp_path / "a.geojson")["features"]
    assert feature["geometry"]["type"] == "Polygon"
    (ring,) = feature["geometry"]["coordinates"]
    assert sorted(map(tuple, ring[:-1])) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "tip",
        "classification": {"name": "tip"},
        "label": 1,
    }


def test_holes_and_parts(tmp_path: Path) -> None:
    array = np.zeros((9, 12), np.uint8)
    array[1:6, 1:6], array[3, 3], array[7, 8:11] = 1, 0, 1
    write_geojson(tmp_path / "a.geojson", labelled(array), picture(9, 12))
    (feature,) = written(tmp_path / "a.geojson")["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert [len(rings) for rings in feature["geometry"]["coordinates"]] == [2, 1]


def test_slices_of_a_volume_lie_as_they_are_shown(tmp_path: Path) -> None:
    """Their rows and columns are those of `Volume.slice`, which turns this one upside down."""
    array = np.zeros((7, 6, 5), np.uint8)
    array[1, 2, 3] = 1
    volume = Volume.from_array(array, LAS)
    labels = Labels.over(volume, array, ["dot"])
    write_geojson(tmp_path / "a.geojson", Labels(array, labels.labels, MADE), volume)
    (feature,) = written(tmp_path / "a.geojson")["features"]
    shown = volume.slice(3).pixels
    np.testing.assert_array_equal(filled(feature["geometry"], shown.shape), shown > 0)
    assert feature["properties"]["slice"] == 3
    assert feature["geometry"]["plane"] == {"c": -1, "z": 3, "t": 0}
    assert feature["properties"]["metadata"]["model"] == "lite-medsam"
    write_coco(tmp_path / "a.json", labels, volume)
    content = written(tmp_path / "a.json")
    (image,) = content["images"]
    assert image == {"id": 1, "file_name": "slice-0003", "width": 7, "height": 6}
    np.testing.assert_array_equal(decode_rle(content["annotations"][0]["segmentation"]), shown > 0)


def test_frames_of_a_cine(tmp_path: Path) -> None:
    array = np.zeros((5, 4, 6), np.uint8)
    array[[1, 4], 1:3, 2:5] = 1
    source = cine(5, 4, 6)
    labels = Labels.over(source, array, ["valve"])
    write_geojson(tmp_path / "a.geojson", labels, source)
    features = written(tmp_path / "a.geojson")["features"]
    assert [feature["properties"]["frame"] for feature in features] == [1, 4]
    assert [feature["geometry"]["plane"]["t"] for feature in features] == [1, 4]
    write_coco(tmp_path / "a.json", labels, source)
    names = [image["file_name"] for image in written(tmp_path / "a.json")["images"]]
    assert names == ["frame-0001", "frame-0004"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps)
def test_coco_masks_are_the_pixels(tmp_path: Path, array: NDArray[np.uint8]) -> None:
    write_coco(tmp_path / "a.json", labelled(array), picture(*array.shape))
    content = written(tmp_path / "a.json")
    back = np.zeros_like(array)
    for number, annotation in enumerate(content["annotations"], start=1):
        mask = decode_rle(annotation["segmentation"])
        back[mask] = annotation["category_id"]
        ys, xs = np.nonzero(mask)
        assert annotation["id"] == number
        assert annotation["image_id"] == content["images"][0]["id"] == 1
        assert annotation["iscrowd"] == 0
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == [
            xs.min(),
            ys.min(),
            np.ptp(xs) + 1,
            np.ptp(ys) + 1,
        ]
    np.testing.assert_array_equal(back, array)
    assert len(content["images"]) == int(array.any())


def test_coco_categories_are_the_labels(tmp_path: Path) -> None:
    array = np.array([[0, 2, 2]], np.uint8)
    labels = Labels(array, labelled(array, "Leber", "Größe").labels, MADE)
    write_coco(tmp_path / "a.json", labels, picture(1, 3))
    content = written(tmp_path / "a.json")
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(1, "Leber"), (2, "Größe")]
    assert [a["category_id"] for a in content["annotations"]] == [2]
    assert content["info"]["description"] == (
        "edgesam: lite-medsam fp32 on onnxruntime:cpu, window 40/400"
    )


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (None, "picture"),
        (Origin("raster", (Part(File(Path("/data/Doe^John/knee.png"))),)), "knee.png"),
        (Origin("raster", (Part(File(Path("/d/a.zip"), "Doe^John/knee.png")),)), "knee.png"),
        (Origin("dicom", (Part(File(Path("/data/x/Doe^John.dcm"))),)), "picture"),
    ],
)
def test_only_a_raster_file_is_named_and_never_its_folder(
    tmp_path: Path, origin: Origin | None, name: str
) -> None:
    array = np.ones((2, 3), np.uint8)
    source = picture(2, 3, origin=origin)
    write_coco(tmp_path / "a.json", labelled(array), source)
    write_geojson(tmp_path / "a.geojson", labelled(array), source)
    assert written(tmp_path / "a.json")["images"][0]["file_name"] == name
    for file in ("a.json", "a.geojson"):
        assert b"Doe" not in (tmp_path / file).read_bytes()


def test_a_picture_that_is_a_slice_or_a_frame_says_which(tmp_path: Path) -> None:
    array = np.ones((5, 7), np.uint8)
    volume = Volume.from_array(np.zeros((9, 5, 7), np.int16), np.eye(4)[[2, 1, 0, 3]])
    write_coco(tmp_path / "a.json", labelled(array), volume.slice(6))
    assert written(tmp_path / "a.json")["images"][0]["file_name"] == "axial-0006"
    write_geojson(tmp_path / "a.geojson", labelled(array), picture(5, 7, place=Place(frame=2)))
    assert written(tmp_path / "a.geojson")["features"][0]["properties"]["frame"] == 2


def test_nothing_segmented_is_an_empty_list(tmp_path: Path) -> None:
    labels = Labels(np.zeros((2, 3), np.uint8), ())
    write_geojson(tmp_path / "a.geojson", labels, picture(2, 3))
    write_coco(tmp_path / "a.json", labels, picture(2, 3))
    assert written(tmp_path / "a.geojson") == {"type": "FeatureCollection", "features": []}
    assert written(tmp_path / "a.json") == {"images": [], "categories": [], "annotations": []}


@pytest.mark.parametrize("write", [write_geojson, write_coco])
def test_refusals_leave_nothing_behind(tmp_path: Path, write: Any) -> None:
    array = np.ones((2, 3), np.uint8)
    with pytest.raises(VolumeError, match=r"the labels are \(2, 3\), the source is \(2, 4\)"):
        write(tmp_path / "a", labelled(array), picture(2, 4))
    with pytest.raises(VolumeError, match="label 1 has no name"):
        write(tmp_path / "a", Labels(array, ()), picture(2, 3))
    with pytest.raises(ImageError, match="there is no folder"):
        write(tmp_path / "none" / "a", labelled(array), picture(2, 3))
    assert list(tmp_path.iterdir()) == []
