"""Raster pictures: every bit that a file holds, as stored, or one line that says why not."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import logging
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from edgesam.cine import Cine
from edgesam.commands import main
from edgesam.errors import EdgeSamError, ImageError
from edgesam.formats import read, write_mask, write_picture

Pixels = npt.NDArray[Any]

RANDOM = np.random.default_rng(20)
GREY16 = RANDOM.integers(0, 65536, (9, 11), dtype=np.uint16)
RGB16 = RANDOM.integers(0, 65536, (9, 11, 3), dtype=np.uint16)
RGBA16 = RANDOM.integers(0, 65536, (9, 11, 4), dtype=np.uint16)
RGB8 = RANDOM.integers(0, 256, (9, 11, 3), dtype=np.uint8)


def png_bytes(pixels: Pixels, *, interlaced: bool = False) -> bytes:
    """A PNG of 1 to 4 channels of 8 or 16 bits, with row filters 0, 1 and 2 in turn."""
    channels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, count = channels.shape
    step = count * pixels.dtype.itemsize

    def scan(part: Pixels) -> bytes:
        rows = [
            np.frombuffer(r.astype(r.dtype.newbyteorder(">")).tobytes(), np.uint8) for r in part
        ]
        lines = []
        for y, row in enumerate(rows):
            left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])
            filtered = (row, row - left, row - rows[y - 1])[y % 3]
            lines.append(bytes([y % 3]) + filtered.tobytes())
        return b"".join(lines) if part.size else b""

    adam7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    passes = (*adam7, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    data = b"".join(scan(channels[y::dy, x::dx]) for x, y, dx, dy in passes)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    head = struct.pack(
        ">LLBBBBB", width, height, 8 * pixels.dtype.itemsize, colour, 0, 0, interlaced
    )
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def tiff_bytes(
    pixels: Pixels,
    order: Any = "<",
    *,
    deflate: bool = False,
    photometric: int | None = None,
    planes: bool = False,
    **tags: int,
) -> bytes:
    """A TIFF of one strip (or one for each plane); ``tags`` are t274=..., t338=..."""
    channels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, count = channels.shape
    ordered = channels.astype(pixels.dtype.newbyteorder(order))
    parts = [ordered[:, :, k] for k in range(count)] if planes else [ordered]
    strips = [zlib.compress(p.tobytes()) if deflate else p.tobytes() for p in parts]
    starts = [8, *(8 + end for end in itertools.accumulate(map(len, strips)))]
    entries: dict[int, list[int]] = {
        256: [width],
        257: [height],
        258: [8 * pixels.dtype.itemsize] * count,
        259: [8 if deflate else 1],
        262: [photometric if photometric is not None else 2 if count > 2 else 1],
        273: starts[:-1],
        277: [count],
        278: [height],
        279: [len(strip) for strip in strips],
        284: [2 if planes else 1],
        339: [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * count,
        **{int(name[1:]): [value] for name, value in tags.items()},
    }
    directory, far = struct.pack(f"{order}H", len(entries)), b""
    far_start = starts[-1] + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        kind, code = (4, "L") if tag in (273, 279) else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        directory += struct.pack(f"{order}HHL", tag, kind, len(values))
        if len(packed) > 4:
            directory += struct.pack(f"{order}L", far_start + len(far))
            far += packed
        else:
            directory += packed.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HL", 42, starts[-1])
    return head + b"".join(strips) + directory + b"\0\0\0\0" + far


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def put(folder: Path, data: bytes, name: str = "picture") -> Path:
    """Files are told apart by content, so most of these have no suffix."""
    path = folder / name
    path.write_bytes(data)
    return path


def refusal(path: Path) -> ImageError | None:
    """What `read` says of a file, if it does not read it."""
    try:
        read(path)
    except ImageError as error:
        return error
    return None


def check(path: Path, want: Pixels) -> None:
    got = read(path).pixels
    assert got.dtype == want.dtype
    assert np.array_equal(got, want)


# ------------------------------------------------------------------ nothing is lost


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("stored", "want"),
    [
        (GREY16, GREY16),
        (RGBA16[:, :, :2], RGBA16[:, :, 0]),
        (RGB16, RGB16),
        (RGBA16, RGBA16[:, :, :3]),
        (RGB8, RGB8),
        (RGB8[:, :, :2], RGB8[:, :, 0]),
    ],
    ids=["grey16", "grey-alpha16", "rgb16", "rgba16", "rgb8", "grey-alpha8"],
)
def test_png_keeps_every_bit(
    tmp_path: Path, stored: Pixels, want: Pixels, interlaced: bool
) -> None:
    check(put(tmp_path, png_bytes(stored, interlaced=interlaced)), want)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True], ids=["raw", "deflate"])
class TestTiff:
    def test_rgb_keeps_every_bit(self, tmp_path: Path, order: str, deflate: bool) -> None:
        check(put(tmp_path, tiff_bytes(RGB16, order, deflate=deflate)), RGB16)
        for extra in (0, 2):  # unspecified and alpha
            data = tiff_bytes(RGBA16, order, deflate=deflate, t338=extra)
            check(put(tmp_path, data), RGBA16[:, :, :3])

    @pytest.mark.parametrize(
        "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32]
    )
    def test_grey_keeps_type_and_values(
        self, tmp_path: Path, order: str, deflate: bool, dtype: type[Any]
    ) -> None:
        pixels = (RANDOM.random((5, 7)) * 200 - 90).astype(np.int8).astype(dtype)
        pixels[0, 0] = 1000.25 if dtype == np.float32 else np.iinfo(dtype).max
        got = read(put(tmp_path, tiff_bytes(pixels, order, deflate=deflate))).pixels
        assert np.array_equal(got, pixels)
        assert got.dtype == (np.int32 if dtype == np.int16 else dtype)

    def test_unsigned_32_bits_do_not_turn_negative(
        self, tmp_path: Path, order: str, deflate: bool
    ) -> None:
        pixels = np.array([[0, 1, 2**31, 2**32 - 1]], np.uint32)
        path = put(tmp_path, tiff_bytes(pixels, order, deflate=deflate))
        if order == ">":  # a layout that Pillow does not know
            with pytest.raises(ImageError, match="rare layout"):
                read(path)
        else:
            check(path, pixels)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation_is_not_applied_but_warned_of(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        order: str,
        deflate: bool,
        orientation: int,
    ) -> None:
        for pixels in (RGB8, RGB16, GREY16):
            caplog.clear()
            data = tiff_bytes(pixels, order, deflate=deflate, t274=orientation)
            check(put(tmp_path, data), pixels)
            assert ("orientation" in caplog.text) == (orientation != 1)

    def test_what_would_be_lost_is_refused(self, tmp_path: Path, order: str, deflate: bool) -> None:
        for data in (
            tiff_bytes(RGB16, order, deflate=deflate, planes=True),
            tiff_bytes(RGBA16, order, deflate=deflate, photometric=5),
            tiff_bytes(RGBA16, order, deflate=deflate, t338=1),
        ):
            # an older Pillow does not know all of these layouts, which is as good
            with pytest.raises(ImageError, match=r"with loss; save it|rare layout"):
                read(put(tmp_path, data))

    def test_planes_of_8_bits(self, tmp_path: Path, order: str, deflate: bool) -> None:
        check(put(tmp_path, tiff_bytes(RGB8, order, deflate=deflate, planes=True)), RGB8)


@pytest.mark.parametrize("deflate", [False, True])
def test_white_is_zero_stays_dense_bright(tmp_path: Path, deflate: bool) -> None:
    """16-bit and float pictures are marked inverted, 8-bit ones are turned by Pillow."""
    grey8 = RGB8[:, :, 0]
    check(put(tmp_path, tiff_bytes(grey8, deflate=deflate, photometric=0)), 255 - grey8)
    for pixels in (GREY16, GREY16.astype(np.float32)):
        path = put(tmp_path, tiff_bytes(pixels, deflate=deflate, photometric=0))
        check(path, pixels)
        image = read(path)
        assert image.inverted
        rgb, mapping = image.to_rgb8()
        assert mapping.endswith(", inverted")
        assert rgb.ravel()[3 * int(pixels.argmin())] == 255


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", None])
def test_pillows_own_tiffs(tmp_path: Path, compression: str | None) -> None:
    for pixels in (GREY16, RGB8, RGB8[:, :, 0]):
        data = saved(PIL.Image.fromarray(pixels), "TIFF", compression=compression)
        check(put(tmp_path, data), pixels)


# ------------------------------------------------------------------ modes and formats


def test_modes_become_grey_or_rgb(tmp_path: Path) -> None:
    bits = np.array([[True, False, True]])
    check(
        put(tmp_path, saved(PIL.Image.fromarray(bits), "PNG")),
        np.where(bits, np.uint8(255), np.uint8(0)),
    )
    palette = PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    palette.putpalette([9, 8, 7, 255, 0, 0, 0, 255, 3])
    colours = np.array([[[9, 8, 7], [255, 0, 0], [0, 255, 3]]], np.uint8)
    for options in ({}, {"transparency": b"\x00\x80\xff"}, {"transparency": 1}):
        check(put(tmp_path, saved(palette, "PNG", **options)), colours)
    check(put(tmp_path, saved(palette, "GIF")), colours)
    cmyk = PIL.Image.new("CMYK", (2, 1), (0, 255, 255, 0))
    check(put(tmp_path, saved(cmyk, "TIFF")), np.array([[[255, 0, 0]] * 2], np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_exact_formats(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    check(put(tmp_path, saved(PIL.Image.fromarray(RGB8), kind, **options)), RGB8)


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.full((16, 24, 3), (200, 30, 90), np.uint8)
    for picture in (PIL.Image.fromarray(smooth), PIL.Image.fromarray(smooth[:, :, 0])):
        got = read(put(tmp_path, saved(picture, "JPEG", quality=95))).pixels
        assert got.shape == np.asarray(picture).shape
        assert np.abs(got.astype(int) - np.asarray(picture)).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_not_applied_but_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    exif[0x010E] = "SECRET^NAME"
    picture = PIL.Image.new("RGB", (24, 16))
    image = read(put(tmp_path, saved(picture, kind, exif=exif)))
    assert (image.height, image.width) == (16, 24)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "orientation tag 6" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_phones_preview_does_not_count_as_a_frame(tmp_path: Path) -> None:
    pictures = [PIL.Image.new("RGB", (16, 8), c) for c in ("white", "black")]
    data = saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert read(put(tmp_path, data)).pixels.min() > 250


@pytest.mark.parametrize("size", [(20_000, 3), (3, 20_000), (1, 7), (7, 1)])
def test_long_thin_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = RANDOM.integers(0, 65536, (*size, 3), dtype=np.uint16)
    check(put(tmp_path, tiff_bytes(pixels, deflate=True)), pixels)


# ------------------------------------------------------------------ frames


def test_frames(tmp_path: Path) -> None:
    pages = [PIL.Image.fromarray(np.full((4, 5), v, np.uint16)) for v in (10, 20, 3000)]
    path = put(tmp_path, saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    cine = read(path)
    assert isinstance(cine, Cine)
    assert (len(cine), cine.height, cine.width, cine.milliseconds) == (3, 4, 5, None)
    assert [int(page.pixels[0, 0]) for page in cine] == [10, 20, 3000]
    assert cine.frame(2).place.frame == 2
    assert [int(read(path, frame=k).pixels[0, 0]) for k in range(3)] == [10, 20, 3000]
    for frame in (3, -1):
        with pytest.raises(ImageError, match=rf"no frame {frame}; it has 3 frames, 0\.\.2"):
            read(path, frame=frame)
    single = put(tmp_path, png_bytes(RGB8))
    assert np.array_equal(read(single, frame=0).pixels, RGB8)
    with pytest.raises(ImageError, match="no frame 1; it has one frame"):
        read(single, frame=1)


def test_animated_gif(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    more = {"save_all": True, "append_images": frames[1:], "duration": 40}
    path = put(tmp_path, saved(frames[0], "GIF", **more))
    cine = read(path)
    assert isinstance(cine, Cine)
    assert (len(cine), cine.milliseconds) == (2, 40)
    assert cine.frame(1).pixels[0, 0].tolist() == [0, 255, 0]
    assert read(path, frame=1).pixels[0, 0].tolist() == [0, 255, 0]


# ------------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize(
    "whole",
    [
        png_bytes(RGB16),
        png_bytes(RGB8),
        tiff_bytes(RGB16),
        tiff_bytes(GREY16, deflate=True),
        saved(PIL.Image.fromarray(np.tile(RGB8, (9, 9, 1))), "JPEG"),
        saved(PIL.Image.fromarray(RGB8), "BMP"),
    ],
    ids=["png16", "png8", "tiff16", "tiff-deflate", "jpeg", "bmp"],
)
def test_truncated_files(tmp_path: Path, whole: bytes) -> None:
    for kept in (len(whole) // 2, len(whole) // 4, 30, 10):
        with pytest.raises(ImageError) as caught:
            read(put(tmp_path, whole[:kept]))
        assert "\n" not in str(caught.value)
        assert "damaged" in str(caught.value)


def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    for whole in (png_bytes(RGB16, interlaced=True), tiff_bytes(RGB16, ">", deflate=True)):
        for _ in range(60):
            data = bytearray(whole)
            for place in RANDOM.integers(0, len(data), 4):
                data[place] ^= int(RANDOM.integers(1, 256))
            with contextlib.suppress(ImageError):  # a flipped bit may also go unnoticed
                read(put(tmp_path, bytes(data)))


def test_what_is_not_a_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="holds no file; give the folder with the images"):
        read(tmp_path)
    with pytest.raises(ImageError, match="is empty"):
        read(put(tmp_path, b"", "empty.png"))
    with pytest.raises(ImageError, match="not an image"):
        read(put(tmp_path, b"x,y\n1,2\n" * 99, "table.png"))
    with pytest.raises(ImageError, match="is gzipped"):
        read(put(tmp_path, gzip.compress(png_bytes(RGB8)), "a.png.gz"))
    with pytest.raises(ImageError, match="damaged gzip"):
        read(put(tmp_path, gzip.compress(bytes(999))[:15], "a.gz"))


@pytest.mark.parametrize(
    "head",
    [
        bytes(344) + b"n+1\0" + bytes(99),
        struct.pack("<L", 540) + b"n+2\0\r\n\x1a\n" + bytes(600),
        b"NRRD0004\ntype: short\n",
    ],
    ids=["nifti1", "nifti2", "nrrd"],
)
def test_a_volume_s_header_alone_is_no_picture(tmp_path: Path, head: bytes) -> None:
    for data in (head, gzip.compress(head)):
        with pytest.raises(EdgeSamError) as caught:
            read(put(tmp_path, data))
        assert "\n" not in str(caught.value)
        assert "neither DICOM nor" not in str(caught.value)  # it was taken for a volume


def test_pages_of_several_sizes(tmp_path: Path) -> None:
    pages = [PIL.Image.new("L", size) for size in ((4, 5), (6, 5))]
    path = put(tmp_path, saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    with pytest.raises(ImageError, match=r"2 pages of different sizes; choose one with --frame"):
        read(path)
    assert read(path, frame=1).width == 6


def plant(data: bytes, place: int, secret: bytes) -> bytes:
    """A little-endian TIFF whose directory entry number ``place`` holds a text instead."""
    (start,) = struct.unpack_from("<L", data, 4)
    at = start + 2 + 12 * place
    text = struct.pack("<HLL", 2, len(secret), len(data))
    return data[: at + 2] + text + data[at + 12 :] + secret


def test_no_tag_is_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither by the command that tells most, nor in the errors that a caller could follow."""
    chunk = png_bytes(RGB8).replace(b"IDAT", b"SECR")
    whole = [tiff_bytes(pixels, t274=1) for pixels in (RGB8, RGB16)]
    planted = [plant(data, k, b"SECRET^NAME\0") for data in whole for k in range(12)]
    for data in (*planted, chunk):
        path = put(tmp_path, data)
        words = ["segment", path, "--model", tmp_path / "none", "-o", tmp_path / "a.png"]
        assert main([*map(str, words), "--box", "0,0,2,2", "-vv"]) == 1
        if error := refusal(path):
            assert "SECR" not in str(error)
            assert error.__cause__ is error.__context__ is None
    told = capfd.readouterr()
    assert "Traceback" in told.err
    for text in (told.out, told.err, caplog.text):
        assert "SECR" not in text


