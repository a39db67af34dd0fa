"""Decodes the stored values of one frame of a DICOM file; knows nothing of what they mean."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy.typing as npt

from edgesam.errors import ImageError
from edgesam.formats.dicom import jpeg2000
from edgesam.formats.dicom.header import Header, damaged, transfer_syntax
from edgesam.origin import File

if TYPE_CHECKING:
    from pydicom.uid import UID

# PS3.3 C.7.6.3, C.7.6.24 and C.7.6.25.
_PIXELS = 0x7FE0
_KEYWORDS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
_EXTRA = 'pip install "edgesam[codecs]"'


def decode(file: File, header: Header, index: int) -> npt.NDArray[Any]:
    """The stored values of one frame, from 0: (H, W), or (H, W, 3) RGB of a colour picture.

    Colours in YBR become RGB. To be called inside ``quiet("pydicom")``.

    Raises:
        ImageError: no decoder for its transfer syntax, or damaged or missing pixels.
    """
    from pydicom.uid import JPEGBaseline8Bit

    dataset = header.dataset
    syntax, declared = transfer_syntax(file, dataset)
    try:
        eight_bit = dataset.get("BitsStored") == 8
    except Exception:  # not chained: pydicom's messages quote values
        raise damaged(file, "its description of the pixels cannot be read") from None
    missing, wants_codecs = _decoder(syntax, eight_bit)
    if missing:
        raise ImageError(f"{file}: {missing}")
    # Lossy JPEG differs a little between decoders: the one that is always installed decides.
    plugin = "pillow" if syntax == JPEGBaseline8Bit else ""
    if jpeg2000.offered(syntax):
        with contextlib.suppress(Exception):  # then another one may still read it
            return _decoded(file, header, syntax, index, jpeg2000.NAME, declared=declared)
    try:
        return _decoded(file, header, syntax, index, plugin, declared=declared)
    except MemoryError:
        raise ImageError(f"{file}: does not fit into memory") from None
    except Exception:  # decoders raise nearly anything on damaged pixels, and quote values
        if (wants_codecs and not plugin) or _is_twelve_bit(syntax, eight_bit):
            raise ImageError(f"{file}: {_undecodable(syntax, wants_codecs)}") from None
        raise damaged(
            file, f"its pixels ({syntax.name}) cannot be decoded or are missing"
        ) from None


def _decoded(
    file: File, header: Header, syntax: UID, index: int, plugin: str, *, declared: bool
) -> npt.NDArray[Any]:
    """By one decoder, or by the first that does not fail; raises whatever they raise."""
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    streamable = declared and syntax != DeflatedExplicitVRLittleEndian
    with file.open() as stream:
        if streamable and header.dataset.original_encoding == (
            syntax.is_implicit_VR,
            syntax.is_little_endian,
        ):
            return _native_order(_frame(stream, header, syntax, index, plugin))
        whole = dcmread(stream, force=True)
        whole.file_meta.TransferSyntaxUID = syntax
        return _native_order(pixel_array(whole, index=index, decoding_plugin=plugin))


def _frame(
    stream: BinaryIO, header: Header, syntax: UID, index: int, plugin: str
) -> npt.NDArray[Any]:
    """One frame, read from where it is: the header of a large object is not read again."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import as_pixel_options

    stream.seek(header.pixels_at)
    order = "<" if syntax.is_little_endian else ">"
    group, element, kind = struct.unpack(f"{order}HH2s", stream.read(6))
    stream.read(2 if syntax.is_implicit_VR else 6)  # the length
    if group != _PIXELS:
        raise ValueError
    options = as_pixel_options(
        header.dataset, transfer_syntax_uid=syntax, pixel_keyword=_KEYWORDS[element]
    )
    if not syntax.is_implicit_VR:
        options["pixel_vr"] = kind.decode("ascii")
    frame, _ = get_decoder(syntax).as_array(stream, index=index, decoding_plugin=plugin, **options)
    return frame


def missing_decoder(syntax: str) -> str | None:
    """Why nothing here decodes a transfer syntax and what would; None if something does."""
    from pydicom.uid import UID

    return _decoder(UID(syntax), eight_bit=True)[0]


def _decoder(syntax: UID, eight_bit: bool) -> tuple[str | None, bool]:
    """Why there is no decoder, None if there is one; and whether the codecs are not all here."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return (
            f"its pixels are in {syntax.name}, which edgesam does not read; "
            "convert it to an uncompressed or JPEG 2000 file"
        ), False
    wants_codecs = not _is_twelve_bit(syntax, eight_bit) and any(
        "gdcm" in need for need in decoder.missing_dependencies
    )
    return (None if decoder.is_available else _undecodable(syntax, wants_codecs)), wants_codecs


def _is_twelve_bit(syntax: UID, eight_bit: bool) -> bool:
    """A JPEG that gdcm does not decode either."""
    from pydicom.uid import JPEGExtended12Bit

    return syntax == JPEGExtended12Bit and not eight_bit


def _undecodable(syntax: UID, wants_codecs: bool) -> str:
    if wants_codecs:
        return (
            f"no installed decoder reads its pixels ({syntax.name}), or they are damaged; "
            f"try: {_EXTRA}"
        )
    return (
        f"edgesam has no decoder for its pixels ({syntax.name}), or they are damaged; "
        "convert it to an uncompressed or JPEG 2000 file"
    )


def _native_order(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)
