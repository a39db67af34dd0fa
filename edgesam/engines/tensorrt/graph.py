"""One plan on a device: loaded, its types read back. Knows no roles and no bundle."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edgesam.engines.blobs import Blob
from edgesam.engines.device.graph import DeviceGraph
from edgesam.engines.device.placing import Size
from edgesam.engines.tensorrt.flavour import Flavour
from edgesam.engines.tensorrt.log import is_about_memory, listening
from edgesam.engines.tensorrt.placing import TensorRtPlacing
from edgesam.engines.tensorrt.types import check_built
from edgesam.errors import BundleError, EngineUnavailable
from edgesam_kernels.device import Device

logger = logging.getLogger("edgesam")

_TYPES: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype(np.float32),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
}


class TensorRtGraph(DeviceGraph):
    """A plan with one execution context."""

    def __init__(
        self,
        flavour: Flavour,
        device: Device,
        plan: bytes,
        *,
        name: str,
        precision: str,
        cache: Blob | None = None,
        repeats: bool = False,
    ) -> None:
        """Load it.

        Args:
            flavour: the library.
            device: where it runs.
            plan: that was built with the same library.
            name: of the graph, for messages.
            precision: that it is to run in.
            cache: of what TensorRT-RTX compiles when it loads, for the next start.
            repeats: whether it will run again and again on the same addresses.

        Raises:
            BundleError: the library does not take the plan.
            EngineUnavailable: it does not take this GPU.
            OutOfMemory: the device has not got the memory.
            PrecisionMismatch: it was built in another precision.
        """
        trt = flavour.load()
        super().__init__(device, name, flavour.title)
        self.records = repeats and flavour.is_rtx
        self._log = listening(trt)
        self._cache = cache
        self._runtime_cache: Any = None
        with device.current():  # TensorRT takes whatever context is the thread's
            self._load(trt, flavour, plan, precision)

    def _load(self, trt: Any, flavour: Flavour, plan: bytes, precision: str) -> None:
        self._runtime = trt.Runtime(self._log)
        if flavour.is_rtx:
            self._check_valid(trt, plan)
        engine = self._engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failure("cannot load the plan of")
        self._read_back(trt, precision)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        modes = {each: engine.get_tensor_mode(each) for each in names}
        self.inputs = [each for each in names if modes[each] == trt.TensorIOMode.INPUT]
        self.outputs = [each for each in names if modes[each] == trt.TensorIOMode.OUTPUT]
        self.types = {each: _TYPES[engine.get_tensor_dtype(each).name] for each in names}
        self._context = self._new_context(trt, flavour)
        if self._context is None:
            raise self._failure("cannot start the plan of")
        self._own = self.placing()

    def shape(self, name: str) -> Size:
        return tuple(self._context.get_tensor_shape(name))

    def placing(self) -> TensorRtPlacing:
        """In the graph's own execution context."""
        return self._placing_in(self._context)

    def placing_anew(self) -> TensorRtPlacing:
        """In another execution context."""
        with self.device.current():
            context = self._engine.create_execution_context()
        if context is None:
            raise self._failure("cannot start the plan of")
        return self._placing_in(context)

    def _placing_in(self, context: Any) -> TensorRtPlacing:
        return TensorRtPlacing(context, self.outputs, self.device, self.stream, self._failure)

    def _release(self) -> None:
        """What TensorRT-RTX compiled is kept."""
        self._keep_compiled()
        self._own.close()
        self._context = self._engine = self._runtime = None

    def _new_context(self, trt: Any, flavour: Flavour) -> Any:
        if not flavour.is_rtx:
            return self._engine.create_execution_context()
        # TensorRT-RTX compiles kernels when a plan is loaded, and later for sizes that it meets.
        config = self._engine.create_runtime_config()
        if self.records:  # kernels for a size come after its first run: it alone knows when
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._runtime_cache = config.create_runtime_cache()
        if self._cache is not None and (content := self._cache.load()) is not None:
            self._runtime_cache.deserialize(content)  # it refuses what is not of this machine
        config.set_runtime_cache(self._runtime_cache)
        context = self._engine.create_execution_context(config)
        if context is not None:
            self._keep_compiled()
        return context

    def _keep_compiled(self) -> None:
        if self._runtime_cache is None or self._cache is None:
            return
        content = bytes(self._runtime_cache.serialize())
        if content and content != self._cache.load():
            self._cache.store(content)

    def _check_valid(self, trt: Any, plan: bytes) -> None:
        validity, diagnostics = self._runtime.get_engine_validity(plan)
        if validity == trt.EngineValidity.INVALID:
            raise EngineUnavailable(
                f"{self.title} {trt.__version__} does not run {self.name} on this "
                f"{self.device.name}: {_words(trt, diagnostics) or self._log.take()}"
            )

    def _read_back(self, trt: Any, precision: str) -> None:
        inspector = self._engine.create_engine_inspector()
        said = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        if not check_built(said, precision, self.name):
            logger.warning(
                "%s does not tell which types %s runs in: they were checked before it was built",
                self.title,
                self.name,
            )

    def _failure(self, what: str) -> Exception:
        said = self._log.take()
        if is_about_memory(said):
            return self._out_of_memory()
        return BundleError(f"{self.title} {what} {self.name}: {said}")


def _words(trt: Any, diagnostics: Any) -> str:
    """Which of the reasons that a plan is refused are set, one bit each; it may say none."""
    bits = int(diagnostics)
    names = [
        name
        for name, reason in trt.EngineInvalidityDiagnostics.__members__.items()
        if bits & int(reason)
    ]
    return ", ".join(names)
