"""The official models by name, and what they have in common. Knows no file but a checkpoint."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from official_lite_medsam import OfficialLiteMedSam
from official_medsam import OfficialMedSam
from official_mobile_sam import OfficialMobileSam
from official_sam import (
    OfficialSamVitB,
    OfficialSamVitH,
    OfficialSamVitL,
    OfficialSamVitTest,
)

from edgesam_bench.cases import Kind
from edgesam_bench.reference import Answer


class Official(Protocol):
    """One picture at a time, then prompts on it."""

    name: str
    packages: tuple[str, ...]
    recipe: str
    kinds: tuple[Kind, ...]
    side: int
    model: torch.nn.Module

    @staticmethod
    def build() -> torch.nn.Module:
        """The official network, as it is before it has its weights."""

    def __init__(self, checkpoint: Path | Mapping[str, torch.Tensor]) -> None: ...

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Sets the picture, (H, W, 3) uint8 RGB; returns (1, 256, 64, 64) float32."""

    def answer(
        self,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
    ) -> Answer:
        """All four masks of one prompt, in pixels of the picture that was set."""


OFFICIAL: dict[str, type[Official]] = {
    model.name: model
    for model in (
        OfficialLiteMedSam,
        OfficialMobileSam,
        OfficialSamVitB,
        OfficialSamVitL,
        OfficialSamVitH,
        OfficialSamVitTest,
        OfficialMedSam,
    )
}


def versions(*packages: str) -> dict[str, str]:
    """Of what decides the answers: a model's packages and what they all use."""
    names = ("torch", *packages, "numpy", "pillow", "opencv-python-headless")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def sha256(file: Path) -> str:
    """Of the file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
