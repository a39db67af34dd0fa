"""Modules and kernels over pycuda, compiled by NVRTC or, where there is none, by nvcc."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np

from edgesam_kernels.device.arguments import scalars
from edgesam_kernels.device.driver import one_line
from edgesam_kernels.device.errors import DeviceError, DeviceUnavailable
from edgesam_kernels.device.nvrtc import compile_source, open_nvrtc
from edgesam_kernels.device.protocol import Kernel, Stream
from edgesam_kernels.device.pycuda_context import PycudaContext
from edgesam_kernels.device.pycuda_stream import Held, native

# More dynamic shared memory than this must be asked for, kernel by kernel.
SHARED_FOR_ALL = 48 * 1024


class PycudaKernel(Held):
    """A ``pycuda.driver.Function``."""

    def __init__(self, context: PycudaContext, module: PycudaModule, name: str) -> None:
        super().__init__(context, context.call(module.native.get_function, name))
        self._module = module
        self._shared = SHARED_FOR_ALL

    def launch(
        self,
        stream: Stream,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *arguments: np.generic | int,
        shared: int = 0,
    ) -> None:
        if shared > self._shared:
            attributes = self._primary.pycuda.function_attribute
            attribute = attributes.MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._primary.call(self.native.set_attribute, attribute, shared)
            self._shared = shared
        self._primary.call(
            self.native,
            *(_packable(value) for value in scalars(arguments)),
            grid=grid,
            block=block,
            shared=shared,
            stream=native(stream).native,
        )


class PycudaModule(Held):
    """A ``pycuda.driver.Module``."""

    def __init__(self, context: PycudaContext, image: bytes) -> None:
        super().__init__(context, context.call(context.pycuda.module_from_buffer, image))

    def kernel(self, name: str) -> Kernel:
        return PycudaKernel(self._primary, self, name)


def compile_for(
    source: str, name: str, capability: tuple[int, int], options: Sequence[str]
) -> bytes:
    """A cubin by NVRTC (cuda-bindings), which needs no toolkit; else by pycuda's own way, nvcc.

    Raises:
        DeviceUnavailable: neither is there.
        DeviceError: it does not compile.
    """
    try:
        nvrtc = open_nvrtc()
    except DeviceUnavailable:
        return _nvcc(source, name, capability, options)
    return compile_source(source, name, capability, options, compiler=nvrtc)


def _nvcc(source: str, name: str, capability: tuple[int, int], options: Sequence[str]) -> bytes:
    compiler = importlib.import_module("pycuda.compiler")
    error_of = importlib.import_module("pycuda.driver").CompileError
    architecture = "sm_{}{}".format(*capability)
    try:
        image: bytes = compiler.compile(
            source, options=list(options), no_extern_c=True, arch=architecture
        )
    except error_of as error:
        lines = str(getattr(error, "stderr", "") or error).splitlines()
        said = next((line for line in lines if "error" in line), one_line(error))
        raise DeviceError(
            f"the kernels of {name} do not compile for {architecture}: {said}"
        ) from None
    except OSError as error:
        raise DeviceUnavailable(
            "pycuda's kernels need a compiler, and neither NVRTC nor nvcc was found "
            f'({one_line(error)}): pip install "edgesam[cuda]"'
        ) from None
    return image


def _packable(value: np.generic) -> np.generic:
    """The same bytes in a type that pycuda's packing knows: it has no half and no bool."""
    if value.dtype == np.float16:
        return value.view(np.uint16)
    return value.view(np.uint8) if value.dtype == np.bool_ else value
