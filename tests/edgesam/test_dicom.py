"""DICOM pictures: values, windows, polarity, colours, frames, codecs; and what is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.uid
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.sequence import Sequence

from edgesam.cine import Cine
from edgesam.commands import main
from edgesam.errors import ImageError
from edgesam.formats import read
from edgesam.formats.dicom import jpeg2000
from edgesam.formats.quiet import quiet
from edgesam.image import LookupTable
from edgesam.window import Window

Pixels = npt.NDArray[Any]

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
GREY = np.array([[0, 1, 2, 3], [1000, 1100, 2000, 4095]], np.uint16)

EXTRAS = ("gdcm", "imagecodecs")
needs_codecs = pytest.mark.skipif(
    importlib.util.find_spec("gdcm") is None, reason="needs python-gdcm (edgesam[codecs])"
)


def bundled(name: str) -> Path:
    """A file that comes inside pydicom's own wheel."""
    path = get_testdata_file(name, download=False)
    assert path is not None, name
    return Path(str(path))


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def sequence(**elements: Any) -> Sequence:
    return Sequence([item(**elements)])


def table(descriptor: list[int], data: list[int] | bytes) -> Sequence:
    """A VOI or modality LUT sequence, its descriptor unsigned as most writers store it."""
    dataset = Dataset()
    dataset.add_new("LUTDescriptor", "US", descriptor)
    dataset.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    dataset.ModalityLUTType = "US"
    return Sequence([dataset])


def save(
    path: Path,
    pixels: Pixels,
    *,
    preamble: bool = True,
    syntax: str = pydicom.uid.ExplicitVRLittleEndian,
    **elements: Any,
) -> Path:
    """A Secondary Capture object of (H, W), (H, W, 3) or, with NumberOfFrames, (N, H, W)."""
    frames = "NumberOfFrames" in elements
    rows, columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    colour = pixels.ndim == 3 and not frames
    bits = 8 * pixels.dtype.itemsize
    dataset = item(
        SOPClassUID=pydicom.uid.SecondaryCaptureImageStorage,
        SOPInstanceUID=pydicom.uid.generate_uid(entropy_srcs=["edgesam"]),
        PatientName="SECRET^NAME",
        Modality="OT",
        SamplesPerPixel=3 if colour else 1,
        PhotometricInterpretation="RGB" if colour else "MONOCHROME2",
        Rows=rows,
        Columns=columns,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(pixels.dtype.kind == "i"),
    )
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in elements.items():
        setattr(dataset, name, value)
    implicit = syntax == pydicom.uid.ImplicitVRLittleEndian
    if preamble:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.save_as(path, implicit_vr=implicit, little_endian=True)
    return path


def refusal(path: Path) -> ImageError | None:
    """What `read` says of a file, if it does not read it."""
    try:
        read(path)
    except ImageError as error:
        return error
    return None


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize(
    "syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian]
)
def test_stored_values_with_and_without_the_preamble(
    tmp_path: Path, preamble: bool, syntax: str
) -> None:
    path = save(tmp_path / "a", GREY, preamble=preamble, syntax=syntax)
    assert (path.read_bytes()[128:132] == b"DICM") == preamble
    image = read(path)
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels, GREY)
    assert (image.voi, image.inverted, image.modality) == (None, False, "OT")


@pytest.mark.parametrize(
    ("stored", "bits", "rescale", "want"),
    [
        (np.uint16, 12, ("1", "-1024"), np.int16),
        (np.uint16, 16, ("1", "-1024"), np.int32),
        (np.int16, 12, ("1", "0"), np.int16),
        (np.int16, 16, ("-2", "5"), np.int32),
        (np.uint16, 12, ("0.5", "-10"), np.float32),
        (np.uint32, 32, ("1.5", "0"), np.float64),
        (np.uint8, 8, ("2", "1"), np.int16),
    ],
)
def test_rescale(
    tmp_path: Path, stored: type[Any], bits: int, rescale: tuple[str, str], want: type[Any]
) -> None:
    slope, intercept = rescale
    pixels = np.array([[0, 1, 100, 127]], stored)
    path = save(
        tmp_path / "a", pixels, BitsStored=bits, RescaleSlope=slope, RescaleIntercept=intercept
    )
    got = read(path).pixels
    assert got.dtype == want
    assert np.array_equal(got, pixels.astype(float) * float(slope) + float(intercept))


