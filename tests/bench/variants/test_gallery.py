"""What a folder of pictures is to a measurement: hashes, modalities, and nobody's name."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import edgesam
from edgesam import ImageError
from edgesam.digest import sha256_of
from edgesam_bench.variants.gallery import open_gallery
from edgesam_bench.variants.modalities import modality_of

Noise = Callable[..., NDArray[np.uint8]]
SHARED = Path(__file__).parents[4] / "shared" / "data"


def test_pictures_series_and_volumes(clinic: Path) -> None:
    gallery = open_gallery(clinic)
    assert Counter(s.modality for s in gallery.samples) == {"ct": 3, "mri": 4, "unknown": 4}
    assert len({s.key for s in gallery.samples}) == len(gallery.samples)
    assert not gallery.faults


def test_a_picture_is_known_by_its_files_hash(clinic: Path) -> None:
    keys = {s.key for s in open_gallery(clinic).samples}
    assert {sha256_of(path) for path in (clinic / "ct").iterdir()} <= keys
    slices = {sha256_of(path) for path in (clinic / "smith_john").iterdir()}
    assert len(slices & keys) == 4, "some of a series, each a file"


def test_what_was_taken_together(clinic: Path) -> None:
    groups: dict[str, set[str]] = {}
    for sample in open_gallery(clinic).samples:
        groups.setdefault(sample.modality, set()).add(sample.group)
    assert {modality: len(found) for modality, found in groups.items()} == {
        "ct": 3,
        "mri": 1,
        "unknown": 1,
    }


def test_it_reads_as_the_command_line_does(clinic: Path) -> None:
    by_key = {s.key: s for s in open_gallery(clinic).samples}
    path = clinic / "ct" / "1.png"
    found, _ = by_key[sha256_of(path)].read().to_rgb8()
    expected, _ = edgesam.read(path).to_rgb8()  # type: ignore[union-attr]
    np.testing.assert_array_equal(found, expected)


def test_an_empty_slice_gives_way_to_its_neighbour(clinic: Path) -> None:
    volume = edgesam.read(clinic / "volumes" / "v.nii.gz")
    assert isinstance(volume, edgesam.Volume)
    unknown = [s for s in open_gallery(clinic).samples if s.modality == "unknown"]
    assert len(unknown) == 4
    for sample in unknown:
        assert sample.read().to_rgb8()[0].any()


def test_no_name_gets_into_it(clinic: Path) -> None:
    for sample in open_gallery(clinic).samples:
        text = f"{sample.key} {sample.modality}"
        assert "smith" not in text
        assert "SECRET" not in text


def test_the_same_picture_twice_counts_once(clinic: Path) -> None:
    before = len(open_gallery(clinic).samples)
    shutil.copy(clinic / "ct" / "0.png", clinic / "ct" / "again.png")
    assert len(open_gallery(clinic).samples) == before


def test_what_cannot_be_read_is_named_and_left_out(clinic: Path) -> None:
    (clinic / "ct" / "notes.txt").write_text("none")
    (clinic / "ct" / "broken.png").write_bytes((clinic / "ct" / "0.png").read_bytes()[:60])
    (clinic / "ct" / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(30))
    gallery = open_gallery(clinic)
    assert len(gallery.samples) == 11
    assert len(gallery.faults) == 3
    assert all("\n" not in line for line in gallery.faults)
    assert any("notes.txt" in line for line in gallery.faults)


def test_label_maps_and_empty_pictures_are_no_pictures(tmp_path: Path, noise: Noise) -> None:
    labels = np.repeat(np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8), 8, 0), 8, 1)
    Pillow.fromarray(labels).save(tmp_path / "labels.png")
    Pillow.fromarray(np.full((20, 20), 9, np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="holds no picture that can be read"):
        open_gallery(tmp_path)
    Pillow.fromarray(noise(20, 20)).save(tmp_path / "picture.png")
    assert len(open_gallery(tmp_path).samples) == 1


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such folder"):
        open_gallery(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("code", "folder", "expected"),
    [
        ("CT", "mri", "ct"),
        ("MR", None, "mri"),
        (None, "X-Ray", "xray"),
        ("OT", "ultrasound", "ultrasound"),
        (None, "smith_john", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_modalities(code: Any, folder: Any, expected: str) -> None:
    assert modality_of(code, folder) == expected


@pytest.mark.shared
def test_real_studies() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    gallery = open_gallery(SHARED / "dicom")
    assert {"ct", "mri", "ultrasound"} <= {s.modality for s in gallery.samples}
    assert any("liver.dcm" in line for line in gallery.faults), "a segmentation is no picture"
