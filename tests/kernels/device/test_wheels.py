"""Libraries that lie in a folder on Python's path: made here, since a real one weighs too much."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam_kernels.device.wheels import load_libraries

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="needs g++, on Linux"
)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, int], Path]:
    """Puts a library ``made_up`` into a folder on the path, which answers with that number."""

    def make(folder: str, name: str, answer: int) -> Path:
        library = tmp_path / folder / "nvidia" / "cu13" / "lib" / name
        library.parent.mkdir(parents=True)
        source = library.with_suffix(".cpp")
        source.write_text(f'extern "C" int answer() {{ return {answer}; }}', "utf-8")
        command = ["g++", "-shared", "-fPIC", f"-Wl,-soname,{name}", str(source), "-o"]
        subprocess.run([*command, str(library)], check=True)
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / folder)])
        return library

    return make


def test_the_first_on_the_path_is_found_by_its_name(
    wheel: Callable[[str, str, int], Path],
) -> None:
    name = "libedgesam_made_up.so.13"
    wheel("one", name, 1)
    wheel("other", name, 2)
    with pytest.raises(OSError, match="cannot open"):
        ctypes.CDLL(name)
    load_libraries("edgesam_made_up")
    assert ctypes.CDLL(name).answer() == 1


def test_what_is_nowhere_or_broken_is_left_to_who_needs_it(
    wheel: Callable[[str, str, int], Path],
) -> None:
    name = "libedgesam_broken.so.13"
    wheel("one", name, 1).write_bytes(b"no library")
    load_libraries("edgesam_broken", "edgesam_nowhere")
    with pytest.raises(OSError, match="cannot open"):
        ctypes.CDLL(name)
