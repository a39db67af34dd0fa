"""Reads PNG, JPEG, TIFF, BMP, GIF and WebP without losing a bit; knows no DICOM, writes nothing.

Pillow keeps 8 bits of each sample of a 16-bit picture with several channels, and says nothing.
Its raw modes ``RGB;16B`` and ``RGB;16L`` differ only in which byte of a pair they keep, so such a
picture is decoded twice, once for each byte, and put together again here.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.formats.frame import choose_frame
from edgesam.formats.quiet import quiet
from edgesam.image import Image
from edgesam.origin import File, Origin, Part
from edgesam.place import Place

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")

# TIFF tag numbers: TIFF 6.0, section 8.
_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANAR, _SAMPLE_FORMAT = 258, 262, 274, 284, 339

# libtiff hands out samples in the machine's byte order, whatever the file's; Pillow accounts for
# that in some raw modes and forgets these.
_NATIVE = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}

_log = logging.getLogger("edgesam")


def read_raster(path: Path, *, frame: int | None = None) -> Image | Cine:
    """The picture at ``path``, or its ``frame`` (from 0) if it has several, pixels as stored.

    Several frames or pages are a cine if none of them is asked for. Palettes become RGB, 1-bit
    pixels 0 and 255, CMYK and other colour spaces RGB; alpha is dropped. An orientation tag is not
    applied, as prompts are given in stored pixels.

    Raises:
        ImageError: it cannot be read, or has pages of several sizes, one of which must be chosen.
    """
    with quiet("PIL"):
        return _read_or_explain(path, frame)


@dataclass(frozen=True)
class Pages:
    """The frames or pages of one file, each decoded when it is asked for."""

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> Image:
        """One of them, with its place in the file."""
        with quiet("PIL"):
            page = _read_or_explain(self.path, index)
        assert isinstance(page, Image)
        return replace(page, place=Place(frame=index))


def _read_or_explain(path: Path, frame: int | None) -> Image | Cine:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with path.open("rb") as stream:
            return _read(path, stream, frame)
    except ImageError:
        raise
    except Pillow.DecompressionBombError:
        limit = 2 * (Pillow.MAX_IMAGE_PIXELS or 0)
        raise ImageError(
            f"{path}: has more than {limit} pixels, Pillow's limit against decompression bombs; "
            "raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file, or cut the picture"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path}: not an image that can be read: neither DICOM nor {', '.join(FORMATS)}, "
            "or damaged, or of a rare layout"
        ) from None
    except MemoryError:
        raise ImageError(f"{path}: does not fit into memory; cut the picture") from None
    except Exception as error:  # decoders raise nearly anything on a damaged file
        raise ImageError(
            f"{path}: damaged or cut short ({type(error).__name__} while decoding); "
            "get a fresh copy"
        ) from None  # messages may quote what a tag holds


def _read(path: Path, stream: BinaryIO, frame: int | None) -> Image | Cine:
    picture = _open(stream, 0)
    # A phone's JPEG may carry previews behind the picture: that is MPO, and the first is meant.
    count = 1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1))
    if frame is None and count > 1:
        return _cine(path, picture, count)
    index = choose_frame(frame, count, path)
    picture = _open(stream, index)
    tags: Any = getattr(picture, "tag_v2", {})
    rawmode = _rawmode(picture)
    deep = _is_deep(rawmode)
    if (deep or max(tags.get(_BITS, (1,))) > 8) and tags.get(_PLANAR, 1) != 1:
        raise ImageError(
            f"{path}: more than 8 bits per sample in separate planes, which would be read with "
            "loss; save it with interleaved samples"
        )
    if deep and picture.format == "PNG" and count > 1:
        raise ImageError(f"{path}: animated PNG with 16 bits a sample; save the frame by itself")
    pixels = _deep_pixels(path, stream, index) if deep else _pixels(stream, index)
    # Pillow turns WhiteIsZero round in pictures of up to 8 bits only.
    inverted = tags.get(_PHOTOMETRIC) == 0 and pixels.dtype != np.uint8
    orientation = tags.get(_ORIENTATION, 1) if tags else picture.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):  # a damaged tag may hold a text instead
        _log.warning(
            "the picture carries orientation tag %d, which is not applied: prompts and masks are "
            "in its pixels as stored, and viewers may show it turned",
            orientation,
        )
    origin = Origin("raster", (Part(File(path), index),))
    return Image(Image.from_array(pixels).pixels, inverted=inverted, origin=origin)


def _cine(path: Path, picture: ImageFile, count: int) -> Cine:
    sizes = set()
    for index in range(count):
        picture.seek(index)
        sizes.add(picture.size)
    if len(sizes) > 1:
        raise ImageError(
            f"{path}: has {count} pages of different sizes; choose one with --frame 0..{count - 1}"
        )
    ((width, height),) = sizes
    duration = float(picture.info.get("duration") or 0)
    parts = tuple(Part(File(path), index) for index in range(count))
    pace = duration if duration > 0 else None
    return Cine(Pages(path, count), height, width, pace, origin=Origin("raster", parts))


def _open(stream: BinaryIO, index: int) -> ImageFile:
    from PIL import Image as Pillow

    stream.seek(0)
    picture = Pillow.open(stream, formats=FORMATS)
    picture.seek(index)
    return picture


def _rawmode(picture: ImageFile) -> str:
    """How the samples lie in the file, in Pillow's words; "" where the decoder decides."""
    if not picture.tile:
        return ""
    args: Any = picture.tile[0][3]
    return str(args if isinstance(args, str) else args[0])