def test_pillows_bomb_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, png_bytes(RGB8))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 60)
    check(path, RGB8)  # 99 pixels: Pillow only warns up to twice the limit, and we stay quiet
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(ImageError, match="more than 80 pixels"):
        read(path)


def test_not_finite_pixels(tmp_path: Path) -> None:
    pixels = np.array([[0.0, np.nan, np.inf]], np.float32)
    with pytest.raises(ImageError, match="2 of 3 pixel values"):
        read(put(tmp_path, tiff_bytes(pixels)))


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_masks_come_back_as_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    mask = RANDOM.random((20, 30)) > 0.5
    write_mask(path, mask)
    check(path, np.where(mask, np.uint8(255), np.uint8(0)))
    labels = RANDOM.integers(0, 200, (20, 30))
    write_mask(path, labels)
    check(path, labels.astype(np.uint8))
    labels[3, 4] = 60000
    write_mask(path, labels)
    check(path, labels.astype(np.uint16))


def test_write_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", RGB8[:, ::-1])
    check(tmp_path / "a.png", RGB8[:, ::-1])


@pytest.mark.parametrize(
    ("name", "mask", "words"),
    [
        ("a.jpg", np.zeros((2, 2), bool), "written as .png"),
        ("a.png", np.zeros((2, 2, 3), np.uint8), "found shape"),
        ("a.png", np.zeros((2, 2), np.float32), "float32"),
        ("a.png", np.zeros((0, 2), bool), "found shape"),
        ("a.png", np.array([[-1, 3]]), "found -1 to 3"),
        ("a.png", np.array([[0, 65536]]), "found 0 to 65536"),
        ("no/a.png", np.zeros((2, 2), bool), "no folder"),
    ],
)
def test_masks_that_cannot_be_written(tmp_path: Path, name: str, mask: Pixels, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        write_mask(tmp_path / name, mask)
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    cases: list[tuple[str, Pixels]] = [("a.tif", RGB8), ("a.png", RGB16), ("a.png", RGB8[:, :, 0])]
    for name, rgb in cases:
        with pytest.raises(ImageError, match="cannot write"):
            write_picture(tmp_path / name, rgb)


def test_importing_the_formats_imports_no_decoder() -> None:
    code = "import sys, edgesam.formats; sys.exit(bool({'PIL', 'pydicom'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
