"""NRRD: spaces, directions, encodings, segments; there and back; and what is refused."""

from __future__ import annotations

import bz2
import gzip
import logging
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.affine import to_patient
from edgesam.errors import EdgeSamError, ImageError, OutOfMemory, VolumeError
from edgesam.formats.nrrd import looks_like_nrrd, read_nrrd, write_nrrd
from edgesam.labels import Code, Label, Labels
from edgesam.origin import File, Origin, Part
from edgesam.provenance import Provenance
from edgesam.volume import InMemory, Volume

nrrd: Any = pytest.importorskip("nrrd")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "volumes"
SHAPE = (5, 4, 3)
WAYS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 4 3",
    "space directions": "(0.5,0,0) (0,2,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(10,20,30)",
}


def values(dtype: Any = "<i2", shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, data: bytes | None = None, **changes: str | None) -> Path:
    """A header with fields changed or left out, ``_`` for a space, and voxels after it."""
    fields = FIELDS | {key.replace("_", " "): value for key, value in changes.items()}
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    header = "\n".join(["NRRD0004", "# a comment", *lines, "", ""]).encode()
    path.write_bytes(header + (values().tobytes("F") if data is None else data))
    return path


def turned(way: Any = WAYS[0]) -> NDArray[np.float64]:
    axes, signs = way
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] @ np.diag(np.multiply(signs, (0.5, 2, 3)))
    affine[:3, 3] = -100.25, 40.1, 800
    return affine


def some_labels(shape: tuple[int, ...] = SHAPE, highest: int = 3) -> Labels:
    """Not the same from any side."""
    array = np.zeros(shape, np.uint8 if highest < 256 else np.uint16)
    array[0, 0, 0], array[-1, 0, 0], array[-1, -1, 0] = 1, 2, highest
    array[shape[0] // 2 :, 1:, -1] = 1
    return Labels(array, (Label("liver"), Label("Leber-Läsion"), Label("third\nline \\")))


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "|".join(r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)


def refusal(path: Path) -> str:
    """What is said of a file when it is opened, or at the latest when it is used."""
    with pytest.raises(EdgeSamError) as caught:
        read_nrrd(path).slice(0)
    message = str(caught.value)
    assert isinstance(caught.value, (ImageError, VolumeError, OutOfMemory))
    assert "\n" not in message
    assert str(path.parent) in message
    assert caught.value.__cause__ is None
    return message


ENCODED = {
    "raw": bytes,
    "gzip": gzip.compress,
    "gz": gzip.compress,
    "bzip2": bz2.compress,
    "bz2": bz2.compress,
    "ascii": lambda data: " ".join(map(str, np.frombuffer(data, "<i2"))).encode(),
}


class TestReading:
    @pytest.mark.parametrize("encoding", ENCODED)
    @pytest.mark.parametrize("detached", [False, True])
    def test_encodings(self, tmp_path: Path, encoding: str, detached: bool) -> None:
        data = ENCODED[encoding](values().tobytes("F"))
        if detached:
            (tmp_path / "v.data").write_bytes(data)
            path = save(tmp_path / "v.nhdr", b"", encoding=encoding, data_file="v.data")
        else:
            path = save(tmp_path / "v.nrrd", data, encoding=encoding)
        volume = read_nrrd(path)
        assert looks_like_nrrd(path.read_bytes()[:8])
        assert volume.voxels.dtype == np.int16
        for axis in range(3):
            assert np.array_equal(volume.voxels.plane(axis, 2), values().take(2, axis))
        assert np.array_equal(volume.array, values())
        assert volume.origin == Origin("nrrd", (Part(File(path)),))
        assert (volume.stacked, volume.as_stored) == (2, False)

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [
            *(("signed char", "i1"), ("uchar", "u1"), ("unsigned short int", "u2")),
            *(("int", "i4"), ("uint32", "u4"), ("long long", "i8"), ("uint64_t", "u8")),
            *(("float", "f4"), ("double", "f8")),
        ],
    )
    @pytest.mark.parametrize("order", ["little", "big"])
    @pytest.mark.parametrize("encoding", ["raw", "gzip"])
    def test_types(self, tmp_path: Path, name: str, dtype: str, order: str, encoding: str) -> None:
        data = ENCODED[encoding](values(("<" if order == "little" else ">") + dtype).tobytes("F"))
        path = save(tmp_path / "v.nrrd", data, type=name, endian=order, encoding=encoding)
        volume = read_nrrd(path)
        assert volume.voxels.dtype == np.dtype(dtype)
        assert volume.slice(1).pixels.dtype == np.dtype(dtype)
        assert volume.array.dtype == np.dtype(dtype)
        assert np.array_equal(volume.array, values())

    def test_skips(self, tmp_path: Path) -> None:
        raw = values().tobytes("F")
        assert np.array_equal(
            read_nrrd(save(tmp_path / "a.nrrd", b"xyz" + raw, byte_skip="3")).array, values()
        )
        assert np.array_equal(
            read_nrrd(save(tmp_path / "b.nrrd", b"any length" + raw, byte_skip="-1")).array,
            values(),
        )
        assert np.array_equal(
            read_nrrd(save(tmp_path / "c.nrrd", b"1\n2\n" + raw, line_skip="2")).array, values()
        )
        assert "cut short" in refusal(save(tmp_path / "d.nrrd", raw[1:], byte_skip="-1"))
        refusal(save(tmp_path / "e.nrrd", raw, byte_skip="-2"))

    def test_windows_lines_and_custom_keys(self, tmp_path: Path) -> None:
        path = save(tmp_path / "v.nrrd", b"", **{"note:": "space: 7"})
        header = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(header + values().tobytes("F"))
        assert np.array_equal(read_nrrd(path).array, values())

    def test_a_large_raw_file_is_read_by_slices(self, tmp_path: Path) -> None:
        path = save(tmp_path / "v.nrrd", b"", sizes="512 512 512")
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size + 2 * 512**3)
        tracemalloc.start()
        try:
            assert not read_nrrd(path).slice(400).pixels.any()
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()

    def test_threads_share_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = gzip.compress(values().tobytes("F"))
        volume = read_nrrd(save(tmp_path / "v.nrrd", data, encoding="gzip"))
        read_data, calls = nrrd.read_data, []
        monkeypatch.setattr(
            nrrd, "read_data", lambda *a, **k: calls.append(1) or read_data(*a, **k)
        )
        with ThreadPoolExecutor(8) as pool:
            planes = list(pool.map(lambda n: volume.voxels.plane(0, n % 5), range(50)))
        assert calls == [1]
        assert all(np.array_equal(plane, values()[n % 5]) for n, plane in enumerate(planes))


