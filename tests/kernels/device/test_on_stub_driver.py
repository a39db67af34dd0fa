"""The real cuda-bindings take every argument that edgesam gives them: on a libcuda of our own.

It knows nothing of a card: what is shown is that names, types and orders of arguments are right
down to C, and that the tests for a card can be run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgesam_kernels.device.opening import why_not

HERE = Path(__file__).parent
SOURCE = HERE / "stub_libcuda.cpp"


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1."""
    compiler = shutil.which("g++")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and g++")
    pytest.importorskip("cuda.bindings.driver")
    if why_not("cuda-bindings") is None:
        pytest.skip("there is a real driver")
    folder = tmp_path_factory.mktemp("stub")
    # Names of C++ stay inside: other libraries in the process have the same.
    names = folder / "names"
    names.write_text("{global: cu*; local: *;};")
    library = folder / "libcuda.so.1"
    words = ["-std=c++17", "-shared", "-fPIC", f"-Wl,--version-script={names}"]
    subprocess.run(
        [compiler, *words, "-o", str(library), str(SOURCE), "-ldl"], check=True, timeout=120
    )
    return folder


def run(stub: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stub), **settings}
    return subprocess.run(
        [sys.executable, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_tests_for_a_card(stub: Path) -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    words = ["-q", "-k", "cuda-bindings", "-p", "no:cacheprovider"]
    files = [str(HERE / "test_device.py"), str(HERE / "test_on_gpu.py")]
    done = run(stub, "-m", "pytest", *words, *files)
    assert done.returncode == 0, done.stdout[-3000:]
    found = re.search(r"^(\d+) passed, \d+ deselected", done.stdout, re.MULTILINE)
    assert found, done.stdout[-3000:]  # none skipped
    assert int(found[1]) >= 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"STUB_INIT": "100"}, "shows no device (CUDA_ERROR_NO_DEVICE"),
        ({"STUB_VERSION": "12080"}, "runs CUDA 12.8 and cuda-bindings are of CUDA"),
    ],
)
def test_why_a_driver_cannot_be_used(stub: Path, settings: dict[str, str], words: str) -> None:
    program = "from edgesam_kernels.device.opening import why_not; print(why_not('cuda-bindings'))"
    done = run(stub, "-c", program, **settings)
    assert words in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_device_that_broke(stub: Path, add_source: str) -> None:
    program = f"""
from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.opening import open_device
device = open_device("cuda-bindings")
stream = device.stream()
device.module({add_source!r}, "adding").kernel("crash").launch(stream, (1, 1, 1), (1, 1, 1))
for call in (stream.synchronize, lambda: device.memory(100)):
    try:
        call()
    except DeviceError as error:
        print(error)
device.close()
"""
    done = run(stub, "-c", program)
    first, second = done.stdout.splitlines()
    assert first.startswith("cuStreamSynchronize failed: an illegal memory access"), done.stderr
    assert "in work that was given to the device before it" in first
    assert second.startswith("cuMemAlloc cannot work: the device is unusable since cuStreamSync")
