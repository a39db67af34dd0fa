from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam.bundle import Bundle
from edgesam.errors import ParityError
from edgesam_bench.gpu import official
from edgesam_bench.gpu.subjects import Subject


@pytest.fixture
def subject(make_bundle: Callable[..., Bundle]) -> Callable[..., Subject]:
    def make(model: str = "mobile-sam", checkpoint: Path | None = None) -> Subject:
        return Subject(model, make_bundle(), "official", checkpoint, None)

    return make


def test_what_is_missing_is_named(
    subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch: Any = None  # never reached
    one = subject()
    with pytest.raises(ParityError, match="official checkpoint of mobile-sam is not"):
        official.network(torch, one)
    foreign = Subject("other", one.bundle, "official", None, None)
    with pytest.raises(ParityError, match="no official other"):
        official.network(torch, foreign)
    monkeypatch.setattr(official, "REFERENCE", tmp_path)
    with pytest.raises(ParityError, match="needs bench/reference"):
        official.network(torch, one)


def test_a_package_that_is_missing_is_named(
    subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "official.py").write_text("", "utf-8")
    (tmp_path / "made_up_network.py").write_text("import no_such_package_here\n", "utf-8")
    monkeypatch.setattr(official, "REFERENCE", tmp_path)
    monkeypatch.setattr(official, "_NETWORKS", {"mobile-sam": ("made_up_network", "Network")})
    with pytest.raises(ParityError, match="needs the package no_such_package_here"):
        official.network(None, subject(checkpoint=tmp_path / "official.py"))


def test_the_folder_is_where_the_reference_is() -> None:
    assert (official.REFERENCE / "stand_ins.py").is_file()
