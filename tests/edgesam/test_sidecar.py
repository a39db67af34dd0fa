"""A mask and its sidecar agree, or the mask is not done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam import sidecar

REQUEST = {"input": "a" * 64, "prompts": [{"box": (1.0, 2.0, 3.0, 4.5)}], "window": None}


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"pixels")
    sidecar.write(path, REQUEST, {"mapping": "as stored"})
    return path


def test_what_it_holds(mask: Path) -> None:
    assert sidecar.path_of(mask).name == "mask.nii.gz.json"
    assert sidecar.read(mask) == {
        "schema": 1,
        "mask": {"sha256": hashlib.sha256(b"pixels").hexdigest(), "bytes": 6},
        "request": {**REQUEST, "prompts": [{"box": [1.0, 2.0, 3.0, 4.5]}]},
        "mapping": "as stored",
    }


def test_done(mask: Path) -> None:
    assert sidecar.is_done(mask, REQUEST)
    assert sidecar.is_done(mask, json.loads(json.dumps(REQUEST)))


@pytest.mark.parametrize(
    "other",
    [
        {**REQUEST, "window": "40,400"},
        {**REQUEST, "prompts": [{"box": (1.0, 2.0, 3.0, 4.6)}]},
        {**REQUEST, "more": 1},
        {"input": "a" * 64},
    ],
)
def test_another_request_is_not(mask: Path, other: dict[str, Any]) -> None:
    assert not sidecar.is_done(mask, other)


def damaged(data: bytes) -> list[bytes]:
    text = data.decode()
    return [
        b"",
        data[:-9],
        b"\xff" + data,
        b"[" * 100_000,
        b"[1]",
        b"null",
        text.replace('"schema": 1', '"schema": 2').encode(),
        text.replace('"mask": {', '"other": {').encode(),
        json.dumps({**json.loads(text), "mask": None}).encode(),
        json.dumps({**json.loads(text), "mask": {"sha256": "0" * 64}}).encode(),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_sidecar_that_is_none(mask: Path, number: int) -> None:
    path = sidecar.path_of(mask)
    path.write_bytes(damaged(path.read_bytes())[number])
    assert not sidecar.is_done(mask, REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: mask.unlink(),
        lambda mask: mask.write_bytes(b"pixelt"),
        lambda mask: mask.write_bytes(b""),
        lambda mask: sidecar.path_of(mask).unlink(),
        lambda mask: (mask.unlink(), mask.mkdir()),
    ],
    ids=["gone", "a bit", "empty", "no sidecar", "a folder"],
)
def test_a_mask_that_is_not_as_it_was_written(mask: Path, change: Callable[[Path], object]) -> None:
    change(mask)
    assert not sidecar.is_done(mask, REQUEST)


def test_numbers_that_json_has_not_are_refused(mask: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        sidecar.write(mask, REQUEST, {"score": float("nan")})
    assert sidecar.is_done(mask, REQUEST), "the old one stays"
