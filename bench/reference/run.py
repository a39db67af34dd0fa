"""Asks the official PyTorch code and leaves its answers in a folder. Knows no engine of ours.

    python bench/reference/run.py --model mobile-sam --checkpoint mobile_sam.pt \\
        --data ../shared/data --out .cache/reference/mobile-sam [--quick | --aspects]

Runs in the environment that README.md beside this file describes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paths  # noqa: F401  makes edgesam_bench importable without installing it
from official import OFFICIAL, Official, sha256, versions

from edgesam_bench.aspects import one_of_each_aspect
from edgesam_bench.cases import Case, cases_of
from edgesam_bench.objects import find_objects
from edgesam_bench.pictures import Picture, read_manifest, spread
from edgesam_bench.reference import (
    Answer,
    Reference,
    ReferencePicture,
    write_answers,
)

MIN_AREA = 32


@dataclass(frozen=True)
class Amount:
    """How much to ask.

    Attributes:
        pictures: of every subset; None is one of each aspect, three in all.
        objects: most of one picture; each gets a box.
        beyond_boxes: objects of one picture that get the other kinds of prompt, too.
    """

    pictures: int | None
    objects: int
    beyond_boxes: int


FULL = Amount(pictures=3, objects=4, beyond_boxes=2)
QUICK = Amount(pictures=1, objects=2, beyond_boxes=1)
ASPECTS = Amount(pictures=None, objects=3, beyond_boxes=1)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=sorted(OFFICIAL))
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path, help="folder of manifest.csv")
    parser.add_argument("--out", required=True, type=Path, help="folder to leave the answers in")
    fewer = parser.add_mutually_exclusive_group()
    fewer.add_argument("--quick", action="store_true", help="one picture per subset, fewer cases")
    fewer.add_argument("--aspects", action="store_true", help="a square, a wide and a high picture")
    arguments = parser.parse_args()

    started = time.perf_counter()
    amount = QUICK if arguments.quick else ASPECTS if arguments.aspects else FULL
    everything = read_manifest(arguments.data)
    quick = chosen(everything, QUICK)
    pictures = chosen(everything, amount)
    model = OFFICIAL[arguments.model](arguments.checkpoint)
    arguments.out.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for number, picture in enumerate(pictures, start=1):
        of_picture = cases_of(
            picture.name,
            find_objects(
                picture.labels(),
                instances=picture.instances,
                most=amount.objects,
                min_area=MIN_AREA,
            ),
            kinds=model.kinds,
            most_beyond_boxes=amount.beyond_boxes,
        )
        embedding = model.embed(picture.pixels())
        write_answers(arguments.out, picture.name, embedding, answer_all(model, of_picture))
        cases += of_picture
        print(f"{number}/{len(pictures)} {picture.name}: {len(of_picture)} cases", flush=True)

    Reference(
        folder=arguments.out,
        model=model.name,
        recipe=model.recipe,
        checkpoint_sha256=sha256(arguments.checkpoint),
        versions=versions(*model.packages),
        pictures=[
            describe(picture, arguments.data, quick=picture in quick) for picture in pictures
        ],
        cases=cases,
    ).write()
    print(f"{len(cases)} cases on {len(pictures)} pictures, {time.perf_counter() - started:.0f} s")
    return 0


def chosen(pictures: Sequence[Picture], amount: Amount) -> Sequence[Picture]:
    """Those to ask about."""
    if amount.pictures is None:
        return one_of_each_aspect(pictures)
    return spread(pictures, amount.pictures)


def answer_all(model: Official, cases: list[Case]) -> list[Answer]:
    """In order, since a case may feed back what an earlier one found."""
    answers: dict[str, Answer] = {}
    for case in cases:
        fed_back = answers[case.mask_input].logits[0] if case.mask_input else None
        answers[case.name] = model.answer(**case.prompt(fed_back))
    return list(answers.values())


def describe(picture: Picture, data: Path, *, quick: bool) -> ReferencePicture:
    """The picture as the reference's readers need it."""
    height, width = picture.pixels().shape[:2]
    return ReferencePicture(
        name=picture.name,
        file=picture.image.relative_to(data).as_posix(),
        sha256=sha256(picture.image),
        modality=picture.modality,
        subset=picture.subset,
        height=height,
        width=width,
        quick=quick,
    )


if __name__ == "__main__":
    sys.exit(main())
