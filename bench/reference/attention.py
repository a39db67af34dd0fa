"""How sharp a recipe's attention is and what it does to noise, in the official ViT; prints both.

    python bench/reference/attention.py --model sam-vit-b --recipe peaked --data ../shared/data

What :mod:`edgesam_bench.random_weights` says of its recipes was measured with this.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official import OFFICIAL

from edgesam_bench.aspects import one_of_each_aspect
from edgesam_bench.figures import relative_l2
from edgesam_bench.pictures import read_manifest
from edgesam_bench.random_golden import SEED
from edgesam_bench.random_weights import VIT_RECIPES, random_state_dict

NOISE = 1e-6  # relative to the input
_ROWS = 1 << 16  # of a softmax; they are enough for a mean


@torch.no_grad()
def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=sorted(OFFICIAL))
    parser.add_argument("--recipe", required=True, choices=sorted(VIT_RECIPES))
    parser.add_argument("--data", required=True, type=Path, help="folder of manifest.csv")
    arguments = parser.parse_args()
    official = OFFICIAL[arguments.model]
    with torch.device("meta"):  # the shapes alone
        shapes = {key: tuple(value.shape) for key, value in official.build().state_dict().items()}
    weights = random_state_dict(shapes, SEED, VIT_RECIPES[arguments.recipe])
    model = official({key: torch.from_numpy(value) for key, value in weights.items()})
    encoder = model.model.image_encoder
    seen: list[torch.Tensor] = []
    encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with watched() as entropies:
        exact = model.embed(one_of_each_aspect(read_manifest(arguments.data))[0].pixels())
    noise = torch.randn(seen[0].shape, generator=torch.Generator().manual_seed(0))
    noise *= NOISE * seen[0].norm() / noise.norm()
    change = relative_l2(exact, encoder(seen[0] + noise).numpy())
    print(f"{arguments.model} {arguments.recipe}: entropy, as a share of the uniform one's:")
    print("  blocks " + " ".join(f"{entropy:.2f}" for entropy in entropies))
    print(f"  mean {np.mean(entropies):.2f}; noise is amplified {change / NOISE:.1f}-fold")
    return 0


@contextmanager
def watched() -> Iterator[list[float]]:
    """The mean entropy of each softmax that runs, over the logarithm of its length."""
    entropies: list[float] = []
    softmax = torch.Tensor.softmax

    def noting(scores: torch.Tensor, dim: int) -> torch.Tensor:
        shares = softmax(scores, dim)
        rows = shares.reshape(-1, shares.shape[-1])
        some = rows[:: max(1, len(rows) // _ROWS)]
        entropy = torch.special.entr(some).sum(-1).mean()
        entropies.append(float(entropy) / math.log(rows.shape[-1]))
        return shares

    with mock.patch.object(torch.Tensor, "softmax", noting):
        yield entropies


if __name__ == "__main__":
    sys.exit(main())
