"""Reads NIfTI-1 and NIfTI-2 volumes and writes label maps; what headers mean is nifti_header's."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.atomic import write_atomic
from edgesam.errors import ImageError, VolumeError
from edgesam.formats.file_voxels import FileVoxels, Stored, unreadable
from edgesam.formats.label_map import in_file_order, packed
from edgesam.formats.nifti_header import (
    Header,
    array_shape,
    copy_place,
    lps_affine,
    scaling,
    set_place,
    stored_dtype,
)
from edgesam.formats.quiet import quiet
from edgesam.labels import Labels
from edgesam.origin import File, Origin, Part
from edgesam.volume import Volume, long_axis

_SINGLE, _PAIR = (b"n+1\0", b"n+2\0"), (b"ni1\0", b"ni2\0")
_SIZE_1, _SIZE_2 = 348, 540  # of a header
_DEFLATE = 1032  # bytes at most that one deflated byte stands for
_CHUNK = 1 << 20


@dataclass(eq=False)
class NiftiVoxels(FileVoxels):
    """Voxels of a NIfTI file, with what a label map over them is to repeat.

    Attributes:
        header: the file's own.
        affine: what it was read as.
    """

    header: Header
    affine: NDArray[np.float64]


def looks_like_nifti(head: bytes) -> bool:
    """Whether a file's first 348 bytes, unpacked, are a NIfTI-1 or NIfTI-2 header."""
    return _magic(head) in _SINGLE + _PAIR


def pair_head(path: Path) -> bytes:
    """The header of the NIfTI pair whose voxels are in the file ``.img`` or ``.img.gz``.

    Empty if the file is none, or if no NIfTI header stands beside it.
    """
    header = _header_file(path)
    if header == path or not path.is_file():
        return b""
    try:
        head = _head(header)
    except (OSError, EOFError, zlib.error):
        return b""
    return head if _magic(head) in _PAIR else b""


def read_nifti(path: Path) -> Volume:
    """The volume in a ``.nii``, ``.nii.gz`` or ``.hdr`` and ``.img`` file, voxels not read yet.

    The array's axes are the file's (I, J, K). Values have the file's slope and intercept applied:
    none keeps the file's type; whole ones keep integers, in the smallest of int16, int32 and int64
    that all stored values need; others give float32, or float64 for stored floats and for more
    than 16 bits. Planes of a file that is not compressed are read from the disk one at a time.

    The sform goes before the qform. With neither, spacing is known and the orientation a guess
    (the first axis to the left, as Analyze files are): that is logged, and so are two forms that
    disagree. One picture (I, J) is a volume of one slice.

    Raises:
        ImageError: the file is missing, damaged or cut short, or nibabel is not installed.
        VolumeError: more than three axes, complex or colour voxels, or an affine that cannot be.
    """
    nibabel = _nibabel(f"{path}:")
    with quiet("nibabel"):
        try:
            file = _header_file(path)
            head = _head(file)
            magic = _magic(head)
            if magic not in _SINGLE + _PAIR:
                raise ImageError(f"{path}: is not NIfTI: it has no NIfTI header")
            if magic[2:3] == b"1":
                header = nibabel.Nifti1Header(head[:_SIZE_1], check=False)
            else:
                header = nibabel.Nifti2Header(head[:_SIZE_2], check=False)
            return _volume(path, file if magic in _SINGLE else _data_file(path, file), header)
        except VolumeError as error:
            raise VolumeError(f"{path}: {error}") from None
        except Exception as error:
            raise unreadable(path, error) from None


