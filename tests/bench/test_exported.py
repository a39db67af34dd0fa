"""A bundle for the time being, also from a checkout that is not installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgesam.bundle import open_bundle
from edgesam.errors import ParityError
from edgesam_bench.exported import exported


@pytest.fixture
def not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry point is found in processes that are started."""
    text = "import importlib.metadata as m\nm.entry_points = lambda **_: ()\n"
    (tmp_path / "sitecustomize.py").write_text(text, "utf-8")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.mark.usefixtures("not_installed")
def test_variants_that_were_asked_for(lite_checkpoint: Path, tmp_path: Path) -> None:
    with exported(lite_checkpoint, "lite-medsam", ("fp32", "fp16"), tmp_path) as folder:
        assert list(open_bundle(folder).variants) == ["fp32", "fp16"]
    assert not folder.exists()


@pytest.mark.usefixtures("not_installed")
def test_why_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "no.pth").write_bytes(b"no checkpoint")
    with (
        pytest.raises(ParityError, match=r"no bundle to measure: .*no\.pth"),
        exported(tmp_path / "no.pth", "lite-medsam"),
    ):
        pass
