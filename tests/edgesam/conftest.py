"""DICOM stacks and cines made for a test, with a source over them as edgesam.read would give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.uid
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset

from edgesam.cine import Cine
from edgesam.image import Image
from edgesam.labels import Code, Label, Labels
from edgesam.origin import File, Origin, Part
from edgesam.place import Place, Region
from edgesam.provenance import Provenance
from edgesam.volume import InMemory, Volume

SECRET = "SECRET^NAME"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"


def new_file(path: Path, kind: str, shape: tuple[int, ...], **elements: Any) -> Dataset:
    """An 8-bit grey object with everything that the standard asks of patient and study."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.UID(kind)
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientName = SECRET
    dataset.PatientID = "SECRET-ID"
    dataset.PatientBirthDate = "19010203"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["study"])
    dataset.SeriesInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["series", str(path.parent)])
    dataset.StudyDate, dataset.StudyTime = "20200102", "030405"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "2", "A^B"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.Modality, dataset.Manufacturer = "OT", "maker"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    count = int(np.prod(shape))
    dataset.PixelData = bytes(count + count % 2)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def volume_over(files: list[Path], frames: int | None = None, **about: Any) -> Volume:
    """A volume of zeros whose grid is that of CT or MR files, or of one enhanced file's frames."""
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    parts = tuple(Part(File(file)) for file in files)
    items: list[Any] = list(headers)
    shared = items[0]
    if frames is not None:
        parts = tuple(Part(File(files[0]), frame) for frame in range(frames))
        items = [g.PlanePositionSequence[0] for g in headers[0].PerFrameFunctionalGroupsSequence]
        group = headers[0].SharedFunctionalGroupsSequence[0]
        shared = Dataset()
        own = headers[0].PerFrameFunctionalGroupsSequence[0]
        for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            shared.update((group if keyword in group else own)[keyword].value[0])
    at = np.array([item.ImagePositionPatient for item in items], float)
    across = np.array(shared.ImageOrientationPatient, float)
    affine = np.eye(4)
    affine[:3, 0] = (
        (at[-1] - at[0]) / (len(at) - 1) if len(at) > 1 else np.cross(across[:3], across[3:])
    )
    affine[:3, 1] = across[3:] * float(shared.PixelSpacing[0])
    affine[:3, 2] = across[:3] * float(shared.PixelSpacing[1])
    affine[:3, 3] = at[0]
    shape = (len(at), headers[0].Rows, headers[0].Columns)
    return Volume(
        voxels=InMemory(np.zeros(shape, np.uint8)),
        affine=affine,
        stacked=0,
        as_stored=True,
        spacing_source="PixelSpacing",
        modality=str(headers[0].Modality),
        origin=Origin("dicom", parts),
        **about,
    )


