"""What a person should know of a series before trusting it, in short sentences; opens no file."""

from __future__ import annotations

from edgesam.formats.dicom.pixels import missing_decoder
from edgesam.formats.dicom.series import Series, stack_of_series
from edgesam.formats.quiet import quiet


def problems(series: Series) -> list[str]:
    """Of a series: what keeps it from opening as a volume, and what is unusual about it.

    Slices are counted from 0, in order along their normal. Empty if there is nothing to tell.
    """
    found = list(series.notes)
    if stack := stack_of_series(series):
        found += stack.faults
        if stack.tilt:
            found.append(f"gantry tilt of {stack.tilt:.2f} degrees: voxels are sheared")
    spaced = [piece for piece in series.slices if piece.grid.spacing]
    if not spaced:
        if series.modality != "US":  # which says it by region
            found.append("no pixel spacing: sizes in millimetres are unknown")
    elif len(spaced) < len(series.slices):
        found.append(f"no pixel spacing in {len(series.slices) - len(spaced)} slices")
    elif (source := spaced[0].grid.source) != "PixelSpacing":
        found.append(f"pixel spacing is {source}: measured at the detector, not in the patient")
    with quiet("pydicom"):
        for syntax in sorted({piece.syntax for piece in series.slices}):
            if missing := missing_decoder(syntax):
                found.append(missing)
    return found
