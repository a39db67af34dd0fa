"""Plans of a bundle ahead of time, and ``edgesam export --plan``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam import EngineUnavailable
from edgesam.bundle import Bundle
from edgesam.commands import main
from edgesam.engines.tensorrt import ahead
from edgesam.engines.tensorrt.ahead import ahead_of_time, plans_ahead
from edgesam.engines.tensorrt.flavour import CLASSIC, RTX, Flavour
from edgesam.engines.tensorrt.making import Target, plan_for
from edgesam.engines.tensorrt.plans import facts_in

Files = Callable[[str, str], Path]


class TestTarget:
    def test_all_but_turing(self, rtx: None) -> None:
        target = ahead_of_time()
        assert target.flavour is RTX
        assert "7.5" not in target.capabilities
        assert {"8.6", "8.9", "12.0"} <= set(target.capabilities)
        assert target.is_ahead

    def test_by_name_in_one_order(self, rtx: None) -> None:
        assert ahead_of_time(["12.0", "7.5", "8.6"]).capabilities == ("7.5", "8.6", "12.0")

    @pytest.mark.parametrize("wrong", ["9.0", "86", "", "sm_86"])
    def test_one_that_there_is_none_for(self, rtx: None, wrong: str) -> None:
        with pytest.raises(EngineUnavailable, match=rf"compute capability {wrong}; it does for: 7"):
            ahead_of_time(["8.6", wrong])

    def test_with_classic_tensorrt_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Flavour, "is_installed", lambda self: self is CLASSIC)
        with pytest.raises(EngineUnavailable) as error:
            ahead_of_time()
        assert str(error.value) == (
            "plans are built ahead of time by TensorRT-RTX alone, which is not installed; classic "
            "TensorRT builds them at the first load, on the GPU that runs them. "
            'Try: pip install "edgesam[tensorrt-rtx]"'
        )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """In the place of builds: graph and precision of each."""
    found: list[tuple[str, str]] = []

    def write_ahead(graph: Path, precision: str, target: Target, folder: Path, tell: Any) -> Path:
        assert folder.is_dir()
        found.append((graph.name.split(".")[0], precision))
        return folder / f"{graph.stem}.plan"

    monkeypatch.setattr(ahead, "write_ahead", write_ahead)
    return found


def test_each_graph_of_the_variants(
    rtx: None,
    make_bundle: Callable[..., Bundle],
    add_variant: Callable[..., Bundle],
    written: list[tuple[str, str]],
) -> None:
    bundle = add_variant(make_bundle(), "fp16", None)
    paths = plans_ahead(bundle, [], lambda _: None)
    assert {path.parent for path in paths} == {bundle.path / "tensorrt"}
    roles = ["image_encoder", "image_side", "mask_decoder"]
    assert written == [(role, name) for name in ("fp32", "fp16") for role in roles]


class TestCommand:
    @pytest.fixture
    def checkpoint(self, lite_checkpoint: Path) -> list[str]:
        return ["export", str(lite_checkpoint), "--profile", "lite-medsam"]

    def test_it_writes_them(
        self,
        rtx: None,
        checkpoint: list[str],
        tmp_path: Path,
        written: list[tuple[str, str]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = tmp_path / "bundle"
        words = [*checkpoint, "-o", str(out), "--plan", "--plan-for", "8.6", "--json"]
        assert main(words) == 0
        said = json.loads(capsys.readouterr().out)
        assert len(said["plans"]) == 3
        assert {Path(path).parent for path in said["plans"]} == {out / "tensorrt"}
        assert len(written) == 3
        assert main([*checkpoint, "-o", str(out), "--json"]) == 0, "over a bundle with plans"
        assert "plans" not in json.loads(capsys.readouterr().out)

    def test_it_says_what_is_missing_before_it_exports(
        self,
        checkpoint: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(Flavour, "is_installed", lambda self: False)
        assert main([*checkpoint, "-o", str(tmp_path / "bundle"), "--plan"]) == 1
        assert "plans are built ahead of time by TensorRT-RTX alone" in capsys.readouterr().err
        assert not (tmp_path / "bundle").exists()

    def test_cards_without_plans(
        self, checkpoint: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([*checkpoint, "-o", str(tmp_path / "bundle"), "--plan-for", "8.6"]) == 2
        assert "--plan-for is about plans: add --plan" in capsys.readouterr().err


@pytest.mark.weights
def test_for_real(rtx: None, lite_files: Files, tmp_path: Path) -> None:
    """The picture's side of LiteMedSAM in fp16, the smallest; a card that it serves finds it."""
    from edgesam.engines.tensorrt.making import write_ahead

    shipped = lite_files("image_side", "fp16")
    graph = tmp_path / shipped.name  # a plan beside the other tests' would serve them, too
    graph.write_bytes(shipped.read_bytes())
    folder = tmp_path / "tensorrt"
    folder.mkdir()
    target = ahead_of_time()
    told: list[str] = []
    path = write_ahead(graph, "fp16", target, folder, told.append)
    assert dict(facts_in(folder))[path].capabilities == target.capabilities
    assert write_ahead(graph, "fp16", target, folder, told.append) == path
    built = len(told)
    card = Target(RTX, target.version, "RTX 4090", "8.9", "13.0", ("8.9",))
    assert len(plan_for(graph, "fp16", card, told.append)) > 4 << 20
    assert len(told) == built, "nothing was built"
