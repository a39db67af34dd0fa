"""Float16 against float32, with an engine whose masks follow the embedding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgesam
from edgesam import EmbeddingCache, Sam
from edgesam.bundle import Bundle
from edgesam.embedding import ImageSide
from edgesam.engines import Graphs, Prompts
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam_bench import half


class Edge(FakeEngine):
    """Masks are the columns up to a number that is in the embedding, and that float16 rounds."""

    def __init__(self, column: float) -> None:
        self.column = column

    def open(self, *_: Graphs, **__: Any) -> FakeSession:
        column = self.column

        class Session(FakeSession):
            def encode(self, image: NDArray[np.float32], *more: Any) -> NDArray[np.float32]:
                return np.full((1, 256, 64, 64), column, np.float32)

            def all_four(
                self, side: ImageSide, prompts: Prompts
            ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
                logits, iou = super().all_four(side, prompts)
                logits[:] = np.where(np.arange(256) < side[0][0, 0, 0, 0] - 2048, 10, -10)
                return logits, iou

        return Session()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    labels = np.zeros((256, 256), np.uint8)
    labels[20:60, 20:60] = 1
    labels[100:160, 100:160] = 2
    Image.fromarray(labels).save(folder / "m.png")
    Image.fromarray(labels * 100).save(folder / "i.png")
    (folder / "manifest.csv").write_text(
        "image,mask,modality,subset,labels,source,source_path,licence\n"
        "i.png,m.png,ct,invented,1|2,,,\n"
    )
    return folder


@pytest.mark.parametrize(("column", "expected"), [(2048.0 + 100, 1.0), (2048.0 + 101, 0.990099)])
def test_from_pictures_to_figures(
    make_bundle: Callable[..., Bundle],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
    column: float,
    expected: float,
) -> None:
    """Above 2048 float16 has even numbers only: 2149 becomes 2148, a column less of 101."""
    sam = edgesam.load(make_bundle().path, engine=Edge(column))
    monkeypatch.setattr(edgesam, "load", lambda _: sam)
    out = tmp_path / "half.json"
    assert half.main(["--models", "mobile-sam", "--data", str(data), "--out", str(out)]) == 0
    found = json.loads(out.read_text())["models"]["mobile-sam"]
    assert {kind: figures["n"] for kind, figures in found.items()} == {
        "box": 2,
        "point": 2,
        "three of a point": 6,
        "all": 10,
    }
    assert found["all"] == {"n": 10, "mean": expected, "p5": expected, "worst": expected}


def test_rounded_is_what_the_cache_gives(
    make_bundle: Callable[..., Bundle], noise: Callable[..., NDArray[np.uint8]]
) -> None:
    sam: Sam = edgesam.load(make_bundle().path, engine=Edge(2048 + 101.3))
    ours = half.rounded(sam, sam.embed(noise(9, 9)))
    theirs = EmbeddingCache(half=True).embed(sam, noise(9, 9))
    np.testing.assert_array_equal(ours.array, theirs.array)
    np.testing.assert_array_equal(ours.side[0], theirs.side[0])
    assert ours.array.flat[0] == 2150


def test_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert half.main(["--data", str(tmp_path)]) == 1
    assert "manifest.csv" in capsys.readouterr().err