class TestPlace:
    @pytest.mark.parametrize(
        ("space", "signs"),
        [
            ("left-posterior-superior", (1, 1, 1)),
            ("LPS", (1, 1, 1)),
            ("right-anterior-superior", (-1, -1, 1)),
            ("RAS", (-1, -1, 1)),
            ("left-anterior-superior", (1, -1, 1)),
            ("LAS", (1, -1, 1)),
        ],
    )
    def test_spaces(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        space: str,
        signs: tuple[int, int, int],
    ) -> None:
        oblique = "(0.3,0.4,0) (-1.6,1.2,0) (0,0,3)"
        path = save(tmp_path / "v.nrrd", space=space, space_directions=oblique)
        volume = read_nrrd(path)
        expected = np.array([[0.3, -1.6, 0, 10], [0.4, 1.2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
        assert np.allclose(volume.affine, np.diag([*signs, 1]) @ expected)
        assert volume.spacing_source == "space directions"
        assert said(caplog) == ""

    @pytest.mark.parametrize("space", ["scanner-xyz", "3D-right-handed", "3D-left-handed"])
    def test_another_space_is_a_guess_that_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, space: str
    ) -> None:
        volume = read_nrrd(save(tmp_path / "v.nrrd", space=space))
        assert (volume.orientation, volume.spacing) == ("LPS", (0.5, 2, 3))
        assert "may be swapped" in said(caplog)

    def test_spacings_alone(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        none = dict.fromkeys(("space", "space_directions", "space_origin"))
        path = save(tmp_path / "v.nrrd", **none, spacings="0.5 2 3", units='"mm" "mm" "mm"')
        volume = read_nrrd(path)
        assert (volume.orientation, volume.spacing) == ("LPS", (0.5, 2, 3))
        assert volume.spacing_source == "spacings"
        assert "no orientation: " in said(caplog)

    @pytest.mark.parametrize("spacings", [None, "nan nan nan", "1 0 1"])
    def test_nothing_at_all(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, spacings: str | None
    ) -> None:
        none = dict.fromkeys(("space", "space_directions", "space_origin"))
        volume = read_nrrd(save(tmp_path / "v.nrrd", **none, spacings=spacings))
        assert volume.spacing_source is None
        assert volume.slice(0).place.regions == ()
        assert "no spacing" in said(caplog)

    @pytest.mark.parametrize(
        ("unit", "scale"),
        [
            *(("mm", 1), ("", 1), ("m", 1000), ("cm", 10), ("nm", 1e-6), ("Inch", 25.4)),
            *(("in", 25.4), ("µm", 1e-3), ("μm", 1e-3), ("um", 1e-3), ("micrometers", 1e-3)),
        ],
    )
    def test_units(self, tmp_path: Path, unit: str, scale: float) -> None:
        units = " ".join([f'"{unit}"'] * 3)
        volume = read_nrrd(save(tmp_path / "v.nrrd", space_units=units))
        assert np.allclose(volume.spacing, np.array([0.5, 2, 3]) * scale)
        assert np.allclose(volume.affine[:3, 3], np.array([10, 20, 30]) * scale)
        none = dict.fromkeys(("space", "space_directions", "space_origin"))
        alone = read_nrrd(save(tmp_path / "w.nrrd", **none, spacings="0.5 2 3", units=units))
        assert np.allclose(alone.spacing, np.array([0.5, 2, 3]) * scale)

    def test_latin_1(self, tmp_path: Path) -> None:
        """What older programs write; beside it a line of UTF-8."""
        path = save(tmp_path / "v.nrrd", space_units='"µm" "µm" "µm"', content="Läsion")
        data = path.read_bytes()
        path.write_bytes(data.replace("µm".encode(), "µm".encode("latin-1")))
        assert np.allclose(read_nrrd(path).spacing, (0.5e-3, 2e-3, 3e-3))
        path.write_bytes(data.replace("Läsion".encode(), "Läsion".encode("latin-1")))
        assert np.allclose(read_nrrd(path).spacing, (0.5e-3, 2e-3, 3e-3))

    @pytest.mark.parametrize(
        ("units", "words"),
        [
            ('"mm" "mm" "SECRET"', "unit of length"),
            ('"\ufffdm" "\ufffdm" "\ufffdm"', "unit of length"),
            ('"um"', "damaged"),
        ],
    )
    def test_a_unit_that_is_not_known_is_refused(
        self, tmp_path: Path, units: str, words: str
    ) -> None:
        message = refusal(save(tmp_path / "v.nrrd", space_units=units))
        assert words in message
        assert "SECRET" not in message
        none = dict.fromkeys(("space", "space_directions", "space_origin"))
        assert words in refusal(save(tmp_path / "w.nrrd", **none, spacings="0.5 2 3", units=units))


class TestWriting:
    @pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd"])
    @pytest.mark.parametrize("way", WAYS)
    def test_over_an_array(self, tmp_path: Path, way: Any, suffix: str) -> None:
        source = Volume.from_array(values(), turned(way))
        path = tmp_path / f"l{suffix}"
        write_nrrd(path, some_labels(), source)
        ours = read_nrrd(path)
        assert np.array_equal(ours.array, some_labels().array)
        assert np.array_equal(ours.affine, source.affine)
        theirs, header = nrrd.read(str(path))
        assert np.array_equal(theirs, some_labels().array)
        assert theirs.dtype == np.uint8
        assert np.array_equal(header["space directions"].T, source.affine[:3, :3])
        assert np.array_equal(header["space origin"], source.affine[:3, 3])

    @settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.floats(-5, 5), min_size=12, max_size=12))
    def test_any_affine(self, tmp_path: Path, numbers: list[float]) -> None:
        affine = np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
        affine[:3, :3] += 10 * np.eye(3)
        with suppress(VolumeError):
            source = Volume.from_array(values(), affine)
            write_nrrd(tmp_path / "l.nrrd", some_labels(), source)
            assert np.array_equal(read_nrrd(tmp_path / "l.nrrd").affine, affine)

    def test_over_dicom_slices_axes_are_column_row_slice(self, tmp_path: Path) -> None:
        affine = turned(((2, 1, 0), (-1, 1, 1)))
        parts = tuple(Part(File(Path(f"{n}.dcm"))) for n in range(5))
        source = Volume(InMemory(values()), affine, as_stored=True, origin=Origin("dicom", parts))
        write_nrrd(tmp_path / "l.nrrd", some_labels(), source)
        ours = read_nrrd(tmp_path / "l.nrrd")
        assert np.array_equal(ours.array, some_labels().array.transpose(2, 1, 0))
        for index in ((0, 0, 0), (4, 1, 2), (1, 3, 1)):
            assert np.allclose(to_patient(ours.affine, index[::-1]), to_patient(affine, index))

    @pytest.mark.parametrize("space", ["RAS", "left-anterior-superior", "scanner-xyz"])
    def test_what_the_file_says_of_its_place_is_kept(self, tmp_path: Path, space: str) -> None:
        units = '"µm" "µm" "µm"'
        path = save(tmp_path / "v.nrrd", space=space, space_units=units, content="SECRET")
        source = read_nrrd(path)
        write_nrrd(tmp_path / "l.nrrd", some_labels(), source)
        header = (tmp_path / "l.nrrd").read_bytes()
        assert f"space: {space}\n".encode() in header
        assert b"(0.5,0,0) (0,2,0) (0,0,3)" in header
        assert b"SECRET" not in header
        assert np.array_equal(read_nrrd(tmp_path / "l.nrrd").affine, source.affine)

    @pytest.mark.parametrize("spacings", [None, "0.5 2 3"])
    def test_no_place_is_made_up(self, tmp_path: Path, spacings: str | None) -> None:
        none = dict.fromkeys(("space", "space_directions", "space_origin"))
        source = read_nrrd(save(tmp_path / "v.nrrd", **none, spacings=spacings))
        write_nrrd(tmp_path / "l.nrrd", some_labels(), source)
        again = read_nrrd(tmp_path / "l.nrrd")
        assert b"space" not in (tmp_path / "l.nrrd").read_bytes()
        assert again.spacing_source == source.spacing_source
        assert np.array_equal(again.affine, source.affine)

    def test_unknown_spacing_stays_unknown(self, tmp_path: Path) -> None:
        source = Volume(InMemory(values()), np.eye(4), 2, spacing_source=None)
        write_nrrd(tmp_path / "l.nrrd", some_labels(), source)
        assert read_nrrd(tmp_path / "l.nrrd").spacing_source is None

    def test_a_volume_that_was_moved_lies_where_it_was_moved(self, tmp_path: Path) -> None:
        source = read_nrrd(save(tmp_path / "v.nrrd"))
        moved = Volume(source.voxels, turned(WAYS[9]), 2, origin=source.origin)
        write_nrrd(tmp_path / "l.nrrd", some_labels(), moved)
        assert np.array_equal(read_nrrd(tmp_path / "l.nrrd").affine, moved.affine)

    @pytest.mark.parametrize(("highest", "dtype"), [(3, "u1"), (255, "u1"), (256, "u2")])
    def test_the_smallest_integers(self, tmp_path: Path, highest: int, dtype: str) -> None:
        source = Volume.from_array(values(), turned())
        wide = Labels(some_labels(highest=highest).array.astype(np.uint16), ())
        write_nrrd(tmp_path / "l.nrrd", wide, source)
        theirs, _ = nrrd.read(str(tmp_path / "l.nrrd"))
        assert theirs.dtype == np.dtype(dtype)
        assert np.array_equal(theirs, wide.array)

    def test_segments_are_named_for_3d_slicer(self, tmp_path: Path) -> None:
        made = Provenance("lite-medsam", "fp32", "e", "0" * 64, "1" * 64, "window 40/400")
        liver = Label(
            "liver",
            Code("123037004", "SCT", "Anatomical Structure"),
            Code("10200004", "SCT", "Liver"),
        )
        labels = Labels(some_labels().array, (liver, *some_labels().labels[1:]), made)
        write_nrrd(tmp_path / "l.seg.nrrd", labels, Volume.from_array(values(), turned()))
        lines = gzip_header(tmp_path / "l.seg.nrrd")
        assert lines["Segment0_Name"] == "liver"
        assert lines["Segment1_Name"] == "Leber-Läsion"
        assert lines["Segment2_Name"] == r"third\nline \\"
        assert [lines[f"Segment{n}_LabelValue"] for n in range(3)] == ["1", "2", "3"]
        assert [lines[f"Segment{n}_ID"] for n in range(3)] == [f"Segment_{n}" for n in (1, 2, 3)]
        assert len({lines[f"Segment{n}_Color"] for n in range(3)}) == 3
        assert lines["Segment0_Extent"] == "0 4 0 3 0 2"
        assert "~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~" in lines["Segment0_Tags"]
        assert lines["edgesam.model"] == "lite-medsam"
        assert lines["edgesam.mapping"] == "window 40/400"
        write_nrrd(tmp_path / "l.nrrd", labels, Volume.from_array(values(), turned()))
        assert not any(key.startswith("Segment") for key in gzip_header(tmp_path / "l.nrrd"))

    def test_the_same_labels_give_the_same_bytes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Volume.from_array(values(), turned())
        write_nrrd(tmp_path / "a.nrrd", some_labels(), source)
        later = time.time() + 1e6
        monkeypatch.setattr(time, "time", lambda: later)
        write_nrrd(tmp_path / "b.nrrd", some_labels(), source)
        assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()

    def test_refusals_leave_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = Volume.from_array(values(), turned())

        def refused(path: Path, labels: Labels) -> str:
            with pytest.raises(EdgeSamError) as caught:
                write_nrrd(path, labels, source)
            assert "\n" not in str(caught.value)
            return str(caught.value)

        assert "(5, 4, 4)" in refused(tmp_path / "l.nrrd", some_labels((5, 4, 4)))
        assert ".seg.nrrd" in refused(tmp_path / "l.nhdr", some_labels())
        assert "no folder" in refused(tmp_path / "missing" / "l.nrrd", some_labels())

        def denied(self: Path, *args: Any) -> None:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", denied)
            assert "not permitted" in refused(tmp_path / "l.nrrd", some_labels())
        assert not any(path.is_file() for path in tmp_path.iterdir())


def gzip_header(path: Path) -> dict[str, str]:
    header, _, _ = path.read_bytes().partition(b"\n\n")
    pairs = (line.partition(":=") for line in header.decode("utf-8").splitlines())
    return {key: value for key, sign, value in pairs if sign}


class TestRefusals:
    def test_no_pynrrd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(tmp_path / "v.nrrd")
        monkeypatch.setitem(sys.modules, "nrrd", None)
        assert 'pip install "edgesam[volumes]"' in refusal(path)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dimension": "4", "sizes": "3 5 4 3"}, "(3, 5, 4, 3)"),
            ({"dimension": "2", "sizes": "5 4"}, "(5, 4)"),
            ({"dimension": "4"}, "damaged"),
            ({"kinds": "vector domain domain"}, "not in space"),
            ({"kinds": "domain domain time"}, "not in space"),
            ({"space directions": "none (0,2,0) (0,0,3)"}, "one space"),
            ({"space directions": "(0.5,0) (0,2) (1,1)", "space origin": "(1,1)"}, "one space"),
            ({"space directions": "(0,0,0) (0,2,0) (0,0,3)"}, "inverted"),
            ({"space directions": "(1,0,0) (1,0,0) (0,0,3)"}, "inverted"),
            ({"space directions": "(inf,0,0) (0,2,0) (0,0,3)"}, "infinite"),
            ({"space origin": "(nan,0,0)"}, "NaN"),
            ({"type": "block"}, "no integers or floats"),
            ({"type": None}, "damaged"),
            ({"endian": None}, "byte order"),
            ({"encoding": "hex"}, "encoding"),
            ({"encoding": None}, "damaged"),
            ({"sizes": "5 -4 3"}, "damaged"),
            ({"sizes": "5 0 3"}, "damaged"),
            ({"sizes": "5 4 three"}, "damaged"),
            ({"sizes": "6 4 3"}, "cut short"),
            ({"sizes": "10000 10000 10000"}, "cut short"),
            ({"sizes": "9999999999 9999999999 9999999999"}, "cut short"),
            ({"data file": "LIST"}, "several files"),
            ({"data file": "/dev/null"}, "missing"),
            ({"data file": "gone.raw"}, "missing"),
        ],
    )
    def test_headers_that_make_no_volume(
        self, tmp_path: Path, changes: dict[str, str | None], words: str
    ) -> None:
        tracemalloc.start()
        try:
            message = refusal(save(tmp_path / "v.nrrd", **changes))
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
        assert words in message
        assert "gone" not in message

    @pytest.mark.parametrize("encoding", ["gzip", "bzip2", "ascii"])
    def test_packed_files_cannot_promise_what_they_cannot_hold(
        self, tmp_path: Path, encoding: str
    ) -> None:
        data = ENCODED[encoding](values().tobytes("F"))
        path = save(tmp_path / "v.nrrd", data, encoding=encoding, sizes="10000 10000 10000")
        with pytest.raises(ImageError, match="cut short"):
            read_nrrd(path)

    @pytest.mark.parametrize("encoding", ENCODED)
    def test_every_cut(self, tmp_path: Path, encoding: str) -> None:
        whole = save(
            tmp_path / "v.nrrd", ENCODED[encoding](values().tobytes("F")), encoding=encoding
        ).read_bytes()
        cuts = range(len(whole) - 1 if encoding == "ascii" else len(whole))
        for size in cuts:  # of a text's last number the first digit is a number too
            (tmp_path / "w.nrrd").write_bytes(whole[:size])
            with suppress(EdgeSamError):
                volume = read_nrrd(tmp_path / "w.nrrd")
                # All voxels are there: only a checksum was cut off.
                assert np.array_equal(volume.array, values())
                assert encoding not in ("raw", "ascii")

    def test_what_is_no_nrrd(self, tmp_path: Path) -> None:
        path = tmp_path / "v.nrrd"
        for data in (b"", b"NRR", b"NRRD", b"NRRD0004\n", b"NRRD0009\n\n", b"NRRD\xff\xfe\x00" * 9):
            path.write_bytes(data)
            refusal(path)
        assert "NRRD" in refusal(path)
        path.write_bytes(b"NRRD0004\n" + b"# for ever\n" * 200_000)
        assert "no end" in refusal(path)
        assert "No such file" in refusal(tmp_path / "missing.nrrd")
        refusal(tmp_path)

    def test_a_damaged_checksum(self, tmp_path: Path) -> None:
        data = bytearray(gzip.compress(values().tobytes("F")))
        data[-6] ^= 1
        assert "damaged" in refusal(save(tmp_path / "v.nrrd", bytes(data), encoding="gzip"))

    @settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, 220), st.integers(0, 255)), min_size=1, max_size=6))
    def test_any_header_is_read_or_refused(
        self, tmp_path: Path, changes: list[tuple[int, int]]
    ) -> None:
        data = bytearray(save(tmp_path / "v.nrrd").read_bytes())
        for at, byte in changes:
            data[at] = byte
        (tmp_path / "w.nrrd").write_bytes(data)
        with suppress(EdgeSamError):  # nothing else may come
            volume = read_nrrd(tmp_path / "w.nrrd")
            for index in range(volume.count()):
                volume.slice(index)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
