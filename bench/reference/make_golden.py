"""Makes the golden files of the tests with the official code and weights. Knows no engine of ours.

    python bench/reference/make_golden.py --mobile-sam mobile_sam.pt \\
        --lite-medsam lite_medsam.pth --out tests/golden

Two pictures are pydicom's own test files, rendered by :func:`ct_small` and :func:`mr_small`; the
others are drawn from seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import pydicom
from official import OFFICIAL, Official, sha256, versions
from pydicom.data import get_testdata_file

from edgesam_bench.cases import Case
from edgesam_bench.golden import (
    PHANTOMS,
    Golden,
    GoldenPicture,
    describe,
    fed_back,
    phantom,
    sampled,
    top,
)
from edgesam_bench.reference import Answer


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mobile-sam", required=True, type=Path)
    parser.add_argument("--lite-medsam", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    for name, checkpoint in (
        ("mobile-sam", arguments.mobile_sam),
        ("lite-medsam", arguments.lite_medsam),
    ):
        file = arguments.out / f"official_{name.replace('-', '_')}.npz"
        golden = make(OFFICIAL[name](checkpoint), checkpoint)
        golden.write(file)
        print(f"{file}: {len(golden.cases)} cases, {file.stat().st_size} bytes")
    return 0


def make(model: Official, checkpoint: Path) -> Golden:
    """One model's golden answers."""
    stored = {"ct_small": ct_small(), "mr_small": mr_small()}
    golden = Golden(
        model=model.name,
        checkpoint_sha256=sha256(checkpoint),
        versions=versions(*model.packages),
        stored=stored,
        pictures={},
        cases=boxes() if model.name == "lite-medsam" else all_prompts(),
        answers=[],
    )
    pictures: dict[str, GoldenPicture] = {}
    answers: dict[str, Answer] = {}
    for name in dict.fromkeys(case.picture for case in golden.cases):
        pixels = golden.pixels(name)
        pictures[name] = describe(pixels, model.embed(pixels))
        for case in golden.cases:
            if case.picture == name:
                answer = model.answer(**case.prompt(fed_back(case)))
                answers[case.name] = dataclasses.replace(answer, logits=sampled(answer.logits))
    return dataclasses.replace(
        golden, pictures=pictures, answers=[answers[case.name] for case in golden.cases]
    )


def boxes() -> list[Case]:
    """A box on every picture, and a second one that does not fit what it is around."""
    cases = [Case(f"{name}/box", name, "box", box=top(name).box) for name in PHANTOMS]
    cases += [
        Case("wide/loose", "wide", "box", box=(0, 0, 319, 239)),
        Case("high/other", "high", "box", box=phantom("high").ellipses[0].box),
        Case("ct_small/box", "ct_small", "box", box=(14, 33, 113, 98)),
        Case("mr_small/box", "mr_small", "box", box=(12, 9, 51, 55)),
    ]
    return cases


def all_prompts() -> list[Case]:
    """Every kind of prompt at least twice, on pictures of every shape."""
    wide, high, small, long, large = (top(name) for name in PHANTOMS)
    inside, outside = (wide.x, wide.y), (3, 236)
    return [
        *boxes(),
        Case("wide/point", "wide", "point", points=(inside,), labels=(1,)),
        Case("wide/points", "wide", "points", points=(inside, outside), labels=(1, 0)),
        Case("wide/logits", "wide", "logits", mask_input="wide"),
        Case("high/point", "high", "point", points=((high.x, high.y),), labels=(1,)),
        Case("high/box+logits", "high", "box+logits", box=high.box, mask_input="high"),
        Case(
            "small/box+point",
            "small",
            "box+point",
            points=((small.x, small.y),),
            labels=(1,),
            box=small.box,
        ),
        Case(
            "long/points+logits",
            "long",
            "points+logits",
            points=((long.x, long.y), (399, 99)),
            labels=(1, 0),
            mask_input="long",
        ),
        Case("large/point", "large", "point", points=((large.x, large.y),), labels=(1,)),
        Case("ct_small/point", "ct_small", "point", points=((40, 70),), labels=(1,)),
        Case("mr_small/points", "mr_small", "points", points=((30, 32), (1, 1)), labels=(1, 0)),
    ]


def ct_small() -> np.ndarray:
    """CT_small.dcm, Hounsfield units -160..240 cut to whole steps of 0..255; (128, 128) uint8."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    units = dataset.pixel_array.astype(np.int64) * int(dataset.RescaleSlope)
    units += int(dataset.RescaleIntercept)
    return (np.clip(units + 160, 0, 400) * 255 // 400).astype(np.uint8)


def mr_small() -> np.ndarray:
    """MR_small.dcm, its own range cut to whole steps of 0..255; (64, 64) uint8."""
    dataset = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    values = dataset.pixel_array.astype(np.int64)
    values -= values.min()
    return (values * 255 // values.max()).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
