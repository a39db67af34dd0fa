"""Random weights of a ViT in the official layout, as torch.save writes them. Asks no network.

    python bench/reference/random_checkpoint.py --model sam-vit-b --recipe peaked \\
        --out checkpoint.pth [--control no-rel-pos]

The same bytes each time, so that answers stay valid when the file was deleted in between.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official import OFFICIAL

from edgesam_bench.random_golden import SEED
from edgesam_bench.random_weights import VIT_RECIPES, random_state_dict
from edgesam_bench.vit_controls import CONTROLS


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=sorted(OFFICIAL))
    parser.add_argument("--recipe", required=True, choices=sorted(VIT_RECIPES))
    parser.add_argument("--control", choices=sorted(CONTROLS), help="a mistake made on purpose")
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    with torch.device("meta"):  # the shapes alone
        network = OFFICIAL[arguments.model].build()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    weights = random_state_dict(shapes, SEED, VIT_RECIPES[arguments.recipe])
    if arguments.control:
        weights = CONTROLS[arguments.control](weights)
    save({key: torch.from_numpy(value) for key, value in weights.items()}, arguments.out)
    return 0


def save(state: dict[str, torch.Tensor], file: Path) -> None:
    """Whole or not at all; through a stream, since the file's name would become part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    with unfinished.open("wb") as stream:
        torch.save(state, stream)
    unfinished.replace(file)


if __name__ == "__main__":
    sys.exit(main())
