"""Graphs of real bundles for TensorRT, and a TensorRT that is none, over a device that is none."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam import ModelNotFound
from edgesam.bundle import find_bundle
from edgesam.engines.tensorrt.flavour import RTX, Flavour
from edgesam.home import home
from edgesam_kernels.device import opening
from edgesam_kernels.device.fake import FakeDevice

from .ort_double import BOTH, OrtDouble

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


SHAPES: dict[str, dict[str, Any]] = {
    "encoder": {
        "image": ("INPUT", [1, 3, 8, 8]),
        "image_embeddings": ("OUTPUT", [1, 4, 2, 2]),
    },
    "side": {
        "image_embeddings": ("INPUT", [1, 4, 2, 2]),
        "mask_input": ("INPUT", [1, 1, 8, 8]),
        "has_mask_input": ("INPUT", [1]),
        "keys": ("OUTPUT", [1, 4, 4]),
        "queries": ("OUTPUT", [1, 4]),
    },
    "decoder": {
        "keys": ("INPUT", [1, 4, 4]),
        "queries": ("INPUT", [1, 4]),
        "point_coords": ("INPUT", [1, 0, 2], [4, 64, 2]),
        "point_labels": ("INPUT", [1, 0], [4, 64], "INT32"),
        "mask_tokens": ("INPUT", [1], [4], "INT64"),
        "low_res_masks": ("OUTPUT", ["point_coords[0]", "mask_tokens[0]", 8, 8]),
        "iou_predictions": ("OUTPUT", ["point_coords[0]", 4]),
    },
}


def _compute_encoder(given: dict[str, Any]) -> dict[str, Any]:
    return {"image_embeddings": given["image"][:, :1, :2, :2].repeat(4, 1) * 2}


def _compute_side(given: dict[str, Any]) -> dict[str, Any]:
    told = given["mask_input"].mean() * given["has_mask_input"][0]
    keys = given["image_embeddings"].reshape(1, 4, 4) + told
    return {"keys": keys, "queries": keys[:, 0] + 1}


def _compute_decoder(given: dict[str, Any]) -> dict[str, Any]:
    """Of each prompt: its points and labels, the tokens, and the picture's side in one number."""
    coords, labels = given["point_coords"].sum((1, 2)), given["point_labels"].sum(1)
    base = coords + 100.0 * labels + given["keys"].mean() + given["queries"].mean()
    masks = base[:, None] + 10.0 * given["mask_tokens"][None]
    grid = np.broadcast_to(masks[:, :, None, None], (*masks.shape, 8, 8))
    return {"low_res_masks": grid, "iou_predictions": base[:, None] + np.arange(4)}


@pytest.fixture
def fake_device() -> FakeDevice:
    return FakeDevice(name="Fake H200")


@pytest.fixture
def fake_trt(fake_device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> Any:
    """In the place of both flavours' modules."""
    spec = importlib.util.spec_from_file_location("fake_trt", Path(__file__).parent / "fake_trt.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_trt"] = module
    spec.loader.exec_module(module)
    compute = {"encoder": _compute_encoder, "side": _compute_side, "decoder": _compute_decoder}
    found = module.FakeTrt(fake_device, compute)
    monkeypatch.setattr(Flavour, "load", lambda self: found)
    return found


@pytest.fixture
def fake_plan() -> Callable[..., bytes]:
    """Plans of three small graphs: ``encoder``, ``side`` and ``decoder``."""

    def make(name: str, formats: tuple[str, ...] = ("Float", "Half")) -> bytes:
        tensors = {}
        for tensor, (mode, shape, *more) in SHAPES[name].items():
            dtype = more[-1] if more and isinstance(more[-1], str) else "FLOAT"
            most = more[0] if more and isinstance(more[0], list) else shape
            tensors[tensor] = {
                "mode": mode,
                "shape": shape,
                "from": shape,
                "to": most,
                "type": dtype,
            }
        inputs = [{"Name": "t", "Format/Datatype": one} for one in formats]
        information = {"Layers": [{"Name": "gemm", "Inputs": inputs, "Outputs": []}]}
        return json.dumps({"name": name, "tensors": tensors, "information": information}).encode()

    return make


@pytest.fixture
def card_of_ort(fake_device: FakeDevice) -> Any:
    """The device that :func:`fake_ort` computes on; a test may have another."""
    return fake_device


@pytest.fixture
def fake_ort(card_of_ort: Any, monkeypatch: pytest.MonkeyPatch) -> OrtDouble:
    """In the place of ONNX Runtime's CUDA part."""
    import onnxruntime

    double = OrtDouble(onnxruntime, card_of_ort)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: BOTH)
    monkeypatch.setattr(onnxruntime, "InferenceSession", double.Session)
    monkeypatch.setattr(opening, "open_device", lambda library, ordinal: card_of_ort)
    return double
