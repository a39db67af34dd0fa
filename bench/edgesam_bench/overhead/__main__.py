"""Runs both programs in turn, A B A B, and gives the ratios; knows nothing of what they do.

python -m edgesam_bench.overhead --out bench/results/overhead.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from edgesam import machine
from edgesam.bundle import find_bundle
from edgesam.commands import GATE
from edgesam.errors import ParityError
from edgesam.manifest import ROLES
from edgesam_bench.overhead import task
from edgesam_bench.phantoms import draw
from edgesam_bench.results import write_results

HERE = Path(task.__file__).parent
MODELS = ("lite-medsam", "mobile-sam")
# The script resizes and normalises a little differently (Pillow's box filter): areas, in parts.
_SAME_WORK = 0.02
LIMITS = {"start_to_mask": 1.15, "click": 1.10, "peak_memory": 1.10, "import_seconds": 0.2}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m edgesam_bench.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "processor": machine.processor(),
        "versions": machine.versions(),
        "rounds": options.rounds,
        "limits": LIMITS,
        "import_seconds": _imports(options.rounds),
        "models": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        Image.fromarray(draw(512, 512, colour=False, seed=1).pixels).save(picture)
        for model in MODELS:
            report["models"][model] = _compare(model, picture, options.rounds)
    _tell(report)
    if options.out:
        write_results(options.out, report)
    return GATE if _above_limits(report) else 0


def _compare(model: str, picture: Path, rounds: int) -> dict[str, Any]:
    bundle = find_bundle(model)
    _, variant = bundle.variant("auto")
    graphs = [str(bundle.verified(variant.graph(role))) for role in ROLES]
    bare = [str(HERE / "bare.py"), str(picture), *graphs, model]
    ours = [str(HERE / "embedded.py"), str(picture), str(bundle.path)]
    runs: dict[str, list[dict[str, Any]]] = {"bare": [], "edgesam": []}
    _run(bare), _run(ours)  # warms the page cache for both
    for _ in range(rounds):
        runs["bare"].append(_run(bare))
        runs["edgesam"].append(_run(ours))
    bare_area, our_area = runs["bare"][0]["area"], runs["edgesam"][0]["area"]
    if abs(our_area - bare_area) > _SAME_WORK * bare_area:
        raise ParityError(
            f"{model}: not the same work: the script's first mask has {bare_area:.0f} pixels, "
            f"edgesam's {our_area:.0f}"
        )
    figures: dict[str, Any] = {}
    for figure in ("start_to_mask", "click", "peak_memory"):
        pairs = list(zip(runs["edgesam"], runs["bare"], strict=True))
        ratios = [ours[figure] / bare[figure] for ours, bare in pairs]
        figures[figure] = {
            "bare": statistics.median(run[figure] for run in runs["bare"]),
            "edgesam": statistics.median(run[figure] for run in runs["edgesam"]),
            "ratio": {
                "median": statistics.median(ratios),
                "min": min(ratios),
                "max": max(ratios),
            },
        }
    return figures


def _run(command: list[str]) -> dict[str, float]:
    start = time.time()
    done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return {
        "start_to_mask": result["first_mask"] - start,
        "click": statistics.median(result["clicks"]),
        "peak_memory": result["peak_kib"] or float("nan"),
        "area": result["area"],
    }


def _imports(rounds: int) -> dict[str, float]:
    """Seconds in a fresh interpreter: edgesam alone, with what it loads at first use, and numpy."""
    statements = {
        "import numpy": "import numpy",
        "import edgesam": "import edgesam",
        "from edgesam import load, read": "from edgesam import load, read",
    }
    seconds: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds + 1):
        for name, statement in statements.items():
            code = (
                f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter()-t)"
            )
            seconds[name].append(float(subprocess.check_output([sys.executable, "-c", code])))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def _above_limits(report: dict[str, Any]) -> bool:
    ratios = [
        figures[name]["ratio"]["median"] > LIMITS[name]
        for figures in report["models"].values()
        for name in figures
    ]
    return any(ratios) or report["import_seconds"]["import edgesam"] > LIMITS["import_seconds"]


def _tell(report: dict[str, Any]) -> None:
    print(f"{report['processor']}, {report['rounds']} rounds, medians; ratio edgesam / bare")
    for model, figures in report["models"].items():
        for name, figure in figures.items():
            ratio = figure["ratio"]
            medians = f"bare {figure['bare']:10.4g}  edgesam {figure['edgesam']:10.4g}"
            print(
                f"{model:12} {name:14} {medians}"
                f"  ratio {ratio['median']:.3f} ({ratio['min']:.3f}..{ratio['max']:.3f})"
                f"  limit {LIMITS[name]}"
            )
    for statement, seconds in report["import_seconds"].items():
        print(f"{statement}: {seconds:.3f} s")


if __name__ == "__main__":
    sys.exit(main())
