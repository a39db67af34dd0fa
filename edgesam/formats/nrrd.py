"""Reads NRRD volumes and writes label maps, 3D Slicer's segmentations among them.

Fields are those of teem.sourceforge.net/nrrd/format.html; segments are told as 3D Slicer does in
``.seg.nrrd`` files. Knows no other format.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.atomic import write_atomic
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.file_voxels import FileVoxels, Stored, native, unreadable
from edgesam.formats.label_map import in_file_order, packed
from edgesam.formats.nrrd_header import (
    GEOMETRY,
    TEXT,
    Header,
    array_shape,
    lps_affine,
    stored_dtype,
)
from edgesam.formats.quiet import quiet
from edgesam.labels import Code, Labels
from edgesam.origin import File, Origin, Part
from edgesam.volume import Volume, long_axis

_LONGEST = 1 << 20  # bytes of a header: what has no end by then is none
# Bytes at most that one byte of the file stands for; of text, one value has a digit and a space.
_PACKED = {"raw": 1.0, "gzip": 1032.0, "gz": 1032.0, "bzip2": 1.1e6, "bz2": 1.1e6}


@dataclass(eq=False)
class NrrdVoxels(FileVoxels):
    """Voxels of a NRRD file, with what a label map over them is to repeat.

    Attributes:
        geometry: the header's lines that say where voxels are.
        affine: what it was read as.
    """

    geometry: tuple[str, ...]
    affine: NDArray[np.float64]


def looks_like_nrrd(head: bytes) -> bool:
    """Whether a file's first bytes are NRRD's."""
    return head[:4] == b"NRRD"


def read_nrrd(path: Path) -> Volume:
    """The volume in a ``.nrrd`` file, or a ``.nhdr`` with its voxels beside it; not read yet.

    The array's axes are the file's, the fastest first; values are as stored. Planes of a file
    that is not compressed are read from the disk one at a time.

    Directions in an anatomical space (LPS, RAS or LAS) are taken as they are. In any other space,
    or with spacings alone, the orientation is a guess (LPS), and that is logged.

    Raises:
        ImageError: the file or its voxels are missing, damaged or cut short, or pynrrd is not
            installed.
        VolumeError: another number of axes than three, an axis that is not in space, voxels that
            are no numbers, a unit of length that is not known, or an affine that cannot be.
    """
    try:
        import nrrd
    except ImportError:
        raise ImageError(
            f'{path}: NRRD needs the package pynrrd; try: pip install "edgesam[volumes]"'
        ) from None
    with quiet("nrrd"):
        try:
            lines, start = _header_lines(path)
            return _volume(path, nrrd.read_header(lines), lines, start)
        except VolumeError as error:
            raise VolumeError(f"{path}: {error}") from None
        except Exception as error:
            raise unreadable(path, error) from None


def write_nrrd(path: Path, labels: Labels, source: Volume) -> None:
    """Writes a label map to ``.nrrd``, gzipped, in 8 bits if they are enough, else in 16.

    Over a NRRD file the map has that file's axes and place, word for word. Over DICOM slices its
    axes are (column, row, slice), over all else the volume's own, and its space is LPS. A name
    that ends with ``.seg.nrrd`` gets each label's name, codes and colour for 3D Slicer. The same
    labels give the same bytes.

    Raises:
        ImageError: another suffix, or the file cannot be written.
        VolumeError: the labels are not of the volume's size.
    """
    name = path.name.lower()
    if not name.endswith(".nrrd"):
        raise ImageError(f"cannot write {path}: a label map is written as .nrrd or .seg.nrrd")
    array, affine = in_file_order(labels, source)
    fields = [
        f"type: {'uint8' if array.dtype.itemsize == 1 else 'uint16'}",
        "dimension: 3",
        *_geometry(source, affine),
        f"sizes: {' '.join(map(str, array.shape))}",
        "kinds: domain domain domain",
        *(["endian: little"] if array.dtype.itemsize > 1 else []),
        "encoding: gzip",
        *_provenance(labels),
        *(_segments(labels, array.shape) if name.endswith(".seg.nrrd") else []),
    ]
    header = "\n".join(("NRRD0005", *fields, "", ""))
    write_atomic(path, header.encode("utf-8") + packed(array.tobytes(order="F")))


def _header_lines(path: Path) -> tuple[list[str], int]:
    """The header's lines, and where the first byte after it is.

    Taken apart here, as pynrrd drops what is not ASCII: micrometres would become metres. NRRD
    says ASCII; a line that is more is UTF-8 as new programs write, or else Latin-1 as older ones.
    """
    lines: list[str] = []
    with path.open("rb") as stream:
        if not looks_like_nrrd(stream.read(4)):
            raise ImageError(f"{path}: is not NRRD: it does not begin with NRRD")
        stream.seek(0)
        while octets := stream.readline(_LONGEST).rstrip():
            try:
                line = octets.decode("utf-8")
            except UnicodeDecodeError:
                line = octets.decode("latin-1")
            if re.match("data ?file: *LIST", line, re.IGNORECASE):
                raise ImageError(f"{path}: its voxels are in several files; save them in one")
            lines.append(line)
            if stream.tell() > _LONGEST:
                raise ImageError(f"{path}: damaged: its header has no end; get a fresh copy")
        return lines, stream.tell()


def _volume(path: Path, header: Header, lines: list[str], start: int) -> Volume:
    shape, dtype = array_shape(header), stored_dtype(header)
    affine, source = lps_affine(header)
    stored, plain = _stored(path, header, start)
    voxels = NrrdVoxels(
        stored.path,
        shape,
        dtype.newbyteorder("="),
        read=stored.mapped if plain else lambda: _decoded(stored, header),
        in_parts=stored.mapped if plain else None,
        change=native,
        geometry=tuple(line for line in lines if re.split(":(?!=)", line)[0] in GEOMETRY),
        affine=affine,
    )
    origin = Origin("nrrd", (Part(File(path)),))
    return Volume(voxels, affine, long_axis(affine), spacing_source=source, origin=origin)


def _stored(path: Path, header: Header, start: int) -> tuple[Stored, bool]:
    """Where the voxels are, and whether they are there as they will be used."""
    data = path
    if name := header.get("data file", header.get("datafile")):
        data, start = path.parent / str(name), 0
        if not data.is_file():
            raise ImageError(
                f"{path}: its voxels are missing: the data file that its header names is not there"
            )
    shape, dtype = array_shape(header), stored_dtype(header)
    encoding = str(header["encoding"]).lower()
    if encoding not in (*_PACKED, *TEXT):
        raise ImageError(f"{path}: its encoding is not raw, gzip, bzip2 or text; convert it")
    skip = int(header.get("byte skip", header.get("byteskip", 0)) or 0)
    stored = Stored(data, shape, dtype, start)
    plain = encoding == "raw" and not header.get("line skip", header.get("lineskip", 0))
    if skip < -1:
        raise ImageError(f"{path}: damaged: its byte skip is {skip}; get a fresh copy")
    if plain:  # a skip of -1: the voxels are the file's end
        behind = start + skip if skip >= 0 else data.stat().st_size - stored.nbytes
        stored = replace(stored, offset=max(start, behind))
    values = stored.nbytes // dtype.itemsize
    stored.check_size(_PACKED.get(encoding, stored.nbytes / (2 * values - 1)))
    return stored, plain


def _decoded(stored: Stored, header: Header) -> NDArray[Any]:
    import nrrd

    # The file is opened here: pynrrd leaves one that it opened itself open when it fails.
    inside = {key: value for key, value in header.items() if key not in ("data file", "datafile")}
    with quiet("nrrd"), stored.path.open("rb") as stream:
        stream.seek(stored.offset)
        values: NDArray[Any] = nrrd.read_data(inside, stream, index_order="F")
    return values


def _geometry(source: Volume, affine: NDArray[np.float64]) -> list[str]:
    """The fields that say where voxels are: a NRRD file's own, while the volume lies there."""
    voxels = source.voxels
    if isinstance(voxels, NrrdVoxels) and np.array_equal(voxels.affine, source.affine):
        return list(voxels.geometry)
    if source.spacing_source is None:
        return []
    return [
        "space: left-posterior-superior",
        f"space directions: {' '.join(_vector(affine[:3, axis]) for axis in range(3))}",
        f"space origin: {_vector(affine[:3, 3])}",
    ]