def _is_deep(rawmode: str) -> bool:
    """Whether Pillow would drop half of each sample's 16 bits."""
    return rawmode.endswith((";16B", ";16L", ";16N")) and not rawmode.startswith(("I;", "BGR;"))


def _load(stream: BinaryIO, index: int, mode: str, rawmode: str) -> Picture:
    """The picture, decoded as if its samples lay as ``rawmode`` says, its pixels as stored."""
    from PIL.Image import Transpose

    picture = _open(stream, index)
    if rawmode != _rawmode(picture):
        picture._mode = mode
        picture.tile = [_with_rawmode(tile, rawmode) for tile in picture.tile]
    tags: Any = getattr(picture, "tag_v2", {})
    orientation = tags.get(_ORIENTATION, 1)
    picture.load()
    # Pillow turns a TIFF as its orientation tag says, deletes the tag, and cannot be told not to.
    undo = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270,
    }.get(orientation)
    return picture if undo is None or _ORIENTATION in tags else picture.transpose(undo)


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    args = rawmode if isinstance(tile[3], str) else (rawmode, *tile[3][1:])
    # A plain tuple in Pillow 10, a named one since.
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def _deep_pixels(path: Path, stream: BinaryIO, index: int) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3) uint16 of a picture whose samples Pillow would halve."""
    rawmode = _rawmode(_open(stream, index))
    family, order = rawmode[:-1], rawmode[-1]
    if family == "LA;16":  # PNG only: four bytes a pixel, like 8-bit RGBA, and big-endian
        octets = np.asarray(_load(stream, index, "RGBA", "RGBA")).astype(np.uint16)
        grey: npt.NDArray[Any] = (octets[:, :, 0] << 8) | octets[:, :, 1]
        return grey
    if family not in ("RGB;16", "RGBA;16", "RGBX;16"):
        raise ImageError(
            f"{path}: 16 bits a sample as {rawmode.partition(';')[0]}, which would be read with "
            "loss; save it as grey, RGB or RGBA"
        )
    mode = "RGB" if family == "RGB;16" else "RGBA"
    first = np.asarray(_load(stream, index, mode, f"{mode};16B"))[:, :, :3]
    second = np.asarray(_load(stream, index, mode, f"{mode};16L"))[:, :, :3]
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    high, low = (second, first) if little else (first, second)
    colour: npt.NDArray[Any] = (high.astype(np.uint16) << 8) | low
    return colour


def _pixels(stream: BinaryIO, index: int) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3) of any other picture, in the type that the file says."""
    picture = _open(stream, index)
    tags: Any = getattr(picture, "tag_v2", {})
    rawmode = _rawmode(picture)
    if tags and picture.info.get("compression") != "raw":
        rawmode = _NATIVE.get(rawmode, rawmode)
    pixels = _array(_load(stream, index, picture.mode, rawmode))
    if rawmode == "I;32N":
        return pixels.view(np.uint32)  # Pillow has no unsigned 32-bit mode
    if pixels.dtype == np.uint8 and 2 in tags.get(_SAMPLE_FORMAT, ()):
        return pixels.view(np.int8)  # nor a signed 8-bit one
    return pixels


def _array(picture: Picture) -> npt.NDArray[Any]:
    """Grey pictures of any depth as they are; everything else as RGB, without its alpha."""
    if picture.mode in ("1", "L", "I", "F", "RGB") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if picture.mode in ("RGBA", "RGBX"):
        return np.asarray(picture)[:, :, :3]
    if picture.mode in ("LA", "La"):
        return np.asarray(picture.convert("LA"))[:, :, 0]
    return np.asarray(picture.convert("RGB"))
