"""What TensorRT says: to the log, and its errors as one line."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from edgesam.engines.tensorrt.log import is_about_memory, listening


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class Base:
    """As pybind's classes: it must be told to begin."""

    def __init__(self) -> None:
        self.begun = True


@pytest.fixture
def log() -> Any:
    found: Any = listening(SimpleNamespace(ILogger=Base, __name__="trt"))
    assert found.begun
    return found


def test_errors_are_taken_once_and_in_one_line(log: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "edgesam")
    log.log(Severity.INFO, "loading")
    log.log(Severity.WARNING, "deprecated")
    log.log(Severity.ERROR, "first\n  line")
    log.log(Severity.INTERNAL_ERROR, "second")
    log.log(Severity.ERROR, "first line")
    assert caplog.messages == [
        "trt: deprecated",
        "trt: first line",
        "trt: second",
        "trt: first line",
    ]
    assert log.take() == "first line; second"
    assert log.take() == "it does not say why"


def test_what_is_very_long_is_cut(log: Any) -> None:
    log.log(Severity.ERROR, "x" * 1000)
    assert len(log.take()) == 300


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ("CUDA out of memory", True),
        ("Error Code 2: OutOfMemory (Requested size was 12 bytes.)", True),
        ("std::bad_alloc", True),
        ("Could not find any implementation for node", False),
    ],
)
def test_memory(said: str, is_so: bool) -> None:
    assert is_about_memory(said) is is_so
