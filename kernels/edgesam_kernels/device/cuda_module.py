"""Modules and kernels over cuda-bindings. Knows no compiler."""

from __future__ import annotations

import numpy as np

from edgesam_kernels.device.arguments import Packed
from edgesam_kernels.device.context import PrimaryContext, Resource
from edgesam_kernels.device.cuda_stream import native
from edgesam_kernels.device.protocol import Kernel, Stream

# More dynamic shared memory than this must be asked for, kernel by kernel.
SHARED_FOR_ALL = 48 * 1024


class CudaKernel:
    """A ``CUfunction``."""

    def __init__(self, context: PrimaryContext, module: CudaModule, handle: object) -> None:
        self._primary = context
        self._module = module  # unloaded with its last kernel
        self._handle = handle
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
            self._raise_shared(shared)
        packed = Packed(arguments)
        self._primary.call(
            "cuLaunchKernel",
            self._handle,
            *grid,
            *block,
            shared,
            native(stream).native,
            packed.pointer,
            0,
        )

    def _raise_shared(self, shared: int) -> None:
        attribute = self._primary.driver.constant(
            "CUfunction_attribute", "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"
        )
        self._primary.call("cuFuncSetAttribute", self._handle, attribute, shared)
        self._shared = shared


class CudaModule(Resource):
    """A ``CUmodule``."""

    def __init__(self, context: PrimaryContext, image: bytes) -> None:
        driver = context.driver
        handle = context.call("cuModuleLoadData", image)
        self._primary = context
        self._handle = handle
        super().__init__(context, lambda: driver.code("cuModuleUnload", handle))

    def kernel(self, name: str) -> Kernel:
        self.check_open("a module")
        handle = self._primary.call("cuModuleGetFunction", self._handle, name.encode())
        return CudaKernel(self._primary, self, handle)
