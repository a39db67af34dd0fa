"""ONNX Runtime on a real GPU: the same masks as on the CPU. Skipped, with the reason, elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Prompt
from edgesam.embedding import on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.ort import cuda
from edgesam.engines.ort.engine import OnnxRuntime

Noise = Callable[..., NDArray[np.uint8]]


def test_cuda_gives_the_cpus_masks(
    lite_graphs: Graphs, noise: Noise, caplog: pytest.LogCaptureFixture
) -> None:
    """Plainly, as it is recorded, and recorded, with plain runs in between."""
    skip_without_cuda()
    engine = OnnxRuntime()
    gpu = engine.open(lite_graphs, precision="fp32", device="cuda", threads=None)
    cpu = engine.open(lite_graphs, precision="fp32", device="cpu", threads=None)
    for seed in range(5):
        image = noise(1, 3, 256, 256, seed=seed).astype(np.float32) / 255
        # Few enough to be recorded: the last four shapes of a click are known.
        for count, points, tokens in (1, 2, (0,)), (3, 2, (1, 2, 3)), (1, 6 + seed, (0,)):
            coords = np.linspace(60, 200, count * points * 2, dtype=np.float32)
            labels = np.ones((count, points), np.int32)
            prompts = Prompts(coords.reshape(count, points, 2), labels)
            wanted, found = (answer(one, image, prompts, tokens) for one in (cpu, gpu))
            for ours, theirs in zip(found, wanted, strict=True):
                scale = float(np.abs(theirs).max())
                np.testing.assert_allclose(ours, theirs, atol=1e-3 * scale)
    gpu.close()
    assert "CUDA graph" not in caplog.text, "something could not be recorded"


def test_what_comes_again_is_recorded(
    lite_bundle: Path, noise: Noise, caplog: pytest.LogCaptureFixture
) -> None:
    """Pictures and clicks as the product has them: prepared, encoded and finished on the card, the
    first two runs of each kind plainly, the later ones as CUDA graphs.
    """
    skip_without_cuda()
    with (
        edgesam.load(lite_bundle, engine="onnxruntime", device="cuda") as gpu,
        edgesam.load(lite_bundle, engine="onnxruntime", device="cpu") as cpu,
    ):
        for seed in range(5):
            picture = noise(90, 70, seed=seed)
            there, here = gpu.embed(picture), cpu.embed(picture)
            scale = float(np.abs(here.array).max())
            np.testing.assert_allclose(there.array, here.array, atol=1e-3 * scale)
            for prompt in (Prompt.box(5, 10, 40, 50), Prompt.box(1, 2, 30, 33)):
                found, wanted = gpu.segment(there, prompt), cpu.segment(here, prompt)
                scale = float(np.abs(wanted.logits).max())
                np.testing.assert_allclose(found.logits, wanted.logits, atol=2e-3 * scale)
                assert np.mean(found.array != wanted.array) < 0.01
    assert "without a CUDA graph" not in caplog.text


def skip_without_cuda() -> None:
    if "cuda" not in OnnxRuntime().devices():
        pytest.skip("this onnxruntime has no CUDA: it needs onnxruntime-gpu")
    if (reason := cuda.missing()) is not None:
        pytest.skip(reason)


def answer(
    session: Session, image: NDArray[np.float32], prompts: Prompts, tokens: tuple[int, ...]
) -> list[NDArray[np.float32]]:
    embedding = session.encode(image)
    side = session.image_side(embedding, MaskPrompts.none(256))
    return [on_host(embedding), *session.decode(side, prompts, tokens)]
