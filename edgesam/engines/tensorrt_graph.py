"""One plan on a device: loaded, its types read back, run. Knows no roles and no bundle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.embedding import Tensor, on_host
from edgesam.engines.blobs import Blob
from edgesam.engines.on_device import OnDevice, hold_until_done
from edgesam.engines.tensorrt_flavour import Flavour
from edgesam.engines.tensorrt_log import is_about_memory, listening
from edgesam.engines.tensorrt_placing import Placing, by
from edgesam.engines.tensorrt_types import check_built
from edgesam.errors import BundleError, EngineUnavailable, OutOfMemory
from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory, Memory
from edgesam_kernels.device.lender import Lender, Loan

logger = logging.getLogger("edgesam")

_TYPES: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype(np.float32),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
}
_LEAST = 256  # bytes: what is empty has an address, too


class TensorRtGraph:
    """A plan with one execution context and one stream, which takes work from one caller at a time.

    Attributes:
        inputs, outputs: names, in the graph's order.
        device, stream: where it runs.
        records: whether TensorRT keeps what repeats as a CUDA graph of its own.
    """

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
        self.records = repeats and flavour.is_rtx
        self._name, self._title, self.device = name, flavour.title, device
        self._lock = threading.Lock()
        self._log = listening(trt)
        self._cache = cache
        self._runtime_cache: Any = None
        self._buffers: dict[str, Memory] = {}
        self._lender = Lender(device)
        self.stream, self._fetching = device.stream(), device.stream()
        hold_until_done(self, self.stream)
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
        self._types = {each: _TYPES[engine.get_tensor_dtype(each).name] for each in names}
        self._context = self._new_context(trt, flavour)
        if self._context is None:
            raise self._failure("cannot start the plan of")

    def run(
        self,
        inputs: Mapping[str, NDArray[Any] | Tensor],
        outputs: Sequence[str],
    ) -> tuple[NDArray[Any], ...]:
        """Compute once; returns when the answers are in host memory.

        Args:
            inputs: by name, in host memory or on this device.
            outputs: wanted, by name.

        Raises:
            BundleError: the graph does not take such inputs.
            EngineUnavailable: the device failed.
            OutOfMemory: there is no memory for it.
        """
        return tuple(each.host() for each in self.enqueue(inputs, outputs))

    def enqueue(
        self, inputs: Mapping[str, NDArray[Any] | Tensor], outputs: Sequence[str]
    ) -> tuple[OnDevice, ...]:
        """Give the stream one computation; nothing waits if all inputs lie on this device.

        Inputs may still be in the making, and may be let go of when this returns.

        Args:
            inputs: by name; what lies in host memory is copied, which may wait for the stream.
            outputs: wanted, by name.

        Returns:
            Them, in that order, each with the event after which it is there.

        Raises:
            BundleError, EngineUnavailable, OutOfMemory: as :meth:`run`. An error of the device in
                the computation itself comes when somebody waits for it.
        """
        with self._lock, self.device.current():
            if self._context is None:
                raise ValueError("this session is closed")
            try:
                here = [self._give(name, inputs[name]) for name in self.inputs]
                there = {name: self._place(name) for name in self.outputs}
                if not self._context.execute_async_v3(self.stream.handle):
                    raise self._failure("cannot run")
                ready = self.stream.record()
                for held in (*here, *(loan for loan, _ in there.values())):
                    if held is not None:
                        held.used(self.stream, ready)
            except (DeviceOutOfMemory, MemoryError):
                raise self._out_of_memory() from None
            except DeviceError as error:
                raise EngineUnavailable(f"the device failed in {self._name}: {error}") from None
        return tuple(
            OnDevice(self.device, loan, shape, ready, self._fetching, self._types[name])
            for name, (loan, shape) in ((name, there[name]) for name in outputs)
        )

    def put(self, name: str, array: NDArray[Any]) -> OnDevice:
        """An array on the device, for an input that is the same in many runs.

        Raises:
            EngineUnavailable, OutOfMemory: as :meth:`run`.
        """
        array = np.ascontiguousarray(array, self._types[name])
        try:
            loan = self._lender.lend(max(_LEAST, array.nbytes), self.stream)
            self.device.upload(loan.pointer, array, self.stream)
            ready = self.stream.record()
        except DeviceOutOfMemory:
            raise self._out_of_memory() from None
        except DeviceError as error:
            raise EngineUnavailable(f"the device failed in {self._name}: {error}") from None
        return OnDevice(self.device, loan, array.shape, ready, self._fetching, array.dtype)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an input or output, -1 where it is free and not set."""
        return tuple(self._context.get_tensor_shape(name))

    def placing(self, *, anew: bool = False) -> Placing:
        """Its runs on tensors that stay where they are, for who keeps :meth:`enqueue` away.

        Args:
            anew: in another execution context than the graph's own, which may not be had.
        """
        context = self._context
        if anew:
            with self.device.current():
                context = self._engine.create_execution_context()
            if context is None:
                raise self._failure("cannot start the plan of")
        return Placing(context, self.device, self.stream, self._failure)

    def close(self) -> None:
        """Free it, after what it was given; what TensorRT-RTX compiled is kept."""
        with self._lock, self.device.current():
            with suppress(DeviceError):  # one that failed before has nothing under way
                self.stream.synchronize()
            self._keep_compiled()
            self._context = self._engine = self._runtime = None
            for memory in self._buffers.values():
                memory.close()
            self._buffers.clear()
            self._lender.close()

    def _give(self, name: str, value: Any) -> OnDevice | None:
        """Put an input where the next run reads it; what that reads where it lies."""
        lies_here = isinstance(value, OnDevice) and value.lies_on(self.device)
        if lies_here:
            value.wait(self.stream)
            pointer, shape = value.pointer, value.shape
        else:
            array = np.ascontiguousarray(on_host(value), self._types[name])
            pointer, shape = self._buffer(name, array.nbytes).pointer, array.shape
            if array.nbytes:
                self.device.upload(pointer, array, self.stream)
        if not self._context.set_input_shape(name, tuple(shape)):
            raise self._failure(f"does not take {name} of {by(shape)} in")
        self._point(name, pointer)
        return value if lies_here else None

    def _place(self, name: str) -> tuple[Loan, tuple[int, ...]]:
        """Where the next run writes an output."""
        shape = tuple(self._context.get_tensor_shape(name))
        if min(shape, default=0) < 0:
            raise self._failure(f"does not know the size of {name} in")
        size = max(_LEAST, prod(shape) * self._types[name].itemsize)
        loan = self._lender.lend(size, self.stream)
        self._point(name, loan.pointer)
        return loan, shape

    def _point(self, name: str, pointer: int) -> None:
        if not self._context.set_tensor_address(name, pointer):
            raise self._failure(f"does not take an address for {name} in")

    def _buffer(self, name: str, nbytes: int) -> Memory:
        """The memory of an input from run to run, larger if it must be."""
        held = self._buffers.get(name)
        if held is None or held.nbytes < nbytes:
            if held is not None:
                self.stream.synchronize()  # an earlier run may not have read it yet
                self._buffers.pop(name)
                held.close()
            self._buffers[name] = held = self.device.memory(max(_LEAST, nbytes))
        return held

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
                f"{self._title} {trt.__version__} does not run {self._name} on this "
                f"{self.device.name}: {_words(trt, diagnostics) or self._log.take()}"
            )

    def _read_back(self, trt: Any, precision: str) -> None:
        inspector = self._engine.create_engine_inspector()
        said = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        if not check_built(said, precision, self._name):
            logger.warning(
                "%s does not tell which types %s runs in: they were checked before it was built",
                self._title,
                self._name,
            )

    def _failure(self, what: str) -> Exception:
        said = self._log.take()
        if is_about_memory(said):
            return self._out_of_memory()
        return BundleError(f"{self._title} {what} {self._name}: {said}")

    def _out_of_memory(self) -> OutOfMemory:
        return OutOfMemory(
            f"{self._title} ran out of memory with {self._name} on {self.device.name}: close "
            "other programs that use it, or take a smaller model"
        )


def _words(trt: Any, diagnostics: Any) -> str:
    """Which of the reasons that a plan is refused are set, one bit each; it may say none."""
    bits = int(diagnostics)
    names = [
        name
        for name, reason in trt.EngineInvalidityDiagnostics.__members__.items()
        if bits & int(reason)
    ]
    return ", ".join(names)
