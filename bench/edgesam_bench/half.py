"""What keeping embeddings as float16 does to masks: IoU with those of float32. Knows no PyTorch.

    python -m edgesam_bench.half --out bench/results/half.json

Three pictures of every data set; a box around each object of their label maps (the 8 largest of a
picture, none below 32 pixels) and, of models that take points, the point in its middle with all
four masks. Each is asked of the embedding as it is, and as ``EmbeddingCache(half=True)`` gives it.
Exit codes: 0 done, 1 nothing could be measured, 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam import Embedding, Prompt, Sam, machine
from edgesam.errors import EdgeSamError
from edgesam_bench.figures import Figures, iou, summarise
from edgesam_bench.objects import LabelledObject, find_objects, middle
from edgesam_bench.pictures import DEFAULT_FOLDER, Picture, read_manifest, spread
from edgesam_bench.results import write_results

PER_SUBSET = 3
MOST_OBJECTS = 8
MIN_AREA = 32

Found = dict[str, list[float]]
"""IoU by kind of mask."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m edgesam_bench.half", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["lite-medsam", "mobile-sam"])
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    try:
        pictures = spread(read_manifest(options.data), PER_SUBSET)
        models = {name: measured(name, pictures) for name in options.models}
        report = {
            "versions": machine.versions(),
            "processor": machine.processor(),
            "pictures": len(pictures),
            "models": models,
        }
        if options.out:
            write_results(options.out, report)
    except (EdgeSamError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, kinds in models.items():
        for kind, figures in kinds.items():
            print(name, kind, figures)
    return 0


def measured(model: str, pictures: Sequence[Picture]) -> dict[str, dict[str, float]]:
    """The figures of one model by kind of mask, and of all together."""
    found: Found = {}
    with edgesam.load(model) as sam:
        for number, picture in enumerate(pictures, start=1):
            objects = find_objects(
                picture.labels(),
                instances=picture.instances,
                most=MOST_OBJECTS,
                min_area=MIN_AREA,
            )
            compare(sam, sam.embed(edgesam.read(picture.image)), objects, found)
            print(f"{model} {number}/{len(pictures)} {picture.name}", file=sys.stderr)
    everything = [value for values in found.values() for value in values]
    return {kind: figures_of(values) for kind, values in {**found, "all": everything}.items()}


def compare(sam: Sam, whole: Embedding, objects: Sequence[LabelledObject], found: Found) -> None:
    """Add the IoU of every mask of both embeddings."""
    half = rounded(sam, whole)
    takes_points = "point" in sam.manifest.profile.prompt_kinds
    for thing in objects:
        asked = {"box": (Prompt.box(*thing.box), False)}
        if takes_points:
            point = Prompt.point(*middle(thing.mask))
            asked |= {"point": (point, False), "three of a point": (point, True)}
        for kind, (prompt, multimask) in asked.items():
            pairs = zip(*(masks(sam, e, prompt, multimask) for e in (half, whole)), strict=True)
            found.setdefault(kind, []).extend(iou(ours, theirs) for ours, theirs in pairs)


def masks(
    sam: Sam, embedding: Embedding, prompt: Prompt, multimask: bool
) -> list[NDArray[np.bool_]]:
    """One, or all three."""
    if multimask:
        return [mask.array for mask in sam.segment(embedding, prompt, multimask=True)]
    return [sam.segment(embedding, prompt).array]


def rounded(sam: Sam, whole: Embedding) -> Embedding:
    """The embedding as the cache would give it, without encoding twice."""
    array = whole.array.astype(np.float16).astype(np.float32)
    return sam.embedding(array, whole.fit, whole.mapping, whole.place)


def figures_of(values: Sequence[float]) -> dict[str, float]:
    """JSON-ready, six digits."""
    figures = summarise(values) or Figures(0, 0.0, 0.0, 0.0)
    return {name: round(value, 6) for name, value in asdict(figures).items()}


if __name__ == "__main__":
    sys.exit(main())
