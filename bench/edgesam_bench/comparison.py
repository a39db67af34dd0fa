"""Asks a loaded model what the reference was asked and lines the answers up; knows no verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import edgesam
from edgesam.digest import sha256_of
from edgesam.errors import ParityError
from edgesam_bench.cases import Case
from edgesam_bench.figures import iou, relative_l2
from edgesam_bench.reference import Answer, Reference, ReferencePicture

# Below this many pixels in the reference one pixel more or less moves the IoU by percents.
TINY_AREA = 64


@dataclass(frozen=True)
class MaskResult:
    """One of a prompt's four masks, beside the reference's.

    Attributes:
        case: name of the case.
        kind: of the prompt.
        modality: of the picture.
        output: 0 is the single mask, 1..3 are those of ``multimask``.
        reference_area: in pixels of the picture.
        differing: number of pixels that differ.
        iou: with the reference's mask; two empty masks have 1.
        score_error: absolute difference of the predicted IoU.
        logits_error: largest absolute difference of the low-resolution logits.
    """

    case: str
    kind: str
    modality: str
    output: int
    reference_area: int
    differing: int
    iou: float
    score_error: float
    logits_error: float

    @property
    def size(self) -> Literal["ordinary", "tiny", "empty"]:
        """Tiny and empty masks are judged apart."""
        if self.reference_area == 0:
            return "empty"
        return "tiny" if self.reference_area < TINY_AREA else "ordinary"


@dataclass(frozen=True)
class PictureResult:
    """One picture's embedding beside the reference's.

    Attributes:
        picture: its name.
        modality: ct, mri, xray, ...
        sha256: of the picture's file.
        embedding_error: relative L2.
    """

    picture: str
    modality: str
    sha256: str
    embedding_error: float


@dataclass(frozen=True)
class Comparison:
    """All answers of one model beside its reference's."""

    pictures: Sequence[PictureResult]
    masks: Sequence[MaskResult]

    def of_size(self, size: Literal["ordinary", "tiny", "empty"]) -> list[MaskResult]:
        """The masks that are so large in the reference."""
        return [mask for mask in self.masks if mask.size == size]


def compare(
    sam: edgesam.Sam,
    reference: Reference,
    data: Path,
    *,
    quick: bool = False,
    on_picture: Callable[[PictureResult], None] = lambda _: None,
) -> Comparison:
    """Embeds and segments everything the reference did.

    Args:
        sam: the model to judge.
        reference: what to judge it by.
        data: folder the reference's pictures lie in.
        quick: only the pictures of the small selection.
        on_picture: told after each picture.

    Raises:
        ParityError: a picture is missing or is not the one the reference saw.
    """
    pictures: list[PictureResult] = []
    masks: list[MaskResult] = []
    for picture in reference.pictures:
        if quick and not picture.quick:
            continue
        embedding = sam.embed(edgesam.read(_verified(picture, data)))
        answers = reference.answers(picture)
        for case, expected in answers:
            prompt = edgesam.Prompt(**case.prompt(answers.fed_back(case)))
            found = (
                sam.segment(embedding, prompt),
                *sam.segment(embedding, prompt, multimask=True),
            )
            masks += line_up(case, picture.modality, expected, found)
        pictures.append(
            PictureResult(
                picture=picture.name,
                modality=picture.modality,
                sha256=picture.sha256,
                embedding_error=relative_l2(answers.embedding, embedding.array),
            )
        )
        on_picture(pictures[-1])
    return Comparison(pictures, masks)


def line_up(
    case: Case, modality: str, expected: Answer, found: Iterable[edgesam.Mask]
) -> list[MaskResult]:
    """One prompt's four masks, in the decoder's order, beside the reference's."""
    return [
        MaskResult(
            case=case.name,
            kind=case.kind,
            modality=modality,
            output=output,
            reference_area=int(expected.masks[output].sum()),
            differing=int((expected.masks[output] ^ mask.array).sum()),
            iou=iou(expected.masks[output], mask.array),
            score_error=abs(float(expected.scores[output]) - mask.score),
            logits_error=float(np.abs(expected.logits[output] - mask.logits).max()),
        )
        for output, mask in enumerate(found)
    ]


def _verified(picture: ReferencePicture, data: Path) -> Path:
    path = data / picture.file
    if not path.is_file():
        raise ParityError(
            f"{path} is missing: the reference was made on it; name its folder with --data"
        )
    if sha256_of(path) != picture.sha256:
        raise ParityError(f"{path} is not the picture the reference saw: its sha256 differs")
    return path
