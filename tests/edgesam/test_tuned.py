"""What tune found is believed while bundle, processor and versions are the same, and no longer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgesam
from edgesam import EdgeSamError, loading, machine
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine, FakeSession
from edgesam.tuned import Choice, remember, remembered

Make = Callable[..., Bundle]

CHOICE = Choice("onnxruntime", "fp32", 3)


class TestMemory:
    def test_it_is_kept(self, make_bundle: Make, own_home: Path) -> None:
        manifest = make_bundle().manifest
        assert remembered(manifest) is None
        path = remember(manifest, CHOICE)
        assert path.parent == own_home / "tuned"
        assert remembered(manifest) == CHOICE
        other = replace(CHOICE, threads=1)
        assert remember(manifest, other) == path
        assert remembered(manifest) == other

    def test_of_another_bundle_nothing_is_known(self, make_bundle: Make) -> None:
        remember(make_bundle().manifest, CHOICE)
        assert remembered(make_bundle("two", content="other").manifest) is None
        assert remembered(make_bundle("three").manifest) == CHOICE, "the same graphs elsewhere"

    @pytest.mark.parametrize(
        ("name", "changed"),
        [
            ("versions", {"edgesam": "9.9"}),
            ("versions", {}),
            ("processor", "another, 2 cores"),
            ("instruction_sets", ("avx2", "avx512_vnni")),
        ],
    )
    def test_another_machine_or_version(
        self,
        make_bundle: Make,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        name: str,
        changed: Any,
    ) -> None:
        manifest = make_bundle().manifest
        remember(manifest, CHOICE)
        monkeypatch.setattr(machine, name, lambda: changed)
        with caplog.at_level(logging.INFO, "edgesam"):
            assert remembered(manifest) is None
        assert "another machine, bundle or version" in caplog.text

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "{}", '{"choice": {}}', '{"choice": {"engine": "x"}}', "\xff"]
    )
    def test_a_damaged_memory_is_none(self, make_bundle: Make, text: str) -> None:
        manifest = make_bundle().manifest
        remember(manifest, CHOICE).write_text(text, "latin-1")
        assert remembered(manifest) is None

    def test_a_variant_that_is_gone(self, make_bundle: Make) -> None:
        manifest = make_bundle().manifest
        remember(manifest, replace(CHOICE, variant="int8"))
        assert remembered(manifest) is None

    def test_a_home_that_cannot_be_written(self, make_bundle: Make, own_home: Path) -> None:
        own_home.write_text("a file")
        with pytest.raises(EdgeSamError, match="cannot be made"):
            remember(make_bundle().manifest, CHOICE)
        assert remembered(make_bundle("two").manifest) is None


class Opened(FakeEngine):
    """Remembers how it was opened."""

    def __init__(self, *precisions: str) -> None:
        self.how: dict[str, Any] = {}
        self._precisions = precisions

    def precisions(self, device: str) -> tuple[str, ...]:
        return self._precisions

    def open(self, *_: Any, **how: Any) -> FakeSession:
        self.how = how
        return super().open(*_, **how)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Whatever is chosen by name is this one."""
    engine = Opened("fp32")
    monkeypatch.setattr(loading, "choose", lambda name, device: engine)
    return engine


class TestLoading:
    def test_auto_takes_it(self, make_bundle: Make, engine: Opened) -> None:
        bundle = make_bundle()
        edgesam.load(bundle.path)
        assert engine.how["threads"] is None
        remember(bundle.manifest, CHOICE)
        edgesam.load(bundle.path)
        assert (engine.how["threads"], engine.how["precision"]) == (3, "fp32")

    @pytest.mark.parametrize(
        "asked",
        [{"engine": "onnxruntime"}, {"variant": "fp32"}, {"device": "cuda"}, {"threads": 1}],
    )
    def test_what_is_asked_for_by_name_goes_before(
        self, make_bundle: Make, engine: Opened, asked: dict[str, Any]
    ) -> None:
        bundle = make_bundle()
        remember(bundle.manifest, CHOICE)
        edgesam.load(bundle.path, **asked)
        assert engine.how["threads"] == asked.get("threads")

    def test_a_changed_bundle_is_tuned_no_more(self, make_bundle: Make, engine: Opened) -> None:
        remember(make_bundle().manifest, CHOICE)
        edgesam.load(make_bundle("two", content="new").path)
        assert engine.how["threads"] is None


def test_without_tune_it_is_fp32(make_bundle: Make, add_variant: Callable[..., Bundle]) -> None:
    """However fast another is: its masks are others, and nobody measured it here."""
    bundle = add_variant(make_bundle(), "int8", None)
    engine = Opened("int8", "fp32")
    assert edgesam.load(bundle.path, engine=engine).variant == "fp32"
    assert engine.how["precision"] == "fp32"


IOU = {"mean": 0.99, "p5": 0.95, "worst": 0.9}
PASSPORT = {"mask_iou": IOU, "gate": IOU}


@pytest.mark.parametrize(("report", "taken"), [(PASSPORT, "int8"), (None, "fp32")])
def test_a_variant_that_was_tuned_is_used_while_its_passport_holds(
    make_bundle: Make,
    add_variant: Callable[..., Bundle],
    engine: Opened,
    report: dict[str, Any] | None,
    taken: str,
) -> None:
    bundle = add_variant(make_bundle(), "int8", report)
    remember(bundle.manifest, replace(CHOICE, variant="int8"))
    assert edgesam.load(bundle.path).variant == taken
    assert engine.how["precision"] == taken
    assert engine.how["threads"] == (3 if report else None)
