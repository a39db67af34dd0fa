"""CUDA C on the host: a kernel's own source, compiled as C++ over ``shim/cuda_host.h`` and called.

For tests without a GPU. Pointers are the host's; only kinds and sizes of arguments are checked.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

_HEADER = Path(__file__).parent / "shim" / "cuda_host.h"
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_FLAGS = ("-x", "c++", "-std=c++20", "-O2", "-ffp-contract=off", "-fno-strict-aliasing")
_LIBRARY = ("-shared", "-fPIC", "-Wl,-Bsymbolic", "-Wall", "-Wno-unknown-pragmas")
_LAUNCHER = """
extern "C" int shim_launch_{name}(
    void** values, const unsigned* grid, const unsigned* block, bool back) {{
  return shim::launch({name}, values, grid, block, {barriers}, back);
}}
extern "C" void shim_types_{name}(char* text) {{ shim::write_types({name}, text); }}
"""

Size = tuple[int, int, int]


class HostCudaError(RuntimeError):
    """The source does not compile, or was called wrongly; in one line."""


def why_not() -> str | None:
    """Why CUDA C cannot run on this host, None if it can; for ``pytest.skip``."""
    if sys.platform != "linux":
        return "the host shim for CUDA C runs its threads by ucontext: Linux only"
    if shutil.which("g++") is None:
        return "the host shim for CUDA C needs g++"
    return None


class HostKernel:
    """One ``__global__`` function on the host.

    Attributes:
        name: of the function.
        types: of its parameters: "p" for a pointer, else NumPy's kind and size, as "i4".
    """

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        self._launch = library[f"shim_launch_{name}"]
        self._launch.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_bool]
        text = ctypes.create_string_buffer(1024)
        library[f"shim_types_{name}"](text)
        self.types = tuple(text.value.decode().split())

    def launch(
        self, grid: Size, block: Size, *arguments: np.generic | int, backwards: bool = False
    ) -> None:
        """Run every thread; on return all is done.

        Args:
            grid, block: sizes in x, y and z.
            arguments: in the kernel's order; a pointer as ``int``, all else as a NumPy scalar.
            backwards: take blocks and threads from the last to the first.

        Raises:
            HostCudaError: arguments that are not the kernel's, sizes that no device takes, or
                threads that end while others of their block wait at a barrier.
        """
        self.check(grid, block, arguments)
        # Each value in eight bytes of its own, and a table of where they are.
        values = np.zeros(max(len(arguments), 1), np.uint64)
        for i, argument in enumerate(arguments):
            value = np.uint64(argument) if isinstance(argument, int) else argument
            values[i : i + 1].view(np.uint8)[: value.nbytes] = np.frombuffer(
                value.tobytes(), np.uint8
            )
        table = values.ctypes.data + 8 * np.arange(len(values), dtype=np.uint64)
        sizes = np.array([grid, block], np.uint32)
        if self._launch(table.ctypes.data, sizes[0].ctypes.data, sizes[1].ctypes.data, backwards):
            raise HostCudaError(f"{self.name}: not all threads of a block come to __syncthreads()")

    def check(self, grid: Size, block: Size, arguments: Sequence[np.generic | int]) -> None:
        """Whether a device would take them.

        Raises:
            HostCudaError: it would not, or would read something else.
        """
        given = tuple("p" if isinstance(a, int) else f"{a.dtype.kind}{a.nbytes}" for a in arguments)
        if given != self.types:
            raise HostCudaError(
                f"{self.name} takes ({', '.join(self.types)}), not ({', '.join(given)})"
            )
        most = (2**31 - 1, 65535, 65535), (1024, 1024, 64)
        for size, limits in zip((grid, block), most, strict=True):
            if not all(1 <= side <= limit for side, limit in zip(size, limits, strict=True)):
                raise HostCudaError(f"{self.name}: no device takes a grid of {grid} by {block}")
        if block[0] * block[1] * block[2] > 1024:
            raise HostCudaError(f"{self.name}: no device has {block} threads in a block")


class HostModule:
    """A compiled source."""

    def __init__(self, library: ctypes.CDLL, names: Sequence[str]) -> None:
        self._kernels = {name: HostKernel(library, name) for name in names}

    def kernel(self, name: str) -> HostKernel:
        """The ``extern "C" __global__`` function of that name."""
        if name not in self._kernels:
            raise HostCudaError(f"no kernel {name}, but {', '.join(self._kernels)}")
        return self._kernels[name]


@cache
def compile_host(source: str, options: tuple[str, ...] = ()) -> HostModule:
    """CUDA C as a library of the host; kept until the program ends.

    Args:
        source: the text.
        options: NVRTC's that g++ knows as well, as ``-DSIDE=256``.

    Raises:
        HostCudaError: it does not compile; with the compiler's first error.
    """
    names = _KERNEL.findall(source)
    barriers = "true" if "__syncthreads" in _COMMENT.sub("", source) else "false"
    launchers = "".join(_LAUNCHER.format(name=name, barriers=barriers) for name in names)
    folder = _folder()
    stem = hashlib.sha256("\0".join([source, *options]).encode()).hexdigest()[:16]
    text, library = folder / f"{stem}.cpp", folder / f"{stem}.so"
    text.write_text(f'#include "{_HEADER}"\n#line 1 "kernel.cu"\n{source}\n{launchers}', "utf-8")
    command = ["g++", *_FLAGS, *_LIBRARY, *options, "-o", str(library), str(text)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if "error" in line]
        raise HostCudaError((errors or run.stderr.splitlines() or ["g++ failed"])[0])
    return HostModule(ctypes.CDLL(str(library)), names)


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="edgesam-host-cuda-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
