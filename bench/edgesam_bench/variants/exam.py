"""What fp32 answers on pictures without labels, and how a variant's answers compare. No verdict.

A page is one picture: its prompts, and fp32's four masks for each. Pages may be made one by one,
or kept and asked of many candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesam import Prompt
from edgesam.embedding import Embedding
from edgesam.models import PromptKind
from edgesam.sam import Sam
from edgesam_bench.cases import KINDS, Case, Kind, cases_of
from edgesam_bench.comparison import Comparison, MaskResult, PictureResult, line_up
from edgesam_bench.figures import relative_l2
from edgesam_bench.reference import Answer
from edgesam_bench.variants.gallery import Sample
from edgesam_bench.variants.seeds import find_things

OBJECTS, BEYOND_BOXES = 4, 2  # of a picture, as `make parity` takes

_NEEDS: dict[Kind, frozenset[PromptKind]] = {
    "box": frozenset({"box"}),
    "point": frozenset({"point"}),
    "points": frozenset({"point"}),
    "box+point": frozenset({"box", "point"}),
    "box+logits": frozenset({"box", "mask"}),
    "points+logits": frozenset({"point", "mask"}),
    "logits": frozenset({"box", "mask"}),
}


@dataclass(frozen=True, eq=False)
class Packed:
    """All four masks of one prompt in little memory.

    Attributes:
        logits: (4, L, L) float32.
        scores: (4,) float32.
        bits: (4, H, ceil(W / 8)) uint8.
        width: W.
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    bits: NDArray[np.uint8]
    width: int

    def unpacked(self) -> Answer:
        masks = np.unpackbits(self.bits, axis=-1, count=self.width).astype(bool)
        return Answer(self.logits, self.scores, masks)


@dataclass(frozen=True, eq=False)
class Page:
    """One picture and what fp32 makes of it.

    Attributes:
        sample: the picture.
        embedding: (1, 256, G, G) float32.
        cases: the prompts.
        answers: to each of them.
    """

    sample: Sample
    embedding: NDArray[np.float32]
    cases: Sequence[Case]
    answers: Sequence[Packed]

    def fed_back(self, case: Case) -> NDArray[np.float32] | None:
        """The logits that a case feeds back: fp32's, whoever is asked."""
        if case.mask_input is None:
            return None
        row = [c.name for c in self.cases].index(case.mask_input)
        single: NDArray[np.float32] = self.answers[row].logits[0]
        return single


def kinds_for(taken: frozenset[PromptKind]) -> list[Kind]:
    """The kinds of prompt to compare on, of a model that takes those parts."""
    return [kind for kind in KINDS if _NEEDS[kind] <= taken]


def pages(
    fp32: Sam,
    samples: Iterable[Sample],
    *,
    objects: int = OBJECTS,
    beyond_boxes: int = BEYOND_BOXES,
) -> Iterator[Page]:
    """Ask fp32 about each picture in turn; one in which it finds nothing gets no page.

    Args:
        fp32: the reference.
        samples: the pictures.
        objects: most of one picture; each gets a box, or a point if the model takes no boxes.
        beyond_boxes: objects that get the other kinds of prompt, too.

    Raises:
        EdgeSamError: a picture cannot be read any more.
    """
    kinds = kinds_for(fp32.manifest.profile.prompt_kinds)
    for sample in samples:
        embedding = fp32.embed(sample.read())
        things = find_things(fp32, embedding, sample.key, objects)
        cases = cases_of(sample.key, things, kinds=kinds, most_beyond_boxes=beyond_boxes)
        if not cases:
            continue  # nothing in it to ask about: it says nothing
        answers: dict[str, Packed] = {}
        for case in cases:
            fed = answers[case.mask_input].logits[0] if case.mask_input else None
            answers[case.name] = _asked(fp32, embedding, case, fed)
        yield Page(sample, embedding.array, cases, list(answers.values()))


def judge(
    candidate: Sam, exam: Iterable[Page], on_page: Callable[[int], None] = lambda _: None
) -> Comparison:
    """A variant's answers beside fp32's.

    Args:
        candidate: the variant.
        exam: of fp32 of the same model.
        on_page: told how many pictures are done.
    """
    pictures: list[PictureResult] = []
    masks: list[MaskResult] = []
    for page in exam:
        sample = page.sample
        embedding = candidate.embed(sample.read())
        for case, expected in zip(page.cases, page.answers, strict=True):
            prompt = Prompt(**case.prompt(page.fed_back(case)))
            found = (
                candidate.segment(embedding, prompt),
                *candidate.segment(embedding, prompt, multimask=True),
            )
            masks += line_up(case, sample.modality, expected.unpacked(), found)
        error = relative_l2(page.embedding, embedding.array)
        pictures.append(PictureResult(sample.key, sample.modality, sample.key, error))
        on_page(len(pictures))
    return Comparison(pictures, masks)


def _asked(
    sam: Sam, embedding: Embedding, case: Case, fed_back: NDArray[np.float32] | None
) -> Packed:
    prompt = Prompt(**case.prompt(fed_back))
    masks = (sam.segment(embedding, prompt), *sam.segment(embedding, prompt, multimask=True))
    return Packed(
        logits=np.stack([mask.logits for mask in masks]),
        scores=np.array([mask.score for mask in masks], np.float32),
        bits=np.packbits(np.stack([mask.array for mask in masks]), axis=-1),
        width=masks[0].array.shape[1],
    )
