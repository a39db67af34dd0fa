"""What a reference side leaves for others to compare with: its files; knows no model and no engine.

A folder holds one model's answers:

    reference.json      model, checkpoint sha256, versions, pictures and cases
    PICTURE.npz         embedding (1, 256, 64, 64) float32 and, one row per case of the picture
                        in the order of reference.json: logits (N, 4, 256, 256) float32,
                        scores (N, 4) float32, masks (N, 4, H, ceil(W / 8)) packed bits

The four masks are the decoder's four outputs in its order: first the single mask, then the three
of ``multimask``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.cases import Case

SCHEMA = 1
FILE = "reference.json"


@dataclass(frozen=True, eq=False)
class Answer:
    """All four masks of one prompt.

    Attributes:
        logits: (4, 256, 256) float32.
        scores: (4,) float32, predicted IoU.
        masks: (4, H, W) bool, in pixels of the picture.
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class ReferencePicture:
    """A picture the reference was asked about.

    Attributes:
        name: as in its cases.
        file: path below the data folder, with forward slashes.
        sha256: of that file.
        modality: ct, mri, xray, ...
        subset: the data set it comes from.
        height: in pixels.
        width: in pixels.
        quick: it belongs to the small selection that every change is measured on.
    """

    name: str
    file: str
    sha256: str
    modality: str
    subset: str
    height: int
    width: int
    quick: bool


@dataclass(frozen=True)
class Reference:
    """One model's reference.

    Attributes:
        folder: where its files are.
        model: name of the model.
        recipe: whose code answered, in words.
        checkpoint_sha256: of the weights.
        versions: of the reference side's packages.
        pictures: see :class:`ReferencePicture`.
        cases: of all pictures.
    """

    folder: Path
    model: str
    recipe: str
    checkpoint_sha256: str
    versions: Mapping[str, str]
    pictures: Sequence[ReferencePicture]
    cases: Sequence[Case]

    def cases_on(self, picture: str) -> list[Case]:
        """In the order of the picture's arrays."""
        return [case for case in self.cases if case.picture == picture]

    def write(self) -> None:
        """Writes reference.json; the pictures' arrays must be there already."""
        content = {
            "schema": SCHEMA,
            "model": self.model,
            "recipe": self.recipe,
            "checkpoint_sha256": self.checkpoint_sha256,
            "versions": dict(self.versions),
            "pictures": [asdict(picture) for picture in self.pictures],
            "cases": [asdict(case) for case in self.cases],
        }
        (self.folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def answers(self, picture: ReferencePicture) -> PictureAnswers:
        """What the reference side found on one picture."""
        with np.load(self.folder / f"{picture.name}.npz") as arrays:
            return PictureAnswers(
                cases=self.cases_on(picture.name),
                width=picture.width,
                embedding=arrays["embedding"],
                logits=arrays["logits"],
                scores=arrays["scores"],
                packed=arrays["masks"],
            )


@dataclass(frozen=True, eq=False)
class PictureAnswers:
    """One picture's arrays; see the module's description for their shapes."""

    cases: Sequence[Case]
    width: int
    embedding: NDArray[np.float32]
    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    packed: NDArray[np.uint8]

    def __iter__(self) -> Iterator[tuple[Case, Answer]]:
        for row, case in enumerate(self.cases):
            masks = np.unpackbits(self.packed[row], axis=-1, count=self.width).astype(bool)
            yield case, Answer(self.logits[row], self.scores[row], masks)

    def fed_back(self, case: Case) -> NDArray[np.float32] | None:
        """The (256, 256) logits a case feeds back, if it does."""
        if case.mask_input is None:
            return None
        row = [c.name for c in self.cases].index(case.mask_input)
        fed: NDArray[np.float32] = self.logits[row, 0]
        return fed


def write_answers(
    folder: Path, picture: str, embedding: NDArray[np.float32], answers: Sequence[Answer]
) -> None:
    """Writes one picture's arrays."""
    np.savez(
        folder / f"{picture}.npz",
        embedding=embedding,
        logits=np.stack([a.logits for a in answers]),
        scores=np.stack([a.scores for a in answers]),
        masks=np.stack([np.packbits(a.masks, axis=-1) for a in answers]),
    )


def read_reference(folder: Path) -> Reference:
    """Reads reference.json.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of another schema.
    """
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if content.get("schema") != SCHEMA:
        raise ValueError(f"schema {content.get('schema')!r}, this edgesam_bench reads {SCHEMA}")
    return Reference(
        folder=folder,
        model=content["model"],
        recipe=content["recipe"],
        checkpoint_sha256=content["checkpoint_sha256"],
        versions=content["versions"],
        pictures=[ReferencePicture(**picture) for picture in content["pictures"]],
        cases=[case_from_json(case) for case in content["cases"]],
    )


def case_from_json(fields: dict[str, Any]) -> Case:
    """JSON has lists where a case has tuples."""
    box = fields["box"]
    return Case(
        **{
            **fields,
            "points": tuple((x, y) for x, y in fields["points"]),
            "labels": tuple(fields["labels"]),
            "box": None if box is None else (box[0], box[1], box[2], box[3]),
        }
    )