def test_modality_lut_sequence(tmp_path: Path) -> None:
    path = save(tmp_path / "a", GREY, ModalityLUTSequence=table([3, 1, 16], [7, 700, 40000]))
    assert read(path).pixels.tolist() == [[7, 7, 700, 40000], [40000] * 4]


@needs_codecs
def test_hounsfield_units_of_a_real_ct() -> None:
    image = read(bundled("693_J2KI.dcm"))
    assert image.modality == "CT"
    assert image.voi == Window(40, 100)
    corner = image.pixels[:8, :8]
    assert (corner <= -1000).all()  # air


def test_every_native_encoding_of_one_picture_gives_the_same_values() -> None:
    names = ("", "_implicit", "_bigendian", "_expb", "_RLE", "_padded")
    pictures = [read(bundled(f"MR_small{name}.dcm")) for name in names]
    for picture in pictures:
        assert picture.pixels.dtype.isnative
        assert picture.pixels.dtype == np.int16
        assert np.array_equal(picture.pixels, pictures[0].pixels)
        assert picture.voi == Window(600, 1600)


@needs_codecs
@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_lossless_codecs_give_the_same_values(name: str) -> None:
    assert np.array_equal(read(bundled(name)).pixels, read(bundled("MR_small.dcm")).pixels)