def write_nifti(path: Path, labels: Labels, source: Volume) -> None:
    """Writes a label map to ``.nii`` or ``.nii.gz``, in 8 bits if they are enough, else in 16.

    Over a NIfTI file the map has that file's axes, units, codes and both its matrices. Over DICOM
    slices its axes are (column, row, slice); over all else the volume's own. Over a volume of
    unknown spacing its sizes are 0, and so read as unknown again. NIfTI has no place for the names
    of labels. The same labels give the same bytes.

    Raises:
        ImageError: another suffix, the file cannot be written, or nibabel is not installed.
        VolumeError: the labels are not of the volume's size.
    """
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise ImageError(f"cannot write {path}: NIfTI is written as .nii or .nii.gz")
    nibabel = _nibabel(f"cannot write {path}:")
    array, affine = in_file_order(labels, source)
    with quiet("nibabel"):
        kept = _kept(source)
        large = max(array.shape) > np.iinfo(np.int16).max
        second = large if kept is None else int(kept["sizeof_hdr"]) == _SIZE_2
        header = (nibabel.Nifti2Header if second else nibabel.Nifti1Header)(endianness="<")
        header.set_data_dtype(array.dtype)
        if kept is not None:
            copy_place(header, kept)
        else:
            known = affine if source.spacing_source else None
            # 1: the scanner's own coordinates; 2: aligned to something else.
            dicom = source.origin is not None and source.origin.format == "dicom"
            set_place(header, array.shape, known, 1 if dicom else 2)
        header.set_slope_inter(1, 0)
        if (made := labels.provenance) is not None:
            header["descrip"] = f"edgesam {made.model} {made.variant}".encode()[:79]
        header["vox_offset"] = (_SIZE_2 if second else _SIZE_1) + 4
        no_extensions = bytes(4)
        data = header.binaryblock + no_extensions + array.tobytes(order="F")
    write_atomic(path, packed(data) if name.endswith(".gz") else data)


def _nibabel(what: str) -> Any:
    try:
        import nibabel
    except ImportError:
        raise ImageError(
            f'{what} NIfTI needs the package nibabel; try: pip install "edgesam[volumes]"'
        ) from None
    return nibabel


def _magic(head: bytes) -> bytes:
    """NIfTI-2 has it near its beginning, NIfTI-1 at its end."""
    return head[4:8] if head[4:8] in (b"n+2\0", b"ni2\0") else head[344:348]


def _header_file(path: Path) -> Path:
    """The file with the header: of a pair's voxels the file beside them."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith(".img"):
        return path
    stem = path.name[: len(name) - 4]
    beside = (path.with_name(stem + end) for end in (".hdr", ".hdr.gz", ".HDR"))
    return next((file for file in beside if file.is_file()), path)


def _data_file(path: Path, header: Path) -> Path:
    """The file with the voxels of a pair: the one that was asked for, or beside its header."""
    if path != header:
        return path
    name = header.name[:-3] if header.name.lower().endswith(".gz") else header.name
    beside = [header.with_name(Path(name).stem + end) for end in (".img", ".img.gz", ".IMG")]
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        raise ImageError(f"{path}: its voxels are missing: there is no {beside[0].name} beside it")
    return found


def _gzipped(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _head(file: Path) -> bytes:
    with gzip.open(file) if _gzipped(file) else file.open("rb") as stream:
        return stream.read(_SIZE_2)


def _volume(path: Path, data: Path, header: Header) -> Volume:
    shape, on_disk = array_shape(header), stored_dtype(header)
    dtype, change = scaling(header, on_disk)
    stored = Stored(data, shape, on_disk, int(header["vox_offset"]))
    ends = int(header["sizeof_hdr"]) if bytes(header["magic"])[1:2] == b"+" else 0
    if stored.offset < ends:
        raise ImageError(f"{path}: damaged: its voxels would start before its header ends")
    gzipped = _gzipped(data)
    stored.check_size(_DEFLATE if gzipped else 1)
    affine, source = lps_affine(header, shape)
    voxels = NiftiVoxels(
        data,
        shape,
        dtype,
        read=(lambda: _unpacked(stored)) if gzipped else stored.mapped,
        in_parts=None if gzipped else stored.mapped,
        change=change,
        header=header,
        affine=affine,
    )
    origin = Origin("nifti", (Part(File(path)),))
    return Volume(voxels, affine, long_axis(affine), spacing_source=source, origin=origin)


def _unpacked(stored: Stored) -> NDArray[Any]:
    """The values of a gzipped file; read to its end, where its checksum is."""
    octets = np.empty(stored.nbytes, np.uint8)
    with gzip.open(stored.path) as stream:
        stream.seek(stored.offset)
        done = 0
        while part := stream.read(_CHUNK):
            part = part[: len(octets) - done]
            octets[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)
    if done < len(octets):
        raise EOFError
    return octets.view(stored.dtype).reshape(stored.shape, order="F")


def _kept(source: Volume) -> Header | None:
    """The header of the NIfTI file that a volume is of, if the volume still lies where it says."""
    voxels = source.voxels
    if isinstance(voxels, NiftiVoxels) and np.array_equal(voxels.affine, source.affine):
        return voxels.header
    return None