class TestShared:
    @pytest.mark.parametrize(
        ("image", "label", "orientation"),
        [
            ("brain1_image.nrrd", "brain1_label.nrrd", "LAS"),
            (
                "prostate_phantom_subvolume.nrrd",
                "prostate_phantom_subvolume-label.nrrd",
                "RAS",
            ),
        ],
    )
    def test_labels_line_up_and_go_round(
        self, tmp_path: Path, image: str, label: str, orientation: str
    ) -> None:
        source, truth = read_nrrd(SHARED / image), read_nrrd(SHARED / label)
        assert np.allclose(source.affine, truth.affine)
        assert (source.orientation, source.shape) == (orientation, truth.shape)
        assert np.array_equal(source.array, nrrd.read(str(SHARED / image))[0])
        write_nrrd(tmp_path / "l.nrrd", Labels.over(source, truth.array), source)
        again = read_nrrd(tmp_path / "l.nrrd")
        assert np.array_equal(again.array, truth.array)
        assert np.array_equal(again.affine, source.affine)


class TestSimpleItk:
    """ITK's own reader of NRRD."""

    @pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd"])
    @pytest.mark.parametrize("way", WAYS)
    def test_the_same_values_at_the_same_millimetres(
        self, tmp_path: Path, way: Any, suffix: str
    ) -> None:
        itk = pytest.importorskip("SimpleITK")
        source = Volume.from_array(values(), turned(way))
        write_nrrd(tmp_path / f"l{suffix}", some_labels(), source)
        image = itk.ReadImage(str(tmp_path / f"l{suffix}"))
        for index in np.ndindex(*SHAPE):
            point = to_patient(source.affine, index)
            found = image.TransformPhysicalPointToIndex([float(c) for c in point])
            assert image[found] == some_labels().array[index]

    @pytest.mark.parametrize("space", ["LPS", "RAS", "left-anterior-superior"])
    def test_both_read_a_space_alike(self, tmp_path: Path, space: str) -> None:
        itk = pytest.importorskip("SimpleITK")
        path = save(tmp_path / "v.nrrd", space=space)
        volume, image = read_nrrd(path), itk.ReadImage(str(path))
        for index in ((0, 0, 0), (4, 1, 2)):
            point = image.TransformIndexToPhysicalPoint(index)
            assert np.allclose(to_patient(volume.affine, index), point)