@needs_codecs
@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",  # lossy, signed, 14 bits of 16
        "J2K_pixelrep_mismatch.dcm",  # signed, 13 bits
        "JPEG2000.dcm",  # lossy, signed
        "MR_small_jp2klossless.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "examples_jpeg2k.dcm",  # colours
    ],
)
def test_jpeg_2000_is_the_same_without_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pydicom takes Pillow where there is no gdcm."""
    with_gdcm = read(bundled(name)).pixels
    without_gdcm(monkeypatch)
    found = read(bundled(name)).pixels
    assert found.dtype == with_gdcm.dtype
    assert np.array_equal(found, with_gdcm)


@needs_codecs
def test_jpeg_2000_that_only_gdcm_reads_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without_gdcm(monkeypatch)
    with pytest.raises(ImageError, match=r"edgesam\[codecs\]"):
        read(bundled("GDCMJ2K_TextGBR.dcm"))


def test_one_bit_pixels_become_black_and_white(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a",
        np.array([[0b10110001], [0b00000001]], np.uint8),
        Columns=8,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
    )
    rgb, _ = read(path).to_rgb8()
    assert rgb[:, :, 0].tolist() == [
        [255, 0, 0, 0, 255, 255, 0, 255],
        [255, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_deflated_file() -> None:
    rgb, mapping = read(bundled("image_dfl.dcm")).to_rgb8()
    assert (rgb.shape, mapping) == ((512, 512, 3), "as stored")


def test_float_pixels(tmp_path: Path) -> None:
    values = np.array([[0.25, -3.5], [1e6, 0.0]], np.float32)
    path = save(tmp_path / "a", values)
    dataset = pydicom.dcmread(path)
    dataset.FloatPixelData = values.tobytes()
    del dataset.PixelData
    dataset.save_as(path)
    assert np.array_equal(read(path).pixels, values)
    dataset.FloatPixelData = np.array([np.nan, 0, np.inf, 1], np.float32).tobytes()
    dataset.save_as(path)
    with pytest.raises(ImageError, match="2 of 4 pixel values are NaN"):
        read(path)


# ------------------------------------------------------------------ windows and polarity


@pytest.mark.parametrize(
    ("elements", "want"),
    [
        ({"WindowCenter": "40", "WindowWidth": "400"}, Window(40, 400)),
        ({"WindowCenter": ["40", "300"], "WindowWidth": ["300", "1500"]}, Window(40, 300)),
        (
            {"WindowCenter": "1.5", "WindowWidth": "7", "VOILUTFunction": "SIGMOID"},
            Window(1.5, 7, "sigmoid"),
        ),
        (
            {"WindowCenter": "1", "WindowWidth": "7", "VOILUTFunction": "LINEAR_EXACT"},
            Window(1, 7, "linear_exact"),
        ),
        ({"WindowCenter": "0.5", "WindowWidth": "0.5"}, Window(0.5, 0.5, "linear_exact")),
        ({"WindowCenter": "40"}, None),
        ({"WindowCenter": "", "WindowWidth": ""}, None),
    ],
)
def test_the_files_first_window(
    tmp_path: Path, elements: dict[str, Any], want: Window | None
) -> None:
    image = read(save(tmp_path / "a", GREY, **elements))
    assert image.voi == want
    if want is not None:
        rgb, mapping = image.to_rgb8()
        assert mapping == f"{want} of the file"
        assert np.array_equal(rgb[:, :, 0], want.apply(GREY))


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": "40", "WindowWidth": "0"},
        {"WindowCenter": "40", "WindowWidth": "9", "VOILUTFunction": "CUBIC"},
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
        {"RescaleSlope": "2"},
        {"RescaleSlope": "2", "RescaleIntercept": ""},
        {"RescaleIntercept": "-1024"},
    ],
)
def test_useless_mappings_are_ignored_with_a_warning(
    tmp_path: Path, elements: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    image = read(save(tmp_path / "a", GREY, **elements))
    assert image.voi is None
    assert np.array_equal(image.pixels, GREY)
    assert [(r.name, r.levelno) for r in caplog.records] == [("edgesam", logging.WARNING)]
    assert image.to_rgb8()[1].startswith("percentiles")


@pytest.mark.parametrize("packed", [False, True])
def test_voi_lut_goes_before_the_window(tmp_path: Path, packed: bool) -> None:
    data: Any = struct.pack("<4H", 0, 100, 512, 1023) if packed else [0, 100, 512, 1023]
    lut = table([4, 1, 10], data)
    path = save(tmp_path / "a", GREY, VOILUTSequence=lut, WindowCenter="40", WindowWidth="400")
    image = read(path)
    assert isinstance(image.voi, LookupTable)
    rgb, mapping = image.to_rgb8()
    assert mapping == "VOI LUT of the file"
    assert rgb[:, :, 0].tolist() == [[0, 0, 25, 128], [255] * 4]


def test_voi_lut_of_signed_values_starts_below_zero(tmp_path: Path) -> None:
    """The first mapped value is -2, which writers store unsigned as 65534."""
    pixels = np.array([[-9, -2, -1, 0, 5]], np.int16)
    lut = table([3, 65534, 8], [10, 20, 30])
    rgb, _ = read(save(tmp_path / "a", pixels, VOILUTSequence=lut)).to_rgb8()
    assert rgb[0, :, 0].tolist() == [10, 10, 20, 30, 30]


def test_monochrome1_is_inverted_after_the_window(tmp_path: Path) -> None:
    window: dict[str, Any] = {"WindowCenter": "1000", "WindowWidth": "2000"}
    usual, _ = read(save(tmp_path / "a", GREY, **window)).to_rgb8()
    path = save(tmp_path / "b", GREY, PhotometricInterpretation="MONOCHROME1", **window)
    turned, mapping = read(path).to_rgb8()
    assert np.array_equal(turned, 255 - usual)
    assert mapping == "window 1000/2000 of the file, inverted"
    eight = save(tmp_path / "c", GREY.astype(np.uint8), PhotometricInterpretation="MONOCHROME1")
    assert read(eight).to_rgb8()[0][0, 0].tolist() == [255, 255, 255]


# ------------------------------------------------------------------ colour


def test_rgb(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = save(tmp_path / "a", pixels, WindowCenter="40", WindowWidth="4", RescaleSlope="2")
    image = read(path)
    assert np.array_equal(image.pixels, pixels)
    assert image.to_rgb8()[1] == "as stored"
    with pytest.raises(ImageError, match="in colour"):
        image.to_rgb8(Window(40, 400))
    planes = save(tmp_path / "b", pixels, PlanarConfiguration=1)
    assert np.array_equal(read(planes).pixels, np.moveaxis(pixels.reshape(3, 2, 4), 0, 2))


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        pytest.param("SC_rgb_jpeg_gdcm.dcm", marks=needs_codecs),
        pytest.param("SC_rgb_jls_lossy_line.dcm", marks=needs_codecs),
        pytest.param("SC_rgb_gdcm_KY.dcm", marks=needs_codecs),
    ],
)
def test_colour_bars(name: str) -> None:
    """The same ten bars in RGB, YBR_FULL and YBR_FULL_422, native and compressed."""
    rgb, mapping = read(bundled(name)).to_rgb8()
    assert mapping == "as stored"
    # two bars of each primary, black, two greys and white
    want = {5: (255, 0, 0), 25: (0, 255, 0), 45: (0, 0, 255), 65: (0, 0, 0), 95: (255, 255, 255)}
    for row, colour in want.items():
        assert np.abs(rgb[row, 50].astype(int) - colour).max() <= 6, row


def palette(shift: int, first: int = 0) -> dict[str, Any]:
    colours = {"Red": [0, 255, 0], "Green": [0, 0, 128], "Blue": [9, 0, 255]}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in colours.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [3, first, 16]
        packed = struct.pack("<3H", *(value << shift for value in values))
        elements[f"{name}PaletteColorLookupTableData"] = packed
    return elements


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shift", [0, 8])
def test_palette_becomes_rgb(tmp_path: Path, dtype: type[Any], shift: int) -> None:
    """Entries of 16 bits, shifted left as DICOM asks or left at the low end as some writers do."""
    path = save(tmp_path / "a", np.array([[4, 5, 6, 7]], dtype), **palette(shift, first=4))
    image = read(path)
    assert image.pixels.dtype == np.uint8
    want = [[0, 0, 9], [255, 0, 0], [0, 128, 255], [0, 128, 255]]
    assert image.pixels.tolist() == [want]


# ------------------------------------------------------------------ frames


def test_frames_are_counted_from_0(tmp_path: Path) -> None:
    frames = np.stack([GREY, GREY + 1, GREY // 2])
    path = save(tmp_path / "a", frames, NumberOfFrames=3)
    for k in range(3):
        assert np.array_equal(read(path, frame=k).pixels, frames[k])
    for frame in (3, -1):
        with pytest.raises(ImageError, match=f"has no frame {frame}; it has 3 frames"):
            read(path, frame=frame)
    single = save(tmp_path / "b", GREY)
    assert np.array_equal(read(single, frame=0).pixels, GREY)
    with pytest.raises(ImageError, match="has no frame 1; it has one frame"):
        read(single, frame=1)


def test_frames_of_compressed_video_differ() -> None:
    first, last = (read(bundled("examples_ybr_color.dcm"), frame=k).pixels for k in (0, 29))
    assert first.shape == last.shape == (240, 320, 3)
    assert not np.array_equal(first, last)
    whole = pydicom.dcmread(bundled("examples_ybr_color.dcm")).pixel_array
    assert np.abs(whole[29].astype(int) - last).max() <= 2


def test_functional_groups_of_enhanced_objects(tmp_path: Path) -> None:
    """A frame's own rescale and window, else the shared ones, else those at the top."""
    frames = np.stack([GREY, GREY])

    def groups(slope: str, level: str) -> Dataset:
        return item(
            PixelValueTransformationSequence=sequence(RescaleSlope=slope, RescaleIntercept="0"),
            FrameVOILUTSequence=sequence(WindowCenter=level, WindowWidth="100"),
        )

    path = save(
        tmp_path / "a",
        frames,
        NumberOfFrames=2,
        BitsStored=12,
        WindowCenter="7",
        WindowWidth="7",
        SharedFunctionalGroupsSequence=Sequence([groups("2", "20")]),
        PerFrameFunctionalGroupsSequence=Sequence([groups("3", "30"), Dataset()]),
    )
    own, shared = read(path, frame=0), read(path, frame=1)
    assert own.voi == Window(30, 100)
    assert shared.voi == Window(20, 100)
    assert np.array_equal(own.pixels, 3 * GREY)
    assert np.array_equal(shared.pixels, 2 * GREY)
    top = save(tmp_path / "b", frames, NumberOfFrames=2, WindowCenter="7", WindowWidth="7")
    assert read(top, frame=1).voi == Window(7, 7)


