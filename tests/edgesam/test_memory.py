"""How much memory is free, as the system says, and what is made of too little."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgesam
from edgesam import OutOfMemory, loading, memory
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and control groups are Linux's")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /proc/meminfo and a control group without a limit."""
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n", "ascii")
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    (tmp_path / "memory.current").write_text("1000000\n", "ascii")
    (tmp_path / "memory.stat").write_text(
        "anon 900000\nactive_file 30000\ninactive_file 20000\n", "ascii"
    )
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_what_the_kernel_calls_available(system: Path) -> None:
    assert memory.available_memory() == 4000 * 1024


def test_a_container_has_less(system: Path) -> None:
    (system / "memory.max").write_text("1500000\n", "ascii")
    assert memory.available_memory() == 1_500_000 - 1_000_000 + 50_000


def test_a_container_that_is_full(system: Path) -> None:
    (system / "memory.max").write_text("900000\n", "ascii")
    assert memory.available_memory() == 0


def test_a_container_with_more_than_the_machine(system: Path) -> None:
    (system / "memory.max").write_text("99000000000\n", "ascii")
    assert memory.available_memory() == 4000 * 1024


def test_a_system_that_does_not_say(system: Path) -> None:
    for file in system.iterdir():
        file.unlink()
    assert memory.available_memory() is None


def test_whose_memory_it_was() -> None:
    with (
        pytest.raises(OutOfMemory, match=r"^not enough memory for a picture$"),
        memory.memory_for("a picture"),
    ):
        raise MemoryError("Unable to allocate 9 TiB")
    with pytest.raises(OutOfMemory, match=r"^the engine$"), memory.memory_for("a picture"):
        raise OutOfMemory("the engine")


@linux
def test_this_machine() -> None:
    free = memory.available_memory()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class TestLoad:
    def needing(self, bundle: Bundle, bytes_: int) -> Bundle:
        return Bundle(bundle.path, replace(bundle.manifest, working_memory=bytes_))

    def test_too_little(self, make_bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        bundle = self.needing(make_bundle(model="lite-medsam"), 3 << 30)
        monkeypatch.setattr(loading, "find_bundle", lambda _: bundle)
        monkeypatch.setattr(loading, "available_memory", lambda: 1 << 30)
        with pytest.raises(OutOfMemory) as raised:
            edgesam.load("lite-medsam", engine=FakeEngine())
        assert str(raised.value) == (
            "lite-medsam needs 3072 MiB of memory and 1024 MiB are free: close other programs, or "
            "take a smaller model"
        )
        assert isinstance(raised.value, MemoryError)

    def test_a_gpu_has_its_own(self, make_bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        bundle = self.needing(make_bundle(model="lite-medsam"), 3 << 30)
        monkeypatch.setattr(loading, "find_bundle", lambda _: bundle)
        monkeypatch.setattr(loading, "available_memory", lambda: 1 << 30)
        edgesam.load("lite-medsam", engine=FakeEngine(), device="cuda").close()

    @pytest.mark.parametrize("free", [None, (3 << 30) + (1 << 20)])
    def test_enough_or_unknown(
        self, make_bundle: Any, monkeypatch: pytest.MonkeyPatch, free: int | None
    ) -> None:
        bundle = self.needing(make_bundle(model="lite-medsam"), 3 << 30)
        monkeypatch.setattr(loading, "find_bundle", lambda _: bundle)
        monkeypatch.setattr(loading, "available_memory", lambda: free)
        edgesam.load("lite-medsam", engine=FakeEngine()).close()


LIMITED = """
import resource, sys
import numpy, onnxruntime, edgesam
from edgesam.commands import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), -1))
raise SystemExit(main(sys.argv[1:]))
"""


@linux
def test_an_encoder_that_runs_out_of_memory(lite_bundle: Path, tmp_path: Path) -> None:
    """The process lives, says one line, and leaves no mask."""
    from PIL import Image

    picture, mask = tmp_path / "picture.png", tmp_path / "mask.png"
    Image.new("L", (640, 480), 77).save(picture)
    command = ["segment", str(picture), "--model", str(lite_bundle), "--box", "10,10,90,90"]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *command, "--threads", "1", "-o", str(mask)],
        capture_output=True,
        text=True,
        check=False,
    )
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1, run.stderr
    assert "memory" in last
    assert "Traceback" not in run.stderr
    assert not mask.exists()
