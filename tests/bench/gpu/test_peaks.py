from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from edgesam.errors import ParityError
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.peaks import COPIED, measure, shares
from edgesam_bench.gpu.tools import Tools, wait_for_nothing

PEAKS = {"matmul": {"fp16": {"tflops": 100.0}}, "copy": {"gb_per_s": 1000.0}}


def test_shares_of_what_was_measured() -> None:
    found = shares(PEAKS, "fp16", macs=10**12, traffic=10**9, seconds=0.1)
    assert found == {"matmul": pytest.approx(0.2), "copy": pytest.approx(0.01)}
    assert shares(PEAKS, "int8", 10**12, 10**9, 0.1).keys() == {"copy"}
    assert shares(PEAKS, "fp16", None, 10**9, 0.1).keys() == {"copy"}
    assert shares({}, "fp16", 10**12, 10**9, 0.1) == {}


def test_no_share_in_no_time() -> None:
    with pytest.raises(ParityError, match="no time"):
        shares(PEAKS, "fp16", 1, 1, 0.0)


class Layer:
    """As much of a device as a copy takes; each takes the clock a millisecond."""

    def __init__(self) -> None:
        self.now, self.copied = 0.0, 0

    def stream(self) -> Layer:
        return self

    def synchronize(self) -> None:
        pass

    def memory(self, nbytes: int) -> SimpleNamespace:
        return SimpleNamespace(pointer=nbytes)

    def copy(self, target: int, source: int, nbytes: int, stream: object) -> None:
        self.copied += nbytes
        self.now += 0.001


def test_copies_by_our_own_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Layer()
    module = SimpleNamespace(open_device=lambda: layer)
    monkeypatch.setitem(sys.modules, "edgesam_kernels.device.opening", module)
    findings = Findings(None, {}, lambda _: None)
    tools = Tools(None, "needs torch", wait_for_nothing, "cuda-bindings", None)
    measure(tools, findings, Deadline(1e9, lambda: layer.now), lambda: layer.now)
    peaks = findings.content["peaks"]
    assert peaks["copy"]["gb_per_s"] == pytest.approx(2 * COPIED / 0.001 / 1e9)
    assert peaks["by"] == "edgesam_kernels"
    assert peaks["matmul"] == {}
    assert findings.content["not_measured"][0]["what"] == "peaks of matrix products"


class FakeTorch:
    """Products that take 2 s³ / 10¹² ms of the clock, bf16's of which there are none."""

    float16, bfloat16, float32, uint8 = "fp16", "bf16", "fp32", "u8"

    def __init__(self) -> None:
        self.now = 0.0
        self.cuda = SimpleNamespace(synchronize=lambda: None)

    def randn(self, side: int, _: int, device: str, dtype: str) -> tuple[int, str]:
        if dtype == "bf16":
            raise RuntimeError("this card has no bfloat16")
        return side, dtype

    def zeros(self, nbytes: int, device: str, dtype: str) -> FakeTorch:
        return self

    def empty_like(self, other: object) -> object:
        return other

    def copy_(self, source: object) -> None:
        self.now += 1.0

    def matmul(self, one: tuple[int, str], other: object, out: object) -> None:
        side, dtype = one
        self.now += 2 * side**3 / (1e12 if dtype == "fp32" else 4e12) * (2 if side == 4096 else 1)


def test_the_better_side_counts_and_a_type_that_fails_costs_no_other() -> None:
    torch = FakeTorch()
    findings = Findings(None, {}, lambda _: None)
    tools = Tools(torch, None, wait_for_nothing, "torch", None)
    measure(tools, findings, Deadline(1e9, lambda: torch.now), lambda: torch.now)
    matmul = findings.content["peaks"]["matmul"]
    assert {name: round(one["tflops"], 6) for name, one in matmul.items()} == {"fp16": 4, "fp32": 1}
    assert matmul["fp16"]["side"] == 8192
    reasons = {one["reason"] for one in findings.content["not_measured"]}
    assert reasons == {"RuntimeError: this card has no bfloat16"}


def test_without_a_library_nothing_is_told() -> None:
    findings = Findings(None, {}, lambda _: None)
    tools = Tools(None, "needs torch", wait_for_nothing, None, None)
    measure(tools, findings, Deadline(1.0, lambda: 0.0), lambda: 0.0)
    assert findings.content["peaks"] == {}
    assert "needs torch" in findings.content["not_measured"][0]["reason"]
