"""The evaluation pictures: what the manifest lists, and a spread of them; knows no model."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MANIFEST = "manifest.csv"
DEFAULT_FOLDER = Path("../shared/data")  # beside the checkout; nothing of it is copied into it


@dataclass(frozen=True)
class Picture:
    """One row of the manifest.

    Attributes:
        name: the image's file name without its suffix; unique.
        image: path of the picture.
        mask: path of its label map.
        modality: ct, mri, xray, ...
        subset: the data set it comes from.
        instances: each value of the label map is one object.
    """

    name: str
    image: Path
    mask: Path
    modality: str
    subset: str
    instances: bool

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        with Image.open(self.image) as image:
            return np.asarray(image.convert("RGB"))

    def labels(self) -> NDArray[Any]:
        """(H, W) whole numbers, 0 is background."""
        with Image.open(self.mask) as mask:
            return np.asarray(mask)


def read_manifest(folder: Path) -> list[Picture]:
    """All pictures below the folder, in the manifest's order.

    Raises:
        FileNotFoundError: there is no manifest.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise FileNotFoundError(
            f"no evaluation pictures: {manifest} does not exist; name their folder with --data"
        )
    with manifest.open(newline="", encoding="utf-8") as lines:
        return [
            Picture(
                name=Path(row["image"]).stem,
                image=folder / row["image"],
                mask=folder / row["mask"],
                modality=row["modality"],
                subset=row["subset"],
                instances=row["labels"] == "instances",
            )
            for row in csv.DictReader(lines)
        ]


def spread(pictures: Sequence[Picture], per_subset: int) -> list[Picture]:
    """The same few pictures of every subset each time, evenly apart in the order of their names."""
    chosen: list[Picture] = []
    for subset in sorted({(p.modality, p.subset) for p in pictures}):
        of_subset = sorted(
            (p for p in pictures if (p.modality, p.subset) == subset), key=lambda p: p.name
        )
        count = min(per_subset, len(of_subset))
        chosen += [of_subset[(2 * i + 1) * len(of_subset) // (2 * count)] for i in range(count)]
    return chosen
