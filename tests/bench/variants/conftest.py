"""A folder as a hospital might give it: pictures, a DICOM series, a volume, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset

Noise = Callable[..., NDArray[np.uint8]]
PATIENT = "SECRET^NAME"


def write_slice(path: Path, pixels: NDArray[np.uint8], number: int, study: str) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.UID("1.2.840.10008.5.1.4.1.1.4")
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, "SECRET-ID", "MR"
    dataset.StudyInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[study])
    dataset.SeriesInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[study, "series"])
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture
def clinic(tmp_path: Path, noise: Noise) -> Path:
    """3 PNGs in ``ct``, 6 slices of one MR study, an archive's worth of nothing else."""
    nibabel: Any = pytest.importorskip("nibabel")
    folder = tmp_path / "clinic"
    for below in ("ct", "smith_john", "volumes"):
        (folder / below).mkdir(parents=True)
    for number in range(3):
        pixels = noise(120, 144, seed=number)
        Pillow.fromarray(pixels).save(folder / "ct" / f"{number}.png")
    for number in range(6):
        path = folder / "smith_john" / f"slice{number}.dcm"
        write_slice(path, noise(96, 96, seed=10 + number), number + 1, "one")
    values = noise(96, 96, 8, seed=20).astype(np.int16)
    values[:, :, 3] = 0  # an empty slice
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "volumes" / "v.nii.gz")
    return folder
