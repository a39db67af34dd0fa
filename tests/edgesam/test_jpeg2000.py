"""JPEG 2000 by imagecodecs: the values that GDCM gives, and other threads run meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest

from edgesam.formats import read
from edgesam.formats.dicom import jpeg2000

imagecodecs = pytest.importorskip("imagecodecs", reason="needs imagecodecs (edgesam[jpeg2000])")

NAMES = (
    "693_J2KI.dcm",  # lossy, signed, 14 bits of 16
    "GDCMJ2K_TextGBR.dcm",  # colours; Pillow does not read it
    "J2K_pixelrep_mismatch.dcm",  # signed, 13 bits, and the two headers differ
    "JPEG2000.dcm",  # lossy, signed
    "MR_small_jp2klossless.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "examples_jpeg2k.dcm",  # colours
)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What imagecodecs gave."""
    found: list[Any] = []
    decode = imagecodecs.jpeg2k_decode

    def watched(data: bytes) -> Any:
        found.append(decode(data))
        return found[-1]

    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", watched)
    return found


def bundled(name: str) -> Path:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_values(name: str, decoded: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gdcm", reason="needs python-gdcm (edgesam[codecs])")
    found = read(bundled(name)).pixels
    assert len(decoded) == 1
    monkeypatch.setattr(jpeg2000, "find_spec", lambda name: None)
    expected = read(bundled(name)).pixels
    assert len(decoded) == 1, "GDCM was asked, or else this compares nothing"
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def test_lossless_is_lossless(decoded: list[Any]) -> None:
    found = read(bundled("MR_small_jp2klossless.dcm")).pixels
    assert np.array_equal(found, read(bundled("MR_small.dcm")).pixels)
    assert len(decoded) == 1, "the other file is not compressed"


@pytest.mark.parametrize("wrong", ["raises", "another size"])
def test_where_it_fails_another_decoder_reads(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(bundled("JPEG2000.dcm")).pixels

    def fails(data: bytes) -> Any:
        if wrong == "raises":
            raise RuntimeError("a damaged frame")
        return np.zeros((3, 5), np.int16)

    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", fails)
    assert np.array_equal(read(bundled("JPEG2000.dcm")).pixels, expected)


def test_other_syntaxes_are_not_its_business() -> None:
    assert jpeg2000.is_available("1.2.840.10008.1.2.4.90")
    assert not jpeg2000.is_available("1.2.840.10008.1.2.4.80"), "JPEG-LS"


@pytest.fixture
def an_hour() -> Iterator[None]:
    """Of a switch interval: a thread keeps the interpreter until it gives it up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    yield
    sys.setswitchinterval(before)


def test_other_threads_run_meanwhile(an_hour: None, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, inside = imagecodecs.jpeg2k_decode, threading.Event()

    def watched(data: bytes) -> Any:
        inside.set()
        found = [decode(data) for _ in range(5)]
        inside.clear()
        return found[0]

    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", watched)
    worker = threading.Thread(target=lambda: read(bundled("examples_jpeg2k.dcm")))
    worker.start()
    seen = False
    while worker.is_alive() and not seen:
        seen = inside.is_set()
        time.sleep(0.0005)
    worker.join()
    assert seen
