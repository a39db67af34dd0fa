"""What `import edgesam` offers, and what it must not drag in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edgesam

NAMES = [
    "BundleError",
    "ChecksumMismatch",
    "Cine",
    "Code",
    "EdgeSamError",
    "Embedding",
    "EmbeddingCache",
    "EngineUnavailable",
    "ExportError",
    "Fit",
    "Image",
    "ImageError",
    "Label",
    "Mask",
    "ModelNotFound",
    "OutOfMemory",
    "ParityError",
    "Percentiles",
    "PrecisionMismatch",
    "Prompt",
    "PromptError",
    "Sam",
    "Session",
    "Stream",
    "Volume",
    "VolumeError",
    "Window",
    "Windows",
    "__version__",
    "embed_batch",
    "everything",
    "load",
    "read",
    "stream",
    "write",
]
HEAVY = [
    "numpy",
    "torch",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "sympy",
    "pydicom",
    "PIL",
    "edgesam_export",
    "edgesam_bench",
]


def test_the_names() -> None:
    assert edgesam.__all__ == NAMES
    assert sorted(edgesam.__all__) == edgesam.__all__


def test_nothing_else_is_public() -> None:
    assert dir(edgesam) == NAMES
    with pytest.raises(AttributeError, match="no attribute 'Sammy'"):
        _ = edgesam.Sammy


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_every_name_is_there(name: str) -> None:
    value = getattr(edgesam, name)
    assert value.__name__ == name
    assert value.__module__.startswith("edgesam.")


def test_every_error_is_public() -> None:
    from edgesam import errors

    tree = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert tree <= set(NAMES)
    assert all(issubclass(getattr(edgesam, name), edgesam.EdgeSamError) for name in tree)


def loaded(code: str, names: list[str]) -> list[str]:
    """Which of the modules a fresh interpreter has after running the code."""
    check = f"{code}\nimport sys\nprint(*(n for n in {names!r} if n in sys.modules))"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_import_is_light() -> None:
    assert loaded("import edgesam", HEAVY) == []


def test_reading_a_picture_needs_no_framework(tmp_path: Path) -> None:
    import numpy as np

    from edgesam.formats import write_mask

    write_mask(tmp_path / "a.png", np.eye(5, dtype=np.bool_))
    code = f"import edgesam\nassert edgesam.read({str(tmp_path / 'a.png')!r}).width == 5"
    heavy = ["torch", "onnx", "onnx_ir", "onnxruntime", "sympy", "edgesam_export", "edgesam_bench"]
    assert loaded(code, heavy) == []
    assert loaded(code, ["PIL"]) == ["PIL"]  # the check itself can see a module


def test_engines_bring_nothing_that_runs_on_a_device() -> None:
    """It comes when one is opened: a CPU's start does not wait for it."""
    parts = ("edgesam.engines.device", "edgesam_kernels.device.opening")
    code = f"import sys, edgesam.engines; print([m for m in sys.modules if m.startswith({parts})])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
