from __future__ import annotations

import pytest

from edgesam.errors import ParityError
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.peaks import measure, shares
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


def test_without_a_library_nothing_is_told() -> None:
    findings = Findings(None, {}, lambda _: None)
    tools = Tools(None, "needs torch", wait_for_nothing, None, None)
    measure(tools, findings, Deadline(1.0, lambda: 0.0), lambda: 0.0)
    assert findings.content["peaks"] == {}
    assert "needs torch" in findings.content["not_measured"][0]["reason"]
