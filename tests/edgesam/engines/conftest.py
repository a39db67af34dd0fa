"""Graphs of real bundles for TensorRT, and a TensorRT that is none, over a device that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam import ModelNotFound
from edgesam.bundle import find_bundle
from edgesam.engines.tensorrt_flavour import RTX
from edgesam.home import home

PULLED = home()  # read before any test gets a home of its own


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, so that no plan of another is found."""
    path = tmp_path / "home"
    monkeypatch.setenv("EDGESAM_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def rtx() -> None:
    """Skips where TensorRT-RTX is not installed."""
    if not RTX.is_installed():
        pytest.skip("needs the extra tensorrt-rtx")


@pytest.fixture(scope="session")
def lite_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Of LiteMedSAM with its real weights: role and variant -> the graph's file."""
    from edgesam_export import export_bundle

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGESAM_HOME", str(PULLED))
        try:
            find_bundle("lite-medsam")
            from edgesam.checkpoint_store import checkpoint_path
            from edgesam.models import MODELS

            checkpoint = checkpoint_path(MODELS["lite-medsam"])
            if not checkpoint.is_file():
                raise ModelNotFound(f"the checkpoint of lite-medsam is not here: {checkpoint}")
        except ModelNotFound as error:
            if os.environ.get("EDGESAM_TESTS_NEED_WEIGHTS"):
                raise
            pytest.skip(str(error))
    out = tmp_path_factory.mktemp("bundles") / "lite-medsam"
    bundle = export_bundle(checkpoint, out, model="lite-medsam", variants=["fp16", "int8"])

    def file(role: str, variant: str) -> Path:
        graphs = bundle.variants[variant]
        return bundle.path / getattr(graphs, role).file

    return file
