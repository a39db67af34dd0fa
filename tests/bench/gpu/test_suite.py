from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_bench.gpu import suite
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.findings import Findings


@pytest.fixture
def findings() -> Findings:
    return Findings(None, {}, lambda _: None)


LATER = Deadline(100.0, lambda: 0.0)


def test_counts_and_reasons(tmp_path: Path, findings: Findings) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_on_gpu_x.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert False\n"
        "def test_absent(): pytest.skip('no NVIDIA card')\n",
        "utf-8",
    )
    (tmp_path / "test_other.py").write_text("def test_never(): assert False\n", "utf-8")
    suite.measure(findings, LATER, tmp_path)
    tests = findings.content["tests"]
    assert (tests["passed"], tests["failed"]) == (1, 1)
    assert tests["skipped"] == {"no NVIDIA card": 1}
    assert any("test_bad" in line for line in findings.content["failures"])
    (missing,) = findings.content["not_measured"]
    assert missing["reason"] == "no NVIDIA card"


def test_tests_of_one_engine_count_too(tmp_path: Path, findings: Findings) -> None:
    (tmp_path / "test_ort_on_gpu.py").write_text("def test_good(): pass\n", "utf-8")
    suite.measure(findings, LATER, tmp_path)
    assert findings.content["tests"]["passed"] == 1


def test_all_skipped_is_not_measured(tmp_path: Path, findings: Findings) -> None:
    text = "import pytest\ndef test_absent(): pytest.skip('no NVIDIA card')\n"
    (tmp_path / "test_on_gpu.py").write_text(text, "utf-8")
    suite.measure(findings, LATER, tmp_path)
    assert findings.content["tests"] is None
    assert findings.content["not_measured"][0]["reason"] == "no NVIDIA card"


def test_a_file_that_crashes_costs_the_others_nothing(tmp_path: Path, findings: Findings) -> None:
    (tmp_path / "test_a_on_gpu.py").write_text(
        "import os\ndef test_crash(): os._exit(11)\n", "utf-8"
    )
    (tmp_path / "test_b_on_gpu.py").write_text("def test_good(): pass\n", "utf-8")
    suite.measure(findings, LATER, tmp_path)
    assert findings.content["tests"]["passed"] == 1
    assert len(findings.content["tests"]["files"]) == 1
    (missing,) = findings.content["not_measured"]
    assert missing["what"] == "tests that need a GPU (test_a_on_gpu.py)"
    assert "exit code 11" in missing["reason"]


def test_no_tests(tmp_path: Path, findings: Findings) -> None:
    suite.measure(findings, LATER, tmp_path)
    assert "there are none" in findings.content["not_measured"][0]["reason"]


def test_tests_that_take_too_long(tmp_path: Path, findings: Findings) -> None:
    text = "import time\ndef test_slow(): time.sleep(600)\n"
    (tmp_path / "test_on_gpu.py").write_text(text, "utf-8")
    suite.measure(findings, Deadline(1.0, lambda: 0.0), tmp_path)
    assert "took more than 1 s" in findings.content["not_measured"][0]["reason"]
