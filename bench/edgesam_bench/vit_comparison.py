"""Asks a loaded ViT what the reference was asked; relative errors. Knows no recipe, no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesam.digest import sha256_of
from edgesam.errors import ParityError
from edgesam.prompt import Prompt
from edgesam.sam import Sam
from edgesam_bench.comparison import MaskResult, line_up
from edgesam_bench.figures import relative_l2
from edgesam_bench.pictures import Picture
from edgesam_bench.reference import Reference, ReferencePicture


@dataclass(frozen=True)
class VitComparison:
    """What was found.

    Attributes:
        embeddings: picture -> relative L2.
        logits: case -> relative L2 of the worst of its four masks.
        masks: see :class:`MaskResult`.
    """

    embeddings: Mapping[str, float]
    logits: Mapping[str, float]
    masks: Sequence[MaskResult]


def compare_vit(sam: Sam, reference: Reference, pictures: Sequence[Picture]) -> VitComparison:
    """Ask about every picture of the reference.

    Args:
        sam: to be compared.
        reference: what it is compared with.
        pictures: among them the reference's.

    Raises:
        ParityError: a picture is missing, or is not the one the reference saw.
    """
    embeddings: dict[str, float] = {}
    logits: dict[str, float] = {}
    masks: list[MaskResult] = []
    for picture in reference.pictures:
        answers = reference.answers(picture)
        embedding = sam.embed(same_picture(picture, pictures).pixels())
        embeddings[picture.name] = relative_l2(answers.embedding, embedding.array)
        for case, expected in answers:
            prompt = Prompt(**case.prompt(answers.fed_back(case)))
            found = (
                sam.segment(embedding, prompt),
                *sam.segment(embedding, prompt, multimask=True),
            )
            masks += line_up(case, picture.modality, expected, found)
            logits[case.name] = max(
                relative_l2(expected.logits[output], mask.logits)
                for output, mask in enumerate(found)
            )
    return VitComparison(embeddings, logits, masks)


def same_picture(seen: ReferencePicture, pictures: Sequence[Picture]) -> Picture:
    """The picture that the reference saw.

    Raises:
        ParityError: it is missing, or another one bears its name.
    """
    for picture in pictures:
        if picture.name == seen.name:
            if not picture.image.is_file() or sha256_of(picture.image) != seen.sha256:
                raise ParityError(f"{picture.image} is not the picture that the reference saw")
            return picture
    raise ParityError(f"the reference saw {seen.name}, which is not among the pictures here")
