"""Accuracy from pictures to a page, with a model that fills its boxes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgesam
from edgesam.manifest import BundleFile, Variant
from edgesam_bench import accuracy


class BoxFiller:
    """Every mask is its box."""

    def __enter__(self) -> BoxFiller:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def embed(self, image: edgesam.Image) -> Any:
        return image.to_rgb8()[0].shape[:2]

    def segment_batch(self, embedding: Any, prompts: list[edgesam.Prompt]) -> list[edgesam.Mask]:
        masks = []
        for prompt in prompts:
            x0, y0, x1, y1 = (int(v) for v in prompt.corners)  # type: ignore[union-attr]
            array = np.zeros(embedding, bool)
            array[y0 : y1 + 1, x0 : x1 + 1] = True
            masks.append(edgesam.Mask(array, 1.0, np.zeros((256, 256), np.float32)))
        return masks


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    labels = np.zeros((40, 50), np.uint8)
    labels[2:12, 3:23] = 1  # fills its box
    labels[20:30, 20:30] = 2
    labels[25:30, 25:30] = 0  # three quarters of its box
    Image.fromarray(labels).save(tmp_path / "m.png")
    Image.fromarray(labels * 100).save(tmp_path / "i.png")
    (tmp_path / "manifest.csv").write_text(
        "image,mask,modality,subset,labels,source,source_path,licence\n"
        "i.png,m.png,ct,invented,1|2,,,\n"
    )
    graphs = Variant(*(BundleFile(name, name, 1) for name in "esd"), None, None)
    bundle = SimpleNamespace(variant=lambda _: ("fp32", graphs))
    monkeypatch.setattr(accuracy, "find_bundle", lambda _: bundle)
    monkeypatch.setattr(edgesam, "load", lambda *_, **__: BoxFiller())
    return tmp_path


def test_figures_and_page(data: Path) -> None:
    table, out = data / "accuracy.md", data / "accuracy.json"
    arguments = ["--models", "mobile-sam", "--data", str(data)]
    assert accuracy.main([*arguments, "--table", str(table), "--out", str(out)]) == 0
    report = json.loads(out.read_text("utf-8"))
    found = report["models"]["mobile-sam"]
    assert found["by_modality"]["ct"] == found["by_subset"]["ct/invented"] == found["all"]
    assert found["all"] == {"pictures": 1, "n": 2, "mean": 0.875, "p5": 0.7625, "worst": 0.75}
    assert "| ct | 1 | 2 | 0.875 | 0.762 | 0.750 |" in table.read_text("utf-8")


def test_absent_pictures_are_said_to_be_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--data", str(tmp_path)]) == 1
    assert "manifest.csv does not exist" in capsys.readouterr().err
