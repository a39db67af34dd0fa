"""Compares automatic masks with the official generator's, picture by picture, and times both.

    python -m edgesam_bench.everything_parity --out bench/results/everything.json

Both sides stay in memory and work in turn, never at once: the official one in a process of its own
(``bench/reference/run_everything.py``). Knows how to ask, judge and tell; which masks belong
together is its neighbour's business.
Exit codes: 0 the limits hold, 1 nothing could be compared, 2 usage, 3 a limit was broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam import machine
from edgesam.automatic import everything
from edgesam.bundle import find_bundle
from edgesam.checkpoint_store import checkpoint_path
from edgesam.commands import GATE
from edgesam.errors import EdgeSamError, ParityError
from edgesam.models import find
from edgesam.runs import Runs
from edgesam_bench.matching import best_pairs, iou_of_pairs
from edgesam_bench.official_generator import SCRIPT, OfficialGenerator
from edgesam_bench.pictures import DEFAULT_FOLDER, Picture, read_manifest, spread
from edgesam_bench.results import write_results

MODEL = "mobile-sam"
SAME = 0.98  # IoU from which two masks are the same


@dataclass(frozen=True)
class Limits:
    """What all pictures together must keep.

    Attributes:
        same: lowest share of masks, of the larger set, whose partner has an IoU of at least SAME.
        count: highest sum of the pictures' differences in number, as a share of the official sum.
        seconds: highest ratio of our seconds to the official ones.
    """

    same: float = 0.98
    count: float = 0.01
    seconds: float = 0.45

    def failures(self, results: Sequence[Result]) -> list[str]:
        """One line for each limit that does not hold."""
        official = sum(r.official for r in results)
        if not official:
            return ["the official generator found nothing: nothing was compared"]
        found = []
        if (same := share(results)) < self.same:
            found.append(f"{same:.4f} of masks have an IoU of {SAME} or more, limit {self.same}")
        apart = sum(abs(r.official - r.ours) for r in results) / official
        if apart > self.count:
            found.append(f"the counts differ by {apart:.4f}, limit {self.count}")
        if (ratio := slowness(results)) > self.seconds:
            found.append(f"{ratio:.3f} of the official time, limit {self.seconds}")
        return found


@dataclass(frozen=True)
class Result:
    """One picture.

    Attributes:
        official: number of the official generator's masks.
        ours: number of ours.
        ious: of the matched pairs, falling; what is left over in the larger set has no partner.
        official_seconds: from decoded pixels to records.
        our_seconds: the same.
    """

    picture: str
    modality: str
    subset: str
    height: int
    width: int
    official: int
    ours: int
    ious: list[float]
    official_seconds: float
    our_seconds: float

    @property
    def same(self) -> int:
        """Number of masks that have their match."""
        return sum(iou >= SAME for iou in self.ious)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (EdgeSamError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.out and not options.out.absolute().parent.is_dir():
        raise ParityError(f"cannot write {options.out}: there is no folder {options.out.parent}")
    parameters = {
        "points_per_side": options.points_per_side,
        "crop_n_layers": options.crop_n_layers,
        "min_mask_region_area": options.min_mask_region_area,
    }
    pictures = chosen(read_manifest(options.data), options.pictures)
    if not pictures:
        raise ParityError(f"{options.data} lists no pictures")
    checkpoint = options.checkpoint or checkpoint_path(find(MODEL))
    bundle = find_bundle(MODEL)
    results = []
    with (
        OfficialGenerator(options.reference_python, SCRIPT, checkpoint) as official,
        edgesam.load(bundle.path, device="cpu") as sam,
    ):
        if official.about["checkpoint_sha256"] != bundle.manifest.checkpoint_sha256:
            raise ParityError(f"{checkpoint} is not the checkpoint of the bundle {bundle.path}")
        official.records(pictures[0].image, {"points_per_side": 1})  # both sides warm up
        everything(sam, pictures[0].pixels(), points_per_side=1)
        for picture in pictures:
            results.append(compared(sam, official, picture, parameters))
            print(line(results[-1]), flush=True)
        engine = sam.engine
    failures = Limits().failures(results)
    report = {
        "processor": machine.processor(),
        "versions": machine.versions(),
        "official": official.about,
        "engine": engine,
        "parameters": parameters,
        "limits": {"iou": SAME, **asdict(Limits())},
        "all": summary(results),
        "pictures": [{**asdict(r), "same": r.same} for r in results],
        "failures": failures,
    }
    print(json.dumps(report["all"]))
    for failure in failures:
        print(f"FAILED  {failure}")
    if options.out:
        write_results(options.out, report)
    return GATE if failures else 0


def chosen(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """The same few pictures each time: one of each modality first, then of other subsets."""
    of_subsets = spread(pictures, 1)
    firsts = list({picture.modality: picture for picture in reversed(of_subsets)}.values())[::-1]
    others = [picture for picture in of_subsets if picture not in firsts]
    return [*firsts, *others][:count]


def compared(
    sam: edgesam.Sam, official: OfficialGenerator, picture: Picture, parameters: dict[str, Any]
) -> Result:
    """One picture through both, one after the other."""
    theirs, their_seconds = official.records(picture.image, parameters)
    pixels = picture.pixels()
    started = time.perf_counter()
    ours = everything(sam, pixels, **parameters, output_mode="uncompressed_rle")
    our_seconds = time.perf_counter() - started
    iou = iou_of_pairs([mask_of(r) for r in theirs], [mask_of(r) for r in ours])
    pairs = best_pairs(iou)
    return Result(
        picture=picture.name,
        modality=picture.modality,
        subset=picture.subset,
        height=pixels.shape[0],
        width=pixels.shape[1],
        official=len(theirs),
        ours=len(ours),
        ious=sorted((round(float(iou[pair]), 6) for pair in pairs), reverse=True),
        official_seconds=their_seconds,
        our_seconds=our_seconds,
    )


def mask_of(record: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(H, W) bool of a record in run lengths."""
    rle = record["segmentation"]
    height, width = rle["size"]
    return Runs((height, width), np.array(rle["counts"], np.int32)).mask()


