"""The official networks in PyTorch with their weights, through ``bench/reference``. Times nothing.

They need that folder, which only a checkout has, the official packages (pure Python), and weights.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from edgesam.errors import ParityError
from edgesam_bench.gpu.subjects import Subject

REFERENCE = Path(__file__).resolve().parents[2] / "reference"
_NETWORKS = {
    "lite-medsam": ("official_lite_medsam", "OfficialLiteMedSam"),
    "mobile-sam": ("official_mobile_sam", "OfficialMobileSam"),
    "sam-vit-b": ("official_sam", "OfficialSamVitB"),
}
_STOOD_IN = ("torchvision", "timm")


def network(torch: Any, subject: Subject) -> Any:
    """The network of a model on the CPU, float32, ready to predict.

    Raises:
        ParityError: something that it needs is not here; says what.
    """
    if subject.model not in _NETWORKS:
        raise ParityError(f"bench/reference has no official {subject.model}")
    if not (REFERENCE / "official.py").is_file():
        raise ParityError("needs bench/reference, which only a checkout of the repository has")
    if subject.state is None and subject.checkpoint is None:
        raise ParityError(f"the official checkpoint of {subject.model} is not in EDGESAM_HOME")
    module, name = _NETWORKS[subject.model]
    sys.path.insert(0, str(REFERENCE))
    try:
        build = getattr(importlib.import_module(module), name).build
        load = importlib.import_module("weights").load_weights
    except ModuleNotFoundError as error:
        raise ParityError(f"needs the package {error.name} (not installed)") from None
    except importlib.metadata.PackageNotFoundError as error:
        raise ParityError(f"needs the package {error.name} (not installed)") from None
    finally:
        sys.path.remove(str(REFERENCE))
        _forget_stand_ins()
    weights: Any = subject.checkpoint
    if subject.state is not None:
        weights = {key: torch.from_numpy(value) for key, value in subject.state.items()}
    return load(build(), weights)


def _forget_stand_ins() -> None:
    """Those who hold them keep them; ``torch.compile`` asks for the real modules' specs."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _STOOD_IN and getattr(module, "__spec__", None) is None:
            del sys.modules[name]
