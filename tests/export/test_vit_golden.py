"""Bundles of random weights, run, against stored answers of the official networks: no PyTorch.

TinyViT in its two official sizes, and a small ViT: its grid of 8 x 8 tokens is padded for windows
of 3 x 3 in the first block, the second attends to the whole grid. SAM's full sizes run in ``make
parity`` (edgesam_bench.vit_parity).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgesam.bundle import Bundle
from edgesam.engines import Graphs, MaskPrompts, Prompts
from edgesam.engines.ort.engine import OnnxRuntime
from edgesam.manifest import ROLES
from edgesam_bench.figures import relative_l2
from edgesam_bench.random_golden import (
    SEED,
    embedding_samples,
    logits_samples,
    network_picture,
    network_prompts,
    read_random_golden,
)
from edgesam_bench.random_weights import GENTLE, PEAKED, TINY_VIT, Recipe, random_state_dict
from edgesam_bench.vit_controls import CONTROLS
from edgesam_export import export_bundle
from edgesam_export.graphs import vit

Weights = Mapping[str, NDArray[Any]]
Export = Callable[..., Bundle]
Answers = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

FOLDER = Path(__file__).parent.parent / "golden"

# Measured with ONNX Runtime: at most 3e-6. A wrong epsilon or a lost bias costs 1e-3 and more.
TOLERANCE = 2e-5

# File, model, recipe, profile, architecture.
GOLDENS = [
    ("tiny_lite_medsam", "lite-medsam", TINY_VIT, "lite-medsam", "tiny-vit"),
    ("tiny_mobile_sam", "mobile-sam", TINY_VIT, "sam", "tiny-vit"),
    ("tiny_sam_vit_peaked", "sam-vit-test", PEAKED, "sam", "vit"),
    ("tiny_sam_vit_gentle", "sam-vit-test", GENTLE, "sam", "vit"),
]


@pytest.fixture
def export(tmp_path: Path, save_safetensors: Callable[[Path, Weights], Path]) -> Export:
    """From weights to a bundle, the way a user's checkpoint goes."""

    def run(weights: Weights, profile: str = "sam") -> Bundle:
        checkpoint = save_safetensors(tmp_path / "random.safetensors", weights)
        return export_bundle(checkpoint, tmp_path / "bundle", profile=profile)

    return run


def weights_of(model: str, recipe: Recipe) -> dict[str, NDArray[Any]]:
    shapes = json.loads((FOLDER / "shapes.json").read_text("utf-8"))[model]
    return random_state_dict({key: tuple(shape) for key, shape in shapes.items()}, SEED, recipe)


def embed(bundle: Bundle) -> NDArray[np.float32]:
    graph = bundle.path / bundle.variants["fp32"].image_encoder.file
    found: NDArray[np.float32] = onnxruntime.InferenceSession(graph).run(
        None, {"image": network_picture(bundle.manifest.image_size)}
    )[0]
    return found


def decode(bundle: Bundle, embedding: NDArray[np.float32]) -> Answers:
    """Logits and predicted IoU of every prompt."""
    variant = bundle.variants["fp32"]
    graphs = Graphs(**{role: bundle.path / variant.graph(role).file for role in ROLES})
    session = OnnxRuntime().open(graphs, precision="fp32", device="cpu", threads=None)
    low = 4 * embedding.shape[-1]
    answers = {}
    for name, prompt in network_prompts(bundle.manifest.image_size, low).items():
        masks = MaskPrompts.none(low)
        if prompt.mask is not None:
            masks = MaskPrompts(prompt.mask[None, None], np.ones(1, np.float32))
        side = session.image_side(embedding, masks)
        asked = Prompts(prompt.coords[None], prompt.labels[None])
        logits, scores = session.decode(side, asked, range(4))
        answers[name] = (logits[0], scores[0])
    return answers


@pytest.mark.parametrize(
    ("file", "model", "recipe", "profile", "architecture"), GOLDENS, ids=[row[0] for row in GOLDENS]
)
def test_it_computes_what_the_official_network_does(
    file: str, model: str, recipe: Recipe, profile: str, architecture: str, export: Export
) -> None:
    golden = read_random_golden(FOLDER / f"{file}.npz")
    bundle = export(weights_of(model, recipe), profile)
    assert (bundle.manifest.architecture, bundle.manifest.image_size) == (architecture, golden.side)
    embedding = embed(bundle)
    assert relative_l2(golden.embedding, embedding_samples(embedding)) < TOLERANCE
    assert np.linalg.norm(embedding.astype(np.float64)) == pytest.approx(golden.norm, rel=TOLERANCE)
    answers = decode(bundle, embedding)
    assert set(answers) == set(golden.logits)
    for name, (logits, scores) in answers.items():
        assert relative_l2(golden.logits[name], logits_samples(logits)) < TOLERANCE, name
        assert np.abs(golden.scores[name] - scores).max() < TOLERANCE, name


def test_working_in_blocks_changes_nothing(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = read_random_golden(FOLDER / "tiny_sam_vit_peaked.npz")
    weights = weights_of(golden.model, PEAKED)
    whole = export(weights).variants["fp32"].image_encoder.sha256
    monkeypatch.setattr(vit, "_BLOCK", 1)  # each row by itself: nearly what a large grid gets
    bundle = export(weights)
    assert bundle.variants["fp32"].image_encoder.sha256 != whole
    assert relative_l2(golden.embedding, embedding_samples(embed(bundle))) < TOLERANCE


@pytest.mark.parametrize("control", sorted(CONTROLS))
def test_a_mistake_would_show(control: str, export: Export) -> None:
    golden = read_random_golden(FOLDER / "tiny_sam_vit_peaked.npz")
    bundle = export(CONTROLS[control](weights_of(golden.model, PEAKED)))
    embedding = embed(bundle)
    assert relative_l2(golden.embedding, embedding_samples(embedding)) > 0.5
    for name, (logits, _) in decode(bundle, embedding).items():
        assert relative_l2(golden.logits[name], logits_samples(logits)) > 0.2, name
