"""PyTorch as a contender, on arrays that only look like its tensors: CI has no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgesam.bundle import Bundle
from edgesam_bench.gpu import torch_peer
from edgesam_bench.gpu.contender import TOGETHER, material
from edgesam_bench.gpu.subjects import Subject
from edgesam_bench.gpu.torch_peer import TorchPeer, Way

from .conftest import small


class Tensor(np.ndarray):  # type: ignore[type-arg]
    def to(self, *_: object) -> Tensor:
        return self

    def clone(self) -> Tensor:
        return self.copy()


class Network:
    """Keeps the pictures that its encoder was given."""

    mask_decoder = None

    def __init__(self) -> None:
        self.seen: list[Tensor] = []
        self.image_encoder = Encoder(self.seen)

    def to(self, *_: object) -> Network:
        return self


class Encoder:
    def __init__(self, seen: list[Tensor]) -> None:
        self._seen = seen

    def to(self, *_: object) -> Encoder:
        return self

    def __call__(self, pictures: Tensor) -> Tensor:
        self._seen.append(pictures)
        return pictures


class Torch(SimpleNamespace):
    """Attributes:
    compiled: what, and how.
    """

    float16, bfloat16, __version__ = "half", "brain", "0"

    def __init__(self) -> None:
        super().__init__(compiled=[], no_grad=nullcontext, cat=self._cat)

    def from_numpy(self, array: Any) -> Tensor:
        return array.view(Tensor)  # type: ignore[no-any-return]

    @staticmethod
    def _cat(tensors: Any) -> Tensor:
        return np.concatenate(tensors).view(Tensor)

    def autocast(self, *_: object, **more: object) -> Any:
        return nullcontext()

    def compile(self, module: Any, **how: Any) -> Any:
        self.compiled.append((module, how))
        return module


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    monkeypatch.setattr(torch_peer, "network", lambda *_: made)
    return made


@pytest.fixture
def open_peer(make_bundle: Callable[..., Bundle], network: Network) -> Callable[..., TorchPeer]:
    subject = Subject("mobile-sam", make_bundle(), "official", None, None)

    def start(torch: Torch, compiled: bool) -> TorchPeer:
        way = Way("peer", "bf16", compiled=compiled, fused=False)
        return TorchPeer(torch, "cuda", way, subject, small(material(frames=1)))

    return start


def test_several_pictures_are_one_run_of_its_encoder(
    open_peer: Callable[..., TorchPeer], network: Network
) -> None:
    peer = open_peer(Torch(), compiled=False)
    network.seen.clear()
    peer.encode_batch()
    peer.encode()
    together, alone = network.seen
    assert together.shape == (TOGETHER, *alone.shape[1:])
    assert len({picture.tobytes() for picture in together}) == TOGETHER
    np.testing.assert_array_equal(together[:1], alone)


def test_what_is_compiled_for_several_pictures_is_for_their_number(
    open_peer: Callable[..., TorchPeer], network: Network
) -> None:
    """What torch.compile makes for any number is slower: nobody should win against that."""
    torch = Torch()
    open_peer(torch, compiled=True)
    hows = [how for module, how in torch.compiled if module is network.image_encoder]
    assert hows == [{"mode": "reduce-overhead", "dynamic": False}]
