"""Our graphs of random weights against stored answers of the official networks: no download."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgesam_bench.figures import relative_l2
from edgesam_bench.random_golden import (
    SEED,
    RandomGolden,
    embedding_samples,
    logits_samples,
    network_picture,
    network_prompts,
    read_random_golden,
)
from edgesam_bench.random_weights import random_state_dict
from edgesam_export.architecture import recognise
from edgesam_export.graphs import mask_decoder, tiny_vit

FOLDER = Path(__file__).parent.parent / "golden"

# Measured with ONNX Runtime: at most 3e-6. A wrong epsilon or a lost bias costs 1e-3 and more.
TOLERANCE = 2e-5

RUNNING_VAR = [1.2392700910568237, 0.9484086036682129]


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
def test_graphs_compute_what_the_official_network_does(model: str, tmp_path: Path) -> None:
    golden = read_random_golden(FOLDER / f"tiny_{model.replace('-', '_')}.npz")
    shapes = json.loads((FOLDER / "shapes.json").read_text("utf-8"))[model]
    weights = random_state_dict({key: tuple(shape) for key, shape in shapes.items()}, SEED)
    architecture, found = recognise({key: w.shape for key, w in weights.items()}, None, model)
    assert (architecture, found.image_size) == ("tiny-vit", golden.side)
    tiny_vit.write(found, weights, tmp_path / "encoder.onnx")
    mask_decoder.write(weights, golden.side, tmp_path / "decoder.onnx")

    encoder = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    embedding = encoder.run(None, {"image": network_picture(golden.side)})[0]
    assert relative_l2(golden.embedding, embedding_samples(embedding)) < TOLERANCE
    assert np.linalg.norm(embedding.astype(np.float64)) == pytest.approx(golden.norm, rel=TOLERANCE)
    decoder = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    for name, (logits, scores) in decode_all(decoder, embedding, golden).items():
        assert relative_l2(golden.logits[name], logits_samples(logits)) < TOLERANCE, name
        assert np.abs(golden.scores[name] - scores).max() < TOLERANCE, name


def decode_all(
    decoder: onnxruntime.InferenceSession, embedding: np.ndarray, golden: RandomGolden
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    answers = {}
    for name, prompt in network_prompts(golden.side).items():
        mask = np.zeros((256, 256), np.float32) if prompt.mask is None else prompt.mask
        logits, scores = decoder.run(
            ["low_res_masks", "iou_predictions"],
            {
                "image_embeddings": embedding,
                "point_coords": prompt.coords[None],
                "point_labels": prompt.labels[None],
                "mask_input": mask[None, None],
                "has_mask_input": np.array([prompt.mask is not None], np.float32),
            },
        )
        answers[name] = (logits[0], scores[0])
    assert set(answers) == set(golden.logits)
    return answers


def test_its_embeddings_neither_vanish_nor_blow_up() -> None:
    for file in FOLDER.glob("tiny_*.npz"):
        golden = read_random_golden(file)
        assert 0.5 < golden.embedding.std() < 2
        for logits in golden.logits.values():
            assert 1 < logits.std() < 20
            assert 0.1 < (logits > 0).mean() < 0.9


def test_weights_are_the_same_bits_everywhere() -> None:
    shapes = {"a.weight": (3, 2), "a.running_var": (2,), "a.num_batches_tracked": ()}
    weights = random_state_dict(shapes, seed=1)
    assert [float(v) for v in weights["a.running_var"]] == RUNNING_VAR
    assert weights["a.num_batches_tracked"].dtype == np.int64
    assert weights["a.weight"].dtype == np.float32


def test_a_key_keeps_its_values_when_others_change() -> None:
    alone = random_state_dict({"a.weight": (3, 2)}, seed=1)
    beside = random_state_dict({"b.weight": (9,), "a.weight": (3, 2)}, seed=1)
    other = random_state_dict({"a.weight": (3, 2)}, seed=2)
    assert np.array_equal(alone["a.weight"], beside["a.weight"])
    assert not np.array_equal(alone["a.weight"], other["a.weight"])
