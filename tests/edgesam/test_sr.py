"""DICOM SR after TID 1500: outlines and areas frame by frame, as highdicom's reader finds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import EdgeSamError, ImageError, VolumeError
from edgesam.formats.dicom.sr import write_sr
from edgesam.image import Image
from edgesam.labels import Label, Labels
from edgesam.origin import File, Origin, Part
from edgesam.place import Place, Region
from edgesam.volume import Volume

pytest.importorskip("highdicom")

Stack = Callable[..., Volume]
MakeCine = Callable[..., Cine]
Make = Callable[[NDArray[Any]], Labels]
Draw = Callable[..., NDArray[np.uint8]]


def groups_of(path: Path) -> list[Any]:
    """The planar ROI measurement groups, by highdicom's own reader."""
    import highdicom as hd

    content: Any = hd.sr.srread(path).content
    found: list[Any] = content.get_planar_roi_measurement_groups()
    return found


def ring_of(group: Any) -> NDArray[np.float64]:
    """(V, 2): the outline in image coordinates, the first corner again at its end."""
    assert group.roi.graphic_type.value == "POLYLINE"
    ring: NDArray[np.float64] = np.asarray(group.roi.value, float)
    assert np.array_equal(ring[0], ring[-1]), "closed"
    return ring


def drawn(path: Path, shape: tuple[int, int, int]) -> dict[str, NDArray[np.bool_]]:
    """The masks (frames, rows, columns) of each tracking identifier, by the even-odd rule.

    A pixel's centre is at its corner's coordinates plus one half.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    ys, xs = np.mgrid[: shape[1], : shape[2]] + 0.5
    for group in groups_of(path):
        mask = masks.setdefault(group.tracking_identifier, np.zeros(shape, np.bool_))
        (source,) = (item for item in group.roi.ContentSequence)
        frame = int(source.ReferencedSOPSequence[0].get("ReferencedFrameNumber", 1)) - 1
        ring = ring_of(group)
        for (x0, y0), (x1, y1) in pairwise(ring):
            if y0 != y1:
                crosses = (min(y0, y1) < ys) & (ys <= max(y0, y1))
                mask[frame] ^= crosses & (x0 + (ys - y0) * (x1 - x0) / (y1 - y0) < xs)
    return masks


def test_every_pixel_of_a_cine_comes_back(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make, blobs: Draw
) -> None:
    cine = make_cine()
    array = blobs((5, 12, 16))
    write_sr(tmp_path / "a.dcm", as_labels(array), cine)
    masks = drawn(tmp_path / "a.dcm", (5, 12, 16))
    assert np.array_equal(masks["liver 1"], array == 1)
    assert np.array_equal(masks["liver 2"], array == 2)


def test_areas_in_millimetres_where_a_region_says_so(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make
) -> None:
    cine = make_cine(regions=(Region((0, 0, 7, 11), 0.5, 0.25, "SequenceOfUltrasoundRegions"),))
    array = np.zeros((5, 12, 16), np.uint8)
    array[1, 2:6, 2:6] = 1
    array[1, 3, 3] = 0  # a hole
    array[3, 2:6, 5:9] = 1  # its last column is outside the region
    write_sr(tmp_path / "a.dcm", as_labels(array), cine)
    first, second = groups_of(tmp_path / "a.dcm")
    (inside,), (outside,) = (group.get_measurements() for group in (first, second))
    assert (inside.value, inside.unit.value) == (15 * 0.5 * 0.25, "mm2")
    assert (outside.value, outside.unit.value) == (16, "{pixels}")
    assert first.tracking_uid == second.tracking_uid


def test_a_hole_is_joined_and_parts_are_groups_of_their_own(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make
) -> None:
    array = np.zeros((5, 12, 16), np.uint8)
    array[0, 1:4, 1:4] = 1
    array[0, 2, 2] = 0
    array[0, 6:8, 1:3] = 1
    write_sr(tmp_path / "a.dcm", as_labels(array), make_cine())
    first, second = (ring_of(group) for group in groups_of(tmp_path / "a.dcm"))
    assert (len(first), len(second)) == (13, 5)
    assert second.tolist() == [[1, 6], [3, 6], [3, 8], [1, 8], [1, 6]]


def test_what_it_says_of_itself(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make, blobs: Draw
) -> None:
    cine = make_cine()
    array = blobs((5, 12, 16))
    write_sr(tmp_path / "a.dcm", as_labels(array), cine)
    made = pydicom.dcmread(tmp_path / "a.dcm")
    assert cine.origin is not None
    source = pydicom.dcmread(cine.origin.parts[0].file.path)
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
        assert made[keyword].value == source[keyword].value
    assert made.SOPClassUID.name == "Comprehensive SR Storage"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    group = groups_of(tmp_path / "a.dcm")[0]
    assert (group.finding_type.value, group.finding_type.meaning) == ("10200004", "Liver")
    assert group.finding_category.meaning == "Anatomical Structure"
    whole = (tmp_path / "a.dcm").read_bytes()
    for said in ("lite-medsam", "onnxruntime:cpu", "a" * 64, "b" * 64, "window 40/400"):
        assert said.encode() in whole


def test_one_frame_of_a_cine_keeps_its_number(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make, blobs: Draw
) -> None:
    cine = make_cine()
    assert cine.origin is not None
    image = replace(cine.frame(3), origin=Origin("dicom", (cine.origin.parts[3],)))
    array = blobs((12, 16))
    write_sr(tmp_path / "a.dcm", as_labels(array), image)
    masks = drawn(tmp_path / "a.dcm", (5, 12, 16))
    assert np.array_equal(masks["liver 1"][3], array == 1)
    assert not masks["liver 1"][:3].any()


def test_a_stack_of_slices_refers_to_those_with_objects(
    tmp_path: Path, make_stack: Stack, as_labels: Make
) -> None:
    volume = make_stack()
    array = np.zeros(volume.shape, np.uint8)
    array[2, 3:5, 4:7] = 1
    write_sr(tmp_path / "a.dcm", as_labels(array), volume)
    (group,) = groups_of(tmp_path / "a.dcm")
    (area,) = group.get_measurements()
    assert area.value == pytest.approx(6 * 0.8 * 0.6)
    (source,) = (item for item in group.roi.ContentSequence)
    assert volume.origin is not None
    header = pydicom.dcmread(volume.origin.parts[2].file.path)
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert "ReferencedFrameNumber" not in source.ReferencedSOPSequence[0]


def test_a_picture_with_a_place(tmp_path: Path, make_stack: Stack, as_labels: Make) -> None:
    volume = make_stack((1, 12, 10), FrameOfReferenceUID=None)
    place = Place(regions=(Region((0, 0, 9, 11), 2.0, 3.0, "PixelSpacing"),))
    image = Image(np.zeros((12, 10), np.uint8), place=place, origin=volume.origin)
    array = np.zeros((12, 10), np.uint8)
    array[0, 0] = 1
    write_sr(tmp_path / "a.dcm", as_labels(array), image)
    (group,) = groups_of(tmp_path / "a.dcm")
    assert group.get_measurements()[0].value == 6


@pytest.mark.parametrize("source", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_no_area_of_the_patient_is_made_of_the_detectors(
    tmp_path: Path, make_stack: Stack, as_labels: Make, source: str
) -> None:
    volume = make_stack((1, 12, 10), FrameOfReferenceUID=None)
    place = Place(regions=(Region((0, 0, 9, 11), 2.0, 3.0, source),))
    image = Image(np.zeros((12, 10), np.uint8), place=place, origin=volume.origin)
    array = np.zeros((12, 10), np.uint8)
    array[3:5, 2:6] = 1
    write_sr(tmp_path / "a.dcm", as_labels(array), image)
    (group,) = groups_of(tmp_path / "a.dcm")
    (area,) = group.get_measurements()
    assert (area.value, area.unit.value) == (8, "{pixels}")


def test_a_name_in_other_letters(tmp_path: Path, make_cine: MakeCine) -> None:
    labels = Labels(np.ones((5, 12, 16), np.uint8), (Label("肝臓"),))
    write_sr(tmp_path / "a.dcm", labels, make_cine())
    assert groups_of(tmp_path / "a.dcm")[0].tracking_identifier == "肝臓"


# ------------------------------------------------------------------ refusals


def refused(path: Path, labels: Labels, source: Any, kind: type[EdgeSamError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        write_sr(path, labels, source)
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert not path.exists()


def test_what_it_refuses(
    tmp_path: Path,
    make_cine: MakeCine,
    as_labels: Make,
    blobs: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cine = make_cine()
    assert cine.origin is not None
    labels = as_labels(blobs((5, 12, 16)))
    path = tmp_path / "a.dcm"
    refused(path, replace(labels, array=labels.array[1:]), cine, VolumeError, "what it lies on")
    refused(path, replace(labels, array=labels.array * np.uint8(0)), cine, VolumeError, "empty")
    refused(path, labels, replace(cine, origin=None), VolumeError, "source is none")
    advice = r"write \.geojson or \.json, or \.png of one frame, instead$"
    refused(path, labels, replace(cine, origin=None), VolumeError, advice)
    beyond = (*cine.origin.parts[:4], Part(cine.origin.parts[0].file, 9))
    other = replace(cine, origin=Origin("dicom", beyond))
    refused(path, labels, other, ImageError, "not the image any more")
    gone = tuple(Part(File(tmp_path / "gone.dcm"), frame) for frame in range(5))
    other = replace(cine, origin=Origin("dicom", gone))
    refused(path, labels, other, ImageError, r"gone\.dcm: cannot be read again")
    refused(tmp_path / "no" / "a.dcm", labels, cine, ImageError, "there is no folder")
    monkeypatch.setattr("edgesam.formats.dicom.result.find_spec", lambda name: None)
    refused(path, labels, cine, ImageError, r'pip install "edgesam\[dicom\]"')


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_dicom3tools_find_no_error(
    tmp_path: Path, make_cine: MakeCine, as_labels: Make, blobs: Draw
) -> None:
    write_sr(tmp_path / "a.dcm", as_labels(blobs((5, 12, 16))), make_cine())
    said = subprocess.run(
        ["dciodvfy", "-new", str(tmp_path / "a.dcm")], capture_output=True, text=True, check=False
    )
    assert "SR" in said.stderr + said.stdout
    assert [line for line in said.stderr.splitlines() if "Error" in line] == []
