from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam.bundle import Bundle
from edgesam.errors import ModelNotFound
from edgesam_bench.gpu.subjects import prepared, save_safetensors
from edgesam_export.checkpoint import read_checkpoint


def test_weights_are_read_again_as_they_were(tmp_path: Path) -> None:
    state = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([7], np.int64)}
    again = read_checkpoint(save_safetensors(tmp_path / "w.safetensors", state))
    for key, array in state.items():
        np.testing.assert_array_equal(np.asarray(again[key]), array)


def test_a_model_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="edgesam pull"), prepared("mobile-sam", {}, tmp_path):
        pass


def test_a_bundle_that_was_named(make_bundle: object, tmp_path: Path) -> None:
    bundle: Bundle = make_bundle()  # type: ignore[operator]
    with prepared("mobile-sam", {"mobile-sam": bundle.path}, tmp_path) as subject:
        assert subject.bundle.path == bundle.path
        assert subject.weights == "official"
