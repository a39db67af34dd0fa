"""How long a large DICOM series takes to open, and how much memory. Knows edgesam, no model.

    python -m edgesam_bench.opening --out bench/results/opening.json

Writes a made-up series of 512 x 512 slices of 16 bits into a temporary folder, and opens it in a
process of its own, which then takes one slice from the middle. Limits: 3 s and 300 MiB.
Exit codes: 0 both hold, 2 usage, 3 one is broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import edgesam
from edgesam import machine
from edgesam.commands import GATE
from edgesam_bench.cost.peak import peak_mib
from edgesam_bench.results import write_results

SIDE = 512
SECONDS, MIB = 3.0, 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m edgesam_bench.opening")
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(measured(options.child)))
        return 0
    with tempfile.TemporaryDirectory(prefix="edgesam-") as folder:
        write_series(Path(folder), options.slices)
        command = [sys.executable, "-m", "edgesam_bench.opening", "--child", folder]
        rounds = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(options.rounds)
        ]
    report = {
        "processor": machine.processor(),
        "versions": machine.versions(),
        "slices": options.slices,
        "rounds": options.rounds,
        **{name: statistics.median(found[name] for found in rounds) for name in rounds[0]},
    }
    print(json.dumps(report, indent=1))
    if options.out:
        write_results(options.out, report)
    return GATE if report["open_seconds"] > SECONDS or report["peak_mib"] > MIB else 0


def measured(folder: Path) -> dict[str, float]:
    """Of this process: seconds to open and to take a slice, and its peak memory."""
    started = time.perf_counter()
    volume = edgesam.read(folder)
    opened = time.perf_counter()
    assert isinstance(volume, edgesam.Volume)
    volume.slice(volume.count() // 2)
    taken = time.perf_counter()
    return {
        "open_seconds": opened - started,
        "slice_seconds": taken - opened,
        "peak_mib": peak_mib() or float("nan"),
    }


def write_series(folder: Path, count: int) -> None:
    """A CT series, a file for each slice, a millimetre apart."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.Modality = CTImageStorage, "CT"
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    header.FrameOfReferenceUID = generate_uid()
    header.Rows = header.Columns = SIDE
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.PixelSpacing, header.ImageOrientationPatient = [0.7, 0.7], [1, 0, 0, 0, 1, 0]
    header.RescaleSlope, header.RescaleIntercept = 1, -1024
    header.PixelData = np.arange(SIDE * SIDE, dtype=np.uint32).astype("<i2").tobytes()
    header["PixelData"].VR = "OW"
    for index in range(count):
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.InstanceNumber, header.ImagePositionPatient = index + 1, [0, 0, float(index)]
        pydicom.dcmwrite(folder / f"{index:05}.dcm", header, enforce_file_format=True)


if __name__ == "__main__":
    raise SystemExit(main())