def test_only_the_wanted_frame_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last frame of a compressed file may be damaged while the first is read."""
    whole = bundled("SC_rgb_rle_2frame.dcm").read_bytes()
    path = tmp_path / "a"
    path.write_bytes(whole[: len(whole) - 300])
    assert read(path, frame=0).pixels[5, 50].tolist() == [255, 0, 0]
    with pytest.raises(ImageError, match="damaged"):
        read(path, frame=1)


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("liver_1frame.dcm", r"is a DICOM segmentation \(SEG\), not an image"),
        ("test-SR.dcm", r"\(Comprehensive SR Storage\) holds no image"),
        ("rtstruct.dcm", r"\(RT Structure Set Storage\) holds no image"),
        ("ExplVR_BigEndNoMeta.dcm", r"\(RT Ion Plan Storage\) holds no image"),
        ("waveform_ecg.dcm", "holds no image"),
        ("MR_truncated.dcm", "damaged"),
        ("badVR.dcm", "damaged"),
        ("SC_rgb_jpeg.dcm", "damaged"),
        ("JPEG-lossy.dcm", r"JPEG Extended \(Process 2 and 4\)"),
    ],
)
def test_objects_that_are_no_readable_image(name: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        read(bundled(name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "photometric"),
        ({"Rows": 0}, "no pixels"),
        ({"Rows": 7}, "damaged"),
        ({"BitsAllocated": 12}, "damaged"),
        ({"VOILUTSequence": sequence(LUTDescriptor=[4, 0, 8])}, "lookup tables"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "lookup tables"),
    ],
)
def test_damaged_headers(tmp_path: Path, elements: dict[str, Any], words: str) -> None:
    path = save(tmp_path / "a", GREY, **elements)
    with pytest.raises(ImageError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rest", [b"", b"\xff" * 40, b"\2\0\0\0UL\4\0", b"\2\0\x10\0ZZ\xff\xff"])
def test_files_that_only_begin_like_dicom(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(128) + b"DICM" + rest)
    with pytest.raises(ImageError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_video_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a", GREY)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
    dataset.PixelData = encapsulate([b"\0\0\1\xb3"])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    with pytest.raises(ImageError, match=r"MPEG2 Main Profile / Main Level, .*does not read"):
        read(path)


def unavailable(monkeypatch: pytest.MonkeyPatch, syntax: str, packages: tuple[str, ...]) -> None:
    decoder = get_decoder(pydicom.uid.UID(syntax))
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {name: (f"{name}>=1",) for name in packages})


def without_gdcm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pydicom is where no extra is installed; what else decodes JPEG 2000 stays."""
    monkeypatch.setattr(jpeg2000, "find_spec", lambda name: None)
    for syntax in (pydicom.uid.JPEG2000Lossless, pydicom.uid.JPEG2000):
        decoder = get_decoder(syntax)
        others = {n: way for n, way in decoder._available.items() if n not in EXTRAS}
        monkeypatch.setattr(decoder, "_available", others)
        monkeypatch.setitem(decoder._unavailable, "gdcm", ("gdcm>=3.0.10",))