@dataclass(frozen=True)
class GreyFrames:
    """Frames without pixels of their own."""

    shape: tuple[int, int, int]
    regions: tuple[Region, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def image(self, index: int) -> Image:
        """A black one."""
        place = Place(regions=self.regions, frame=index)
        return Image(np.zeros(self.shape[1:], np.uint8), place=place)


@pytest.fixture
def make_stack(tmp_path: Path) -> Callable[..., Volume]:
    """A CT series of single-frame files: shape, spacing, orientation, step from slice to slice."""

    def make(
        shape: tuple[int, int, int] = (4, 12, 10),
        spacing: tuple[float, float] = (0.8, 0.6),
        across: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        step: tuple[float, ...] = (0, 0, 2.5),
        **elements: Any,
    ) -> Volume:
        folder = tmp_path / f"series-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        cosines = [f"{value:.10f}" for value in across]
        elements.setdefault("FrameOfReferenceUID", pydicom.uid.generate_uid())
        if elements["FrameOfReferenceUID"] is None:
            del elements["FrameOfReferenceUID"]
        files = []
        for index in range(shape[0]):
            at = np.array([-30.5, 12.25, -700.125]) + index * np.array(step)
            files.append(folder / f"{index:03}.dcm")
            new_file(
                files[-1],
                pydicom.uid.CTImageStorage,
                shape[1:],
                **{
                    "Modality": "CT",
                    "ImagePositionPatient": [f"{value:.8f}" for value in at],
                    "ImageOrientationPatient": cosines,
                    "PixelSpacing": list(spacing),
                    "SliceThickness": float(np.linalg.norm(step)),
                    **elements,
                },
            )
        return volume_over(files)

    return make


@pytest.fixture
def make_cine(tmp_path: Path) -> Callable[..., Cine]:
    """An ultrasound cine in one file, without a frame of reference."""

    def make(shape: tuple[int, int, int] = (5, 12, 16), regions: tuple[Region, ...] = ()) -> Cine:
        path = tmp_path / "cine.dcm"
        new_file(path, pydicom.uid.UltrasoundMultiFrameImageStorage, shape, Modality="US")
        parts = tuple(Part(File(path), frame) for frame in range(shape[0]))
        frames = GreyFrames(shape, regions)
        return Cine(frames, shape[1], shape[2], 40.0, "US", Origin("dicom", parts))

    return make


@pytest.fixture
def over_files() -> Callable[..., Volume]:
    """A volume over files that are there."""
    return volume_over


@pytest.fixture
def as_labels() -> Callable[[NDArray[Any]], Labels]:
    """Labels of an array, with coded terms and what made them."""

    def make(array: NDArray[Any]) -> Labels:
        names = tuple(
            Label(
                f"liver {number}",
                Code("123037004", "SCT", "Anatomical Structure"),
                Code("10200004", "SCT", "Liver"),
            )
            for number in range(1, int(array.max()) + 1)
        )
        made = Provenance(
            "lite-medsam", "fp32", "onnxruntime:cpu", "a" * 64, "b" * 64, "window 40/400"
        )
        return Labels(array.astype(np.uint8), names, made)

    return make


@pytest.fixture
def blobs(noise: Callable[..., NDArray[np.uint8]]) -> Callable[..., NDArray[np.uint8]]:
    """Labels 0 to ``count`` in ragged parts with holes, the first and last plane empty."""

    def draw(shape: tuple[int, ...], count: int = 2, seed: int = 3) -> NDArray[np.uint8]:
        grains = noise(*(-(-size // 2) for size in shape), seed=seed)
        array = (grains % (count + 2)).clip(0, count)
        for axis, size in enumerate(shape):
            array = array.repeat(2, axis).take(range(size), axis)
        array[..., ::3, ::2] = noise(*array[..., ::3, ::2].shape, seed=seed + 1) % (count + 1)
        if len(shape) == 3:
            array[0] = array[-1] = 0
        return array.astype(np.uint8)

    return draw


@pytest.fixture
def ct(tmp_path: Path) -> Volume:
    """The shared CT series, whose study, series and image have lost their UIDs, with new ones."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    folder = tmp_path / "ct"
    folder.mkdir()
    headers = [pydicom.dcmread(path) for path in sorted((SHARED / "ct_series").iterdir())]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    files: list[Path] = []
    for header in headers:
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(header, keyword, pydicom.uid.generate_uid(entropy_srcs=[keyword]))
        files.append(folder / f"{len(files):03}.dcm")
        header.save_as(files[-1])
    return volume_over(files)


@pytest.fixture
def ct_labels(ct: Volume) -> NDArray[np.uint8]:
    """The organs of the NIfTI beside it, numbered from 1, brought onto the series' grid."""
    nibabel = pytest.importorskip("nibabel")
    read: Any = nibabel.load(SHARED / "example_seg_dicom.nii.gz")
    into = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ read.affine) @ ct.affine
    assert np.allclose(into, np.rint(into), atol=1e-6)
    index = np.indices(ct.shape).reshape(3, -1)
    i, j, k = np.rint(into[:3, :3] @ index + into[:3, 3:]).astype(int)
    values = np.asarray(read.dataobj)[i, j, k].reshape(ct.shape)
    numbers: NDArray[np.uint8] = np.searchsorted(np.unique(values), values).astype(np.uint8)
    return numbers
