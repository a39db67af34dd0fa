"""Makes the golden files of random weights with the official networks. Knows no checkpoint.

python bench/reference/make_random_golden.py --out tests/golden
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official import OFFICIAL, Official
from official_medsam import OfficialMedSam

from edgesam_bench.random_golden import (
    SEED,
    NetworkPrompt,
    RandomGolden,
    embedding_samples,
    logits_samples,
    network_picture,
    network_prompts,
)
from edgesam_bench.random_weights import GENTLE, PEAKED, TINY_VIT, Recipe, random_state_dict

# Model, recipe, file. SAM itself has none: `make parity` asks its networks, which are large.
GOLDENS = (
    ("lite-medsam", TINY_VIT, "tiny_lite_medsam"),
    ("mobile-sam", TINY_VIT, "tiny_mobile_sam"),
    ("sam-vit-test", PEAKED, "tiny_sam_vit_peaked"),
    ("sam-vit-test", GENTLE, "tiny_sam_vit_gentle"),
)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    shapes = {
        name: shapes_of(official)
        for name, official in sorted(OFFICIAL.items())
        if official is not OfficialMedSam  # whose shapes are SAM ViT-B's
    }
    for name, recipe, stem in GOLDENS:
        file = arguments.out / f"{stem}.npz"
        make(OFFICIAL[name], shapes[name], recipe).write(file)
        print(f"{file}: {file.stat().st_size} bytes")
    (arguments.out / "shapes.json").write_text(
        json.dumps(shapes, separators=(",", ":")).replace("],", "],\n") + "\n", encoding="utf-8"
    )
    return 0


def shapes_of(official: type[Official]) -> dict[str, list[int]]:
    """Key -> shape of the official state dict, in its order."""
    return {key: list(value.shape) for key, value in official.build().state_dict().items()}


@torch.no_grad()
def make(official: type[Official], shapes: dict[str, list[int]], recipe: Recipe) -> RandomGolden:
    """One network's answers."""
    of_keys = {key: tuple(shape) for key, shape in shapes.items()}
    weights = random_state_dict(of_keys, SEED, recipe)
    network = official({key: torch.from_numpy(value) for key, value in weights.items()}).model
    embedding = network.image_encoder(torch.from_numpy(network_picture(official.side)))
    logits: dict[str, np.ndarray] = {}
    scores: dict[str, np.ndarray] = {}
    for name, prompt in network_prompts(official.side, 4 * embedding.shape[-1]).items():
        masks, quality = network.mask_decoder.predict_masks(
            embedding, network.prompt_encoder.get_dense_pe(), *encoded(network, prompt)
        )
        logits[name] = logits_samples(masks[0].numpy())
        scores[name] = quality[0].numpy()
    return RandomGolden(
        model=official.name,
        side=official.side,
        embedding=embedding_samples(embedding.numpy()),
        norm=float(np.linalg.norm(embedding.double().numpy())),
        logits=logits,
        scores=scores,
    )


def encoded(network: torch.nn.Module, prompt: NetworkPrompt) -> tuple[torch.Tensor, torch.Tensor]:
    """Through the official prompt encoder, which adds the padding point itself."""
    corner = prompt.labels >= 2
    point = (prompt.labels == 0) | (prompt.labels == 1)
    sparse, dense = network.prompt_encoder(
        points=(
            torch.from_numpy(prompt.coords[point])[None],
            torch.from_numpy(prompt.labels[point])[None],
        )
        if point.any()
        else None,
        boxes=torch.from_numpy(prompt.coords[corner])[None] if corner.any() else None,
        masks=None if prompt.mask is None else torch.from_numpy(prompt.mask)[None, None],
    )
    return sparse, dense


if __name__ == "__main__":
    sys.exit(main())