def share(results: Sequence[Result]) -> float:
    """Of all masks, counted in the larger set of each picture, those that have their match."""
    return sum(r.same for r in results) / max(sum(max(r.official, r.ours) for r in results), 1)


def slowness(results: Sequence[Result]) -> float:
    """Our seconds over the official ones, all pictures together."""
    return sum(r.our_seconds for r in results) / sum(r.official_seconds for r in results)


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The figures that the limits judge, and the range of the pictures' own ratios."""
    ratios = [r.our_seconds / r.official_seconds for r in results]
    return {
        "pictures": len(results),
        "official": sum(r.official for r in results),
        "ours": sum(r.ours for r in results),
        "same": round(share(results), 5),
        "worst": min((iou for r in results for iou in r.ious), default=None),
        "official_seconds": round(sum(r.official_seconds for r in results), 1),
        "our_seconds": round(sum(r.our_seconds for r in results), 1),
        "ratio": round(slowness(results), 4),
        "ratio_of_pictures": [round(of(ratios), 4) for of in (min, statistics.median, max)],
    }


def line(result: Result) -> str:
    """One picture, for people."""
    worst = f"{result.ious[-1]:.4f}" if result.ious else "-"
    return (
        f"{result.picture:24} official {result.official:4} ours {result.ours:4}"
        f"  same {result.same:4}  worst {worst}  official {result.official_seconds:7.2f} s"
        f"  ours {result.our_seconds:7.2f} s"
        f"  ratio {result.our_seconds / result.official_seconds:.3f}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_bench.everything_parity",
        description="Compare automatic masks with those of segment-anything's generator.",
    )
    parser.add_argument(
        "--reference-python",
        type=Path,
        default=Path(".venv-reference/bin/python"),
        help="of the environment that bench/reference/README.md describes",
    )
    parser.add_argument("--checkpoint", type=Path, help="mobile_sam.pt; else the pulled one")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of manifest.csv")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--crop-n-layers", type=int, default=0)
    parser.add_argument("--min-mask-region-area", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
