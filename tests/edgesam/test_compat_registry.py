"""sam_model_registry: which bundle a program's checkpoint leads to, and where it then runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgesam import EngineUnavailable, ModelNotFound, Sam
from edgesam.bundle import MANIFEST, Bundle
from edgesam.compat import (
    SamModel,
    SamPredictor,
    build_sam,
    build_sam_vit_h,
    sam_model_registry,
)
from edgesam.engines.fake import FakeSession
from edgesam.home import bundle_path
from edgesam.manifest import BundleFile, Manifest, Variant
from edgesam.models import MODELS

FILE = BundleFile("graph.onnx", "1" * 64, 1)
SPEC = MODELS["sam-vit-b"]
ANY = Manifest(
    model=SPEC.name,
    architecture=SPEC.architecture,
    image_size=SPEC.image_size,
    grid=64,
    profile=SPEC.profile,
    profile_assumed=False,
    checkpoint_sha256=SPEC.sha256,
    licence=SPEC.licence,
    builder="edgesam 0",
    working_memory=0,
    variants={"fp32": Variant(FILE, FILE, FILE, weights=None, passport=None)},
)


class Session(FakeSession):
    """On a device of a name."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.description = f"fake:{device}"
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Loads:
    """Stands in for ``load``: remembers what was asked for, has no CUDA unless told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.devices = ["cpu"]
        self.sessions: list[Session] = []

    def __call__(self, source: Any, **options: Any) -> Sam:
        self.asked.append((source, options))
        if options["device"] not in self.devices:
            raise EngineUnavailable(f"no device {options['device']!r}")
        self.sessions.append(Session(options["device"]))
        return Sam(Bundle(Path("nowhere"), ANY), "fp32", self.sessions[-1], None)


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    loads = Loads()
    monkeypatch.setattr("edgesam.compat.registry.load", loads)
    monkeypatch.setattr("edgesam.compat.model.load", loads)
    return loads


def bundle_from(checkpoint: Path, name: str) -> Path:
    """A bundle in the home folder that says it was exported from that file."""
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    folder = bundle_path(name)
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(replace(ANY, checkpoint_sha256=sha256).to_json(), "utf-8")
    return folder


class TestCheckpoint:
    @pytest.mark.parametrize(
        ("key", "model"),
        [
            ("default", "sam-vit-h"),
            ("vit_h", "sam-vit-h"),
            ("vit_l", "sam-vit-l"),
            ("vit_b", "sam-vit-b"),
            ("vit_t", "mobile-sam"),
        ],
    )
    def test_none_is_the_known_model(self, loads: Loads, key: str, model: str) -> None:
        sam_model_registry[key]()
        sam_model_registry[key](None)
        assert loads.asked == [(model, {"device": "cpu"})] * 2

    def test_there_are_no_other_types(self) -> None:
        assert sorted(sam_model_registry) == ["default", "vit_b", "vit_h", "vit_l", "vit_t"]
        assert build_sam is build_sam_vit_h

    def test_a_name_or_a_folder(self, loads: Loads, tmp_path: Path) -> None:
        for checkpoint in ("medsam", tmp_path, str(tmp_path)):
            sam_model_registry["vit_b"](checkpoint=checkpoint)
        assert [source for source, _ in loads.asked] == ["medsam", tmp_path, str(tmp_path)]

    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_file_runs_through_its_bundle(self, loads: Loads, tmp_path: Path, kind: Any) -> None:
        mine, other = tmp_path / "mine.pth", tmp_path / "other.pth"
        mine.write_bytes(b"mine")
        other.write_bytes(b"other")
        bundle_from(other, "a-first")
        folder = bundle_from(mine, "b-second")
        (bundle_path("a-broken")).mkdir()
        sam_model_registry["vit_b"](checkpoint=kind(mine))
        assert [source for source, _ in loads.asked] == [folder]

    def test_a_file_without_a_bundle(self, loads: Loads, tmp_path: Path) -> None:
        mine = tmp_path / "mine.pth"
        mine.write_bytes(b"mine")
        with pytest.raises(ModelNotFound) as caught:
            sam_model_registry["vit_b"](checkpoint=str(mine))
        assert f"edgesam export {mine} -o {bundle_path('mine')}" in str(caught.value)
        assert "pull" not in str(caught.value)
        assert loads.asked == []

    def test_a_known_file_without_a_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine = tmp_path / "mine.pth"
        mine.write_bytes(b"mine")
        monkeypatch.setattr("edgesam.compat.registry.sha256_of", lambda _: SPEC.sha256)
        with pytest.raises(ModelNotFound, match="edgesam pull sam-vit-b"):
            sam_model_registry["vit_b"](checkpoint=mine)

    def test_a_file_that_is_not_there(self, loads: Loads) -> None:
        with pytest.raises(ModelNotFound, match=r"sam_vit_b\.pth is no file.*sam-vit-b"):
            sam_model_registry["vit_b"](checkpoint="sam_vit_b.pth")
        assert loads.asked == []


class TestDevice:
    def test_it_stays_where_it_is(self, loads: Loads) -> None:
        model = sam_model_registry["vit_b"]()
        assert model.to(device="cpu") is model
        assert model.to("cpu") is model
        assert model.device == "cpu"
        assert len(loads.asked) == 1

    def test_it_raises_where_it_cannot_run(self, loads: Loads) -> None:
        model = sam_model_registry["vit_b"]()
        before = model.sam
        with pytest.raises(EngineUnavailable, match="cuda"):
            model.to(device="cuda")
        assert model.sam is before
        assert (model.device, loads.sessions[0].closed) == ("cpu", False)

    @pytest.mark.parametrize("device", ["cuda", "cuda:0"])
    def test_it_moves_in_place(self, loads: Loads, device: str) -> None:
        class Device:  # torch.device's only face here
            def __str__(self) -> str:
                return device

        loads.devices.append("cuda")
        model = sam_model_registry["vit_b"](checkpoint="medsam")
        predictor = SamPredictor(model)
        assert model.to(Device()) is model
        assert loads.asked[-1] == ("medsam", {"variant": "fp32", "device": "cuda"})
        assert predictor.device == model.device == "cuda"
        assert [session.closed for session in loads.sessions] == [True, False]
        assert model.to(device="cuda:0") is model
        assert len(loads.asked) == 2

    def test_a_sam_of_ones_own_stays_ones_own(self, loads: Loads) -> None:
        session = Session("cpu")
        model = SamModel(Sam(Bundle(Path("nowhere"), ANY), "fp32", session, None))
        with pytest.raises(EngineUnavailable, match=r"edgesam\.load\(\.\.\., device='cuda'\)"):
            model.to("cuda")
        assert (loads.asked, session.closed) == ([], False)
