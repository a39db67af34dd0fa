from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam.bundle import Bundle
from edgesam.errors import ParityError
from edgesam_bench.gpu import subjects
from edgesam_bench.gpu.subjects import prepared, save_safetensors
from edgesam_export.checkpoint import read_checkpoint


def test_weights_are_read_again_as_they_were(tmp_path: Path) -> None:
    state = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([7], np.int64)}
    again = read_checkpoint(save_safetensors(tmp_path / "w.safetensors", state))
    for key, array in state.items():
        np.testing.assert_array_equal(np.asarray(again[key]), array)


def test_a_model_that_is_not_here_has_random_weights(
    make_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is told, with what to do."""
    asked = []

    @contextmanager
    def exported(checkpoint: Path, *more: Any) -> Iterator[Path]:
        asked.append(read_checkpoint(checkpoint))
        yield make_bundle().path

    monkeypatch.setattr(subjects, "exported", exported)
    monkeypatch.setattr(subjects, "_shapes", lambda model: {"a.weight": (2, 3)})
    with prepared("mobile-sam", {}, tmp_path) as subject:
        assert (subject.weights, subject.checkpoint) == ("random", None)
        assert subject.doubt is not None
        assert "edgesam pull mobile-sam" in subject.doubt
        assert subject.state is not None
        np.testing.assert_array_equal(asked[0]["a.weight"], subject.state["a.weight"])


def test_nor_has_it_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParityError, match="root"), prepared("mobile-sam", {}, tmp_path):
        pass


def test_a_bundle_that_was_named(make_bundle: object, tmp_path: Path) -> None:
    bundle: Bundle = make_bundle()  # type: ignore[operator]
    with prepared("mobile-sam", {"mobile-sam": bundle.path}, tmp_path) as subject:
        assert subject.bundle.path == bundle.path
        assert subject.weights == "official"
