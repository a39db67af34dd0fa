"""What a run asks for by name, and what becomes of a peer that fails at the very end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgesam.bundle import Bundle
from edgesam.errors import ParityError
from edgesam.tuned import Choice, remember
from edgesam_bench.speed.rounds import Found
from edgesam_bench.speed.run import Request, _agreements, _as_tuned

FOUND = Choice("openvino", "fp32", 3)


def request_for(bundle: Bundle, **asked: Any) -> Request:
    usual: dict[str, Any] = {
        "model": str(bundle.path),
        "engine": "auto",
        "device": "auto",
        "variant": "auto",
        "threads": None,
        "peers": (),
        "rounds": None,
        "quick": True,
        "image": None,
        "python": None,
        "graphs": Path("graphs"),
    }
    return Request(**{**usual, **asked})


def test_what_was_tuned_is_asked_for_by_name(make_bundle: Callable[..., Bundle]) -> None:
    """A process with an empty home of its own would choose otherwise."""
    bundle = make_bundle()
    assert _as_tuned(request_for(bundle), bundle) == request_for(bundle)
    remember(bundle.manifest, FOUND)
    tuned = _as_tuned(request_for(bundle), bundle)
    assert (tuned.engine, tuned.variant, tuned.threads) == ("openvino", "fp32", 3)
    assert _as_tuned(request_for(bundle, threads=1), bundle).threads == 1
    named = request_for(bundle, engine="onnxruntime")
    assert _as_tuned(named, bundle) == named


class Masked:
    """Its mask is all of a picture of 1 x 8 pixels."""

    def __init__(self, name: str, fails: bool = False) -> None:
        self.name = name
        self._fails = fails

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        if self._fails:
            raise ParityError(f"{self.name} gave no answer: killed")
        return {"mask": "/w==", "size": [1, 8]}

    def once(self, environment: Mapping[str, str]) -> dict[str, Any]:
        return {}


def test_a_peer_that_fails_when_its_mask_is_asked_for() -> None:
    found = Found()
    for name in ("edgesam", "torch", "other"):
        found.add("click", name, [0.1])
    peers = [Masked("torch", fails=True), Masked("other")]
    selections = {"torch": "single", "other": "best"}
    assert _agreements(Masked("edgesam"), peers, selections, found) == {"other": 1.0}
    assert found.failed == {"torch": "failed: torch gave no answer: killed"}
    assert list(found.samples["click"]) == ["edgesam", "other"]
    with pytest.raises(ParityError, match="edgesam gave no answer"):
        _agreements(Masked("edgesam", fails=True), peers[1:], selections, found)