def _vector(numbers: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(number)) for number in numbers)})"


def _provenance(labels: Labels) -> list[str]:
    made = labels.provenance
    return [] if made is None else [f"edgesam.{k}:={_escaped(v)}" for k, v in asdict(made).items()]


def _segments(labels: Labels, shape: tuple[int, ...]) -> list[str]:
    """3D Slicer's fields of a segmentation: vtkMRMLSegmentationStorageNode.cxx."""
    extent = " ".join(f"0 {size - 1}" for size in shape)
    lines = [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    for index, label in enumerate(labels.labels):
        # A golden angle apart, so that neighbours differ however many there are.
        colour = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9)
        terms = "~".join(
            (_term(label.category), _term(label.type), "^^", "Anatomic codes", "^^", "^^")
        )
        fields = {
            "Color": " ".join(f"{part:.6f}" for part in colour),
            "ColorAutoGenerated": "1",
            "Extent": extent,
            "ID": f"Segment_{index + 1}",
            "LabelValue": f"{index + 1}",
            "Layer": "0",
            "Name": _escaped(label.name),
            "NameAutoGenerated": "0",
            "Tags": f"TerminologyEntry:Segmentation category and type~{terms}|",
        }
        lines += [f"Segment{index}_{field}:={value}" for field, value in fields.items()]
    return lines


def _term(code: Code) -> str:
    # What separates terms cannot stand in one.
    return "^".join(
        re.sub(r"[\^~|]", " ", _escaped(text)) for text in (code.scheme, code.value, code.meaning)
    )


def _escaped(text: str) -> str:
    """As a value of a key: NRRD's escapes keep it on one line."""
    return text.replace("\\", "\\\\").replace("\r", " ").replace("\n", "\\n")
