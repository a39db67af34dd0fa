"""ONNX Runtime on a real GPU: the same masks as on the CPU. Skipped, with the reason, elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam import EngineUnavailable
from edgesam.embedding import on_host
from edgesam.engines import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.ort.engine import OnnxRuntime

Noise = Callable[..., NDArray[np.uint8]]


def test_cuda_gives_the_cpus_masks(
    lite_graphs: Graphs, noise: Noise, caplog: pytest.LogCaptureFixture
) -> None:
    """Plainly, as it is recorded, and recorded, with plain runs in between."""
    engine = OnnxRuntime()
    if "cuda" not in engine.devices():
        pytest.skip("this onnxruntime has no CUDA: it needs onnxruntime-gpu")
    try:
        gpu = engine.open(lite_graphs, precision="fp32", device="cuda", threads=None)
    except EngineUnavailable as error:
        pytest.skip(str(error))
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


def answer(
    session: Session, image: NDArray[np.float32], prompts: Prompts, tokens: tuple[int, ...]
) -> list[NDArray[np.float32]]:
    embedding = session.encode(image)
    side = session.image_side(embedding, MaskPrompts.none(256))
    return [on_host(embedding), *session.decode(side, prompts, tokens)]
