"""TensorRT's run-time half as far as edgesam calls it, over the fake device. Records its calls.

A plan is JSON: names, shapes and types of its tensors and what the inspector says of it. Running
one calls a Python function with arrays in and out, when the fake device runs the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.fake import FakeDevice

Compute = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]
_TYPES = {"FLOAT": np.float32, "INT32": np.int32, "INT64": np.int64}


class FakeTrt:
    """Stands for the module.

    Args:
        device: whose context must be current.
        compute: graph's name -> what it computes.
    """

    __name__ = "fake_trt"
    __version__ = "1.7.1.116"

    class ILogger:
        class Severity(Enum):
            ERROR = 1
            WARNING = 2

    class TensorIOMode(Enum):
        INPUT = 1
        OUTPUT = 2

    class LayerInformationFormat(Enum):
        JSON = 1

    class EngineValidity(Enum):
        VALID = 0
        INVALID = 2

    class CudaGraphStrategy(Enum):
        DISABLED = 0
        WHOLE_GRAPH_CAPTURE = 1

    class EngineInvalidityDiagnostics(IntFlag):
        VERSION_MISMATCH = 1
        UNSUPPORTED_CC = 2

    def __init__(self, device: FakeDevice, compute: dict[str, Compute]) -> None:
        setattr(self.ILogger, "__init__", lambda _: None)  # noqa: B010
        self.device = device
        self.compute = compute
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, str] = {}  # call -> what TensorRT logs when it fails
        self.validity = self.EngineValidity.VALID, self.EngineInvalidityDiagnostics(0)
        self.compiled = b"kernels"

    def note(self, name: str, *details: Any) -> bool:
        """Write a call down; whether it succeeds."""
        assert self.device.inside.depth, f"{name} without the device's context"
        self.calls.append((name, *details))
        if name in self.fails:
            self.logger.log(self.ILogger.Severity.ERROR, self.fails[name])
            return False
        return True

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802
        self.logger = logger
        return FakeRuntime(self)


class FakeRuntime:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt

    def get_engine_validity(self, plan: bytes) -> tuple[Any, Any]:
        self.trt.note("get_engine_validity")
        return self.trt.validity

    def deserialize_cuda_engine(self, plan: bytes) -> FakeCudaEngine | None:
        if not self.trt.note("deserialize_cuda_engine"):
            return None
        return FakeCudaEngine(self.trt, json.loads(plan))


class FakeCudaEngine:
    def __init__(self, trt: FakeTrt, plan: dict[str, Any]) -> None:
        self.trt, self.plan = trt, plan
        self.tensors: dict[str, dict[str, Any]] = plan["tensors"]
        self.num_io_tensors = len(self.tensors)

    def create_engine_inspector(self) -> FakeCudaEngine:
        return self

    def get_engine_information(self, format_: Any) -> str:
        return json.dumps(self.plan["information"])

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode[self.tensors[name]["mode"]]

    def get_tensor_dtype(self, name: str) -> Any:
        return Enum("DataType", list(_TYPES))[self.tensors[name]["type"]]

    def create_runtime_config(self) -> FakeConfig:
        return FakeConfig(self.trt)

    def create_execution_context(self, config: Any = None) -> FakeContext | None:
        self.config = config
        return FakeContext(self) if self.trt.note("create_execution_context") else None


class FakeConfig:
    """And its runtime cache."""

    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt
        self.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED

    def create_runtime_cache(self) -> FakeConfig:
        return self

    def set_runtime_cache(self, cache: Any) -> bool:
        return True

    def deserialize(self, content: bytes) -> bool:
        return self.trt.note("runtime cache", content)

    def serialize(self) -> bytes:
        return self.trt.compiled


class FakeContext:
    def __init__(self, engine: FakeCudaEngine) -> None:
        self.engine, self.trt = engine, engine.trt
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, most = self.engine.tensors[name]["from"], self.engine.tensors[name]["to"]
        if len(shape) != len(least) or not all(
            a <= size <= b for a, size, b in zip(least, shape, most, strict=True)
        ):
            self.trt.logger.log(self.trt.ILogger.Severity.ERROR, "outside of the profile\nsecond")
            return False
        self.shapes[name] = shape
        return self.trt.note("set_input_shape", name, shape)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Numbers as they are, ``INPUT[AXIS]`` as that input has it."""
        found = []
        for size in self.engine.tensors[name]["shape"]:
            if isinstance(size, str):
                given, _, axis = size.rstrip("]").partition("[")
                size = self.shapes[given][int(axis)] if given in self.shapes else -1  # noqa: PLW2901
            found.append(size)
        return tuple(found)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        assert pointer, "TensorRT takes no null"
        self.addresses[name] = pointer
        return self.trt.note("set_tensor_address", name, pointer)

    def execute_async_v3(self, handle: int) -> bool:
        if not self.trt.note("execute_async_v3", self.engine.plan["name"], handle):
            return False
        tensors, device = self.engine.tensors, self.trt.device
        assert set(self.addresses) == set(tensors)
        inputs = [name for name in tensors if tensors[name]["mode"] == "INPUT"]
        shapes = {name: self.shapes.get(name) or self.get_tensor_shape(name) for name in tensors}
        pointers = dict(self.addresses)

        def view(name: str) -> NDArray[Any]:
            dtype, shape = np.dtype(_TYPES[tensors[name]["type"]]), shapes[name]
            nbytes = int(np.prod(shape)) * dtype.itemsize
            return device.view(pointers[name], nbytes).view(dtype).reshape(shape)

        def run(*_: Any) -> None:
            results = self.trt.compute[self.engine.plan["name"]]({n: view(n) for n in inputs})
            for name, value in results.items():
                assert value.shape == shapes[name]
                view(name)[:] = value

        kernel = f"run{len(self.trt.calls)}"
        writes = [i for i, name in enumerate(tensors) if name not in inputs]
        device.register(kernel, run, writes=writes)
        stream = device.foreign_stream(handle)
        module = device.module(f"void {kernel}()", "plan")
        module.kernel(kernel).launch(stream, (1, 1, 1), (1, 1, 1), *pointers_of(tensors, pointers))
        return True


def pointers_of(tensors: dict[str, Any], pointers: dict[str, int]) -> list[int]:
    """In the order of the tensors."""
    return [pointers[name] for name in tensors]