def test_a_missing_decoder_names_the_syntax_and_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unavailable(monkeypatch, pydicom.uid.JPEG2000Lossless, ("gdcm", "pylibjpeg"))
    with pytest.raises(ImageError) as caught:
        read(bundled("MR_small_jp2klossless.dcm"))
    assert "JPEG 2000 Image Compression (Lossless Only)" in str(caught.value)
    assert 'pip install "edgesam[codecs]"' in str(caught.value)


def test_the_extra_is_not_promised_where_it_would_not_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unavailable(monkeypatch, pydicom.uid.JPEG2000Lossless, ("pylibjpeg",))
    unavailable(monkeypatch, pydicom.uid.JPEGExtended12Bit, ("gdcm", "pylibjpeg"))
    for name in ("MR_small_jp2klossless.dcm", "JPEG-lossy.dcm"):
        with pytest.raises(ImageError, match="convert it") as caught:
            read(bundled(name))
        assert "pip install" not in str(caught.value)


# ------------------------------------------------------------------ silence


def test_quiet_keeps_a_librarys_words_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    library = logging.getLogger("pydicom.pixels")
    with caplog.at_level(logging.DEBUG), quiet("pydicom"):
        library.warning("SECRET")
        warnings.warn("SECRET", UserWarning, stacklevel=1)
    assert caplog.messages == ["pydicom: 1 warnings (UserWarning)"]
    library.warning("heard again")
    assert caplog.messages[1:] == ["heard again"]
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", UserWarning, stacklevel=1)


