"""On a card: each variant's masks are those of ONNX Runtime on the CPU. Skipped without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Prompt, Sam
from edgesam.engines import ENGINES
from edgesam.engines.tensorrt.plans import facts_in
from edgesam.postprocess import mask_frame
from edgesam.preprocess import decoder_inputs
from edgesam_kernels.cpu import finish

Files = Callable[[str, str], Path]
ENGINE = "tensorrt"


@pytest.fixture(scope="session")
def card() -> None:
    """Asked for before weights are: an export takes longer than a skip."""
    if (reason := ENGINES[ENGINE].available()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Two bright disks on grey."""
    y, x = np.mgrid[:240, :320]
    found = np.full((240, 320), 60, np.uint8)
    found[(x - 100) ** 2 + (y - 120) ** 2 < 50**2] = 200
    found[(x - 230) ** 2 + (y - 90) ** 2 < 35**2] = 140
    return found


def opened(files: Files, engine: str, variant: str) -> Sam:
    return edgesam.load(files("image_side", variant).parent, engine=engine, variant=variant)


def iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.weights
@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_masks(lite_files: Files, picture: NDArray[np.uint8], variant: str) -> None:
    boxes = [Prompt.box(48, 68, 152, 172), Prompt.box(193, 53, 267, 127)]
    with (
        opened(lite_files, "onnxruntime", variant) as cpu,
        opened(lite_files, ENGINE, variant) as gpu,
    ):
        there, here = gpu.embed(picture), cpu.embed(picture)
        many = boxes * 3  # more than one run takes
        found, wanted = gpu.segment_batch(there, many), cpu.segment_batch(here, many)
        for a, b in zip(found, wanted, strict=True):
            assert b.array.any()
            assert iou(a.array, b.array) > 0.95
        own = cpu.segment(cpu.embedding(there.array, there.fit, there.mapping), boxes[0])
        assert iou(own.array, found[0].array) > 0.95, "its embedding is one for other engines, too"
        again = gpu.segment(gpu.embed(picture), boxes[0])
        np.testing.assert_array_equal(again.array, found[0].array)


@pytest.mark.weights
@pytest.mark.usefixtures("card")
def test_prompts_of_every_size(lite_files: Files, noise: Callable[..., NDArray[np.uint8]]) -> None:
    """Logits of fp32, from no point (a mask alone) to as many as plans take."""
    from edgesam.engines.protocol import MaskPrompts, Prompts

    with (
        opened(lite_files, "onnxruntime", "fp32") as cpu,
        opened(lite_files, ENGINE, "fp32") as gpu,
    ):
        embedding = cpu.embed(noise(64, 64))
        draw = np.random.default_rng(0)
        for count, points, masked in [(1, 0, 1), (1, 1, 0), (4, 2, 0), (3, 2, 3), (1, 64, 0)]:
            masks = MaskPrompts(
                draw.standard_normal((masked, 1, 256, 256)).astype(np.float32),
                np.ones(masked, np.float32),
            )
            prompts = Prompts(
                (draw.random((count, points, 2)) * 256).astype(np.float32),
                draw.integers(0, 2, (count, points)).astype(np.int32),
                masks if masked else None,
            )
            wanted, _ = cpu.decode(embedding, prompts, (0, 1, 2))
            found, _ = gpu.decode(embedding, prompts, (0, 1, 2))
            np.testing.assert_allclose(found, wanted, atol=0.05)


@pytest.mark.weights
@pytest.mark.usefixtures("card")
def test_clicks_again_and_again(
    lite_files: Files,
    noise: Callable[..., NDArray[np.uint8]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On two pictures in turn: the first run plainly, the later ones as a CUDA graph."""
    with opened(lite_files, ENGINE, "fp16") as gpu:
        manifest, first = gpu.manifest, {}
        embeddings = [gpu.embed(noise(241, 323, seed=seed)) for seed in (0, 1)]
        for _ in range(4):
            for number, embedding in enumerate(embeddings):
                sides = embedding.fit, manifest.profile
                box = [Prompt.box(48, 68, 152, 172)]
                inputs = decoder_inputs(box, *sides, manifest.low_resolution)
                frame = mask_frame(manifest.low_resolution, *sides)
                answer = gpu.finish(embedding, inputs, (0,), frame)
                assert answer.masks is not None
                expected = finish(answer.logits[0], frame)
                for name in ("bits", "area", "boxes", "above", "below"):
                    found = getattr(answer.masks, name)
                    np.testing.assert_array_equal(found, getattr(expected, name), err_msg=name)
                before = first.setdefault(number, answer.logits)
                np.testing.assert_allclose(answer.logits, before, atol=0.05)
        assert not np.allclose(first[0], first[1], atol=0.05)
    assert "without a CUDA graph" not in caplog.text


@pytest.mark.weights
@pytest.mark.usefixtures("card")
def test_plans_are_built_once(lite_files: Files, caplog: pytest.LogCaptureFixture) -> None:
    opened(lite_files, ENGINE, "fp16").close()
    caplog.clear()
    opened(lite_files, ENGINE, "fp16").close()
    assert "is built now" not in caplog.text
    folder = lite_files("image_side", "fp16").parent / "tensorrt"
    assert any(facts.gpu for _, facts in facts_in(folder))