def test_no_patient_data_and_no_noise_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """pydicom warns of bad values by quoting them: neither screen, log nor message may show it."""
    good = save(tmp_path / "good", GREY)
    raw = good.read_bytes()
    at = raw.index(b"SECRET^NAME")
    # the same bytes as a date, a number and a person's name in an unknown character set
    broken = [raw[: at - 4] + vr + raw[at - 2 :] for vr in (b"DA", b"IS", b"DS", b"UI", b"QQ")]
    cut = [raw[: at + 4], raw[:-5]]
    frames = raw.replace(b"SECRET^NAME", b"SECRET\xff\xfe\x1b$B")
    with caplog.at_level(logging.DEBUG):
        for data in (*broken, *cut, frames):
            path = tmp_path / "a"
            path.write_bytes(data)
            if error := refusal(path):
                assert "SECRET" not in str(error)
                assert error.__cause__ is error.__context__ is None
        read(bundled("examples_palette.dcm"))
    assert "SECRET" not in caplog.text
    assert {record.name for record in caplog.records} <= {"edgesam"}
    assert capfd.readouterr() == ("", "")


def plant(data: bytes, keyword: str, vr: str) -> bytes:
    """An explicit little-endian file whose element ``keyword`` holds a secret."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    at = data.index(head + dictionary_VR(tag).encode())
    (length,) = struct.unpack_from("<H", data, at + 6)
    value = b"SECRET^NAME "
    new = head + vr.encode() + struct.pack("<H", len(value)) + value
    return data[:at] + new + data[at + 8 + length :]


@pytest.mark.parametrize("own_vr", [True, False])
@pytest.mark.parametrize(
    "keyword",
    [
        "TransferSyntaxUID",
        "SOPClassUID",
        "Modality",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "WindowCenter",
        "WindowWidth",
        "VOILUTFunction",
        "RescaleSlope",
        "RescaleIntercept",
    ],
)
def test_no_element_that_decoders_read_is_quoted(
    tmp_path: Path,
    keyword: str,
    own_vr: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither by the command that tells most, nor in the errors that a caller could follow."""
    extra: dict[str, Any] = {
        "NumberOfFrames": 1,
        "PlanarConfiguration": 0,
        "WindowCenter": "40",
        "WindowWidth": "400",
        "VOILUTFunction": "LINEAR",
        "RescaleSlope": "2",
        "RescaleIntercept": "5",
    }
    native = save(tmp_path / "native", GREY[None], **extra)
    sources = [native]
    for name in ("MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG-lossy.dcm"):
        whole = pydicom.dcmread(bundled(name))
        whole.update(item(**extra))
        whole.save_as(tmp_path / name)
        sources.append(tmp_path / name)
    path = tmp_path / "a"
    words = ["segment", path, "--model", tmp_path / "none", "-o", tmp_path / "a.png"]
    options = ["--box", "0,0,2,2", "-vv"]
    for source in sources:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        vr = dictionary_VR(tag) if own_vr else "LO"
        path.write_bytes(plant(source.read_bytes(), keyword, vr))
        assert main([str(word) for word in [*words, *options]]) == 1
        if error := refusal(path):
            assert "SECRET" not in str(error)
            assert error.__cause__ is error.__context__ is None
    told = capfd.readouterr()
    assert "Traceback" in told.err
    for text in (told.out, told.err, caplog.text):
        assert "SECRET" not in text


# ------------------------------------------------------------------ real files of many makers


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the medical images in ../shared")
class TestShared:
    @pytest.mark.parametrize(
        ("name", "frame", "shape", "mapping"),
        [
            ("693_J2KR.dcm", None, (512, 512), "window 40/100 of the file"),
            ("JPGLosslessP14SV1_1s_1f_8b.dcm", None, (768, 1024), "window 127/254 of the file"),
            ("MR2_J2KR.dcm", None, (1024, 1024), "window 1000/2000 of the file"),
            ("US1_UNCR.dcm", None, (480, 640, 3), "as stored"),
            ("emri_small.dcm", 9, (64, 64), "percentiles"),
            ("examples_jpeg2k.dcm", None, (480, 640, 3), "as stored"),
            ("examples_palette.dcm", None, (350, 800, 3), "as stored"),
            ("examples_ybr_color.dcm", 3, (240, 320, 3), "as stored"),
            ("gdcm-US-ALOKA-16.dcm", None, (480, 640, 3), "as stored"),
            ("mlut_18.dcm", None, (512, 512), "percentiles 0.5..99.5 = 0..65535"),
            ("vlut_04.dcm", None, (512, 512), "VOI LUT of the file"),
        ],
    )
    @needs_codecs
    def test_assorted(
        self, name: str, frame: int | None, shape: tuple[int, ...], mapping: str
    ) -> None:
        image = read(SHARED / "assorted" / name, frame=frame)
        rgb, words = image.to_rgb8()
        assert image.pixels.shape == shape
        assert words.startswith(mapping)
        assert rgb.min() == 0
        assert rgb.max() >= 240 or name == "examples_ybr_color.dcm"  # a dim echocardiogram

    @pytest.mark.parametrize(
        ("name", "want"),
        [
            ("693_J2KR.dcm", "18bd28bf0eece785"),
            ("JPGLosslessP14SV1_1s_1f_8b.dcm", "c9e3dd1102067229"),
            ("MR2_J2KR.dcm", "501fd35924f3ebf4"),
            ("US1_UNCR.dcm", "e16892020c73095e"),
            ("emri_small.dcm", "1d97310494b6f3a2"),
            ("examples_jpeg2k.dcm", "e16892020c73095e"),
            ("examples_palette.dcm", "322156a65198e9be"),
            ("gdcm-US-ALOKA-16.dcm", "97697b719ccd7c15"),
            ("mlut_18.dcm", "ed3fded796c8e79c"),
            ("vlut_04.dcm", "8601042f87f51710"),
        ],
    )
    @needs_codecs
    def test_assorted_pictures_are_those_seen_once(self, name: str, want: str) -> None:
        """Looked at by eye, and the values compared with SimpleITK's 2.5.7 (GDCM)."""
        found = read(SHARED / "assorted" / name)
        rgb, _ = (found.frame(0) if isinstance(found, Cine) else found).to_rgb8()
        assert hashlib.sha256(rgb.tobytes()).hexdigest()[:16] == want

    def test_a_cine_of_lossy_frames(self) -> None:
        """JPEG decoders differ by a level or two: known by its coarse brightness, not a hash."""
        found = read(SHARED / "assorted" / "examples_ybr_color.dcm")
        assert isinstance(found, Cine)
        assert (len(found), found.milliseconds, found.modality) == (30, 33.333, "US")
        rgb = found.frame(0).to_rgb8()[0].reshape(4, 60, 4, 80, 3).mean((1, 3, 4))
        assert np.allclose(
            rgb, [[5, 5, 13, 3], [0, 16, 17, 4], [1, 20, 15, 2], [5, 17, 22, 6]], atol=1
        )

    def test_regions_of_pictures_that_were_cut_are_not_believed(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A header of 800 x 600 or 640 x 480 pixels beside a smaller picture."""
        for name, frame in (("examples_palette.dcm", None), ("examples_ybr_color.dcm", 0)):
            place = read(SHARED / "assorted" / name, frame=frame).place
            assert place is None or place.regions == ()
        assert caplog.text.count("reaches outside the picture") == 2

    def test_every_assorted_file_is_accounted_for(self) -> None:
        refused = []
        for path in sorted((SHARED / "assorted").glob("*.dcm")):
            try:
                read(path)
            except ImageError:
                refused.append(path.name)
        assert refused == ["liver.dcm"]

    def test_segmentation(self) -> None:
        with pytest.raises(ImageError, match=r"\(SEG\)"):
            read(SHARED / "assorted" / "liver.dcm")

    @needs_codecs
    def test_jpeg_2000_colours_equal_the_uncompressed_ones(self) -> None:
        """The same ultrasound picture in YBR_RCT and in RGB."""
        packed, plain = (
            read(SHARED / "assorted" / name).pixels[100:400].astype(int)
            for name in ("examples_jpeg2k.dcm", "US1_UNCR.dcm")
        )
        assert (packed != plain).mean() < 0.001

    @needs_codecs
    def test_lookup_tables_give_the_same_test_pattern(self) -> None:
        """One SMPTE pattern, mapped by a modality LUT in one file and a VOI LUT in the other."""
        levels = [
            read(SHARED / "assorted" / name).to_rgb8()[0].astype(int)
            for name in ("mlut_18.dcm", "vlut_04.dcm")
        ]
        assert np.abs(levels[0] - levels[1]).max() <= 1

    @needs_codecs
    @pytest.mark.parametrize("name", ["693_J2KR.dcm", "MR2_J2KR.dcm", "../ct_series"])
    def test_jpeg_2000_is_the_same_without_the_extra(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = SHARED / "assorted" / name
        paths = sorted(path.iterdir())[::7] if path.is_dir() else [path]
        with_gdcm = [read(path).pixels for path in paths]
        without_gdcm(monkeypatch)
        for path, want in zip(paths, with_gdcm, strict=True):
            found = read(path).pixels
            assert found.dtype == want.dtype
            assert np.array_equal(found, want)

    @needs_codecs
    def test_ct_series_is_in_hounsfield_units(self) -> None:
        path = sorted((SHARED / "ct_series").iterdir())[10]
        image = read(path)
        assert (image.modality, image.voi) == ("CT", Window(40, 300))
        assert image.pixels.dtype == np.int16
        assert -1024 <= image.pixels[0, 0] <= -950  # air beside the patient
        assert 0 < np.median(image.pixels[200:300, 150:250]) < 150  # soft tissue

    def test_siemens_mr(self) -> None:
        path = SHARED / "mr_siemens" / "20180918Si_mr_0003" / "epi_pe_ap-00001.dcm"
        image = read(path)
        assert (image.modality, image.voi) == ("MR", Window(560, 1179))
        assert image.pixels.shape == (216, 216)
