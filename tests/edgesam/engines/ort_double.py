"""ONNX Runtime's CUDA part, over a device that is none: real graphs, computed on the CPU when the
device's stream comes to it. Records how it is used.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

BOTH = ["CUDAExecutionProvider", "CPUExecutionProvider"]


class OrtDouble:
    """Stands for ``onnxruntime.InferenceSession``.

    Attributes:
        Session: the class to be used instead.
        opened: how sessions were opened.
        runs: first output of each graph that ONNX Runtime itself was asked to compute.
        waited: of each of them, whether ONNX Runtime waited for it and freed what it staged.
        providers, nodes: what sessions say that they run on, and what on the CPU.
        places: of inputs that are not on the GPU, by name.
        error: what opening raises.
        fails: what running raises, once for each.
    """

    def __init__(self, onnxruntime: Any, device: Any) -> None:
        self.opened: list[dict[str, Any]] = []
        self.runs: list[str] = []
        self.waited: list[bool] = []
        self.providers = BOTH
        self.nodes: list[Any] = []
        self.places: dict[str, str] = {}
        self.error: Exception | None = None
        self.fails: list[Exception] = []
        double, real = self, onnxruntime.InferenceSession

        class Session(real):  # type: ignore[misc]
            def __init__(self, source: Any, options: Any, providers: Any, **more: Any) -> None:
                double.opened.append({"providers": providers, "options": options, **more})
                if double.error is not None:
                    raise double.error
                options.intra_op_num_threads = 1
                self._stream = int(providers[0][1]["user_compute_stream"])
                super().__init__(source, options, providers=["CPUExecutionProvider"])

            def get_providers(self) -> list[str]:
                return double.providers

            def get_provider_graph_assignment_info(self) -> list[Any]:
                on_gpu = SimpleNamespace(ep_name=BOTH[0], get_nodes=lambda: [node("Conv")])
                on_cpu = SimpleNamespace(ep_name=BOTH[1], get_nodes=lambda: double.nodes)
                return [on_gpu, on_cpu]

            def get_input_memory_infos(self) -> list[Any]:
                names = [value.name for value in self.get_inputs()]
                return [SimpleNamespace(name=double.places.get(name, "Cuda")) for name in names]

            def io_binding(self) -> Binding:
                return Binding(super().io_binding())

            def run_with_iobinding(self, binding: Binding, options: Any) -> None:
                entry = options.get_run_config_entry
                waits = entry("disable_synchronize_execution_providers") == "0"
                assert entry("gpu_graph_id") == "-1"
                assert device.inside.depth, "it leaves the device's context with the thread"
                double.runs.append(self.get_outputs()[0].name)
                double.waited.append(waits)
                if double.fails:
                    raise double.fails.pop(0)
                assert set(binding.inputs) == {value.name for value in self.get_inputs()}
                assert set(binding.outputs) == {value.name for value in self.get_outputs()}
                tensors = [*binding.inputs.values(), *binding.outputs.values()]

                def run(*_: Any) -> None:
                    there = binding.real(device)
                    real.run_with_iobinding(self, there)

                kernel = f"ort{len(double.runs)}"
                writes = list(range(len(binding.inputs), len(tensors)))
                device.register(kernel, run, writes=writes)
                module = device.module(f"void {kernel}()", "plan")
                stream = device.foreign_stream(self._stream)
                pointers = [tensor.pointer for tensor in tensors]
                module.kernel(kernel).launch(stream, (1, 1, 1), (1, 1, 1), *pointers)
                if waits:
                    stream.synchronize()

        self.Session = Session


class Bound(SimpleNamespace):
    """A tensor on the device."""

    pointer: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Binding:
    """Takes addresses on ``cuda``; what they are on the host comes when it is computed."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.inputs: dict[str, Bound] = {}
        self.outputs: dict[str, Bound] = {}

    def bind_input(self, *given: Any) -> None:
        name, bound = _bound(*given)
        self.inputs[name] = bound

    def bind_output(self, *given: Any) -> None:
        name, bound = _bound(*given)
        self.outputs[name] = bound

    def real(self, device: Any) -> Any:
        for bind, tensors in (
            (self._real.bind_input, self.inputs),
            (self._real.bind_output, self.outputs),
        ):
            for name, one in tensors.items():
                nbytes = max(1, int(np.prod(one.shape)) * one.dtype.itemsize)
                host = device.view(one.pointer, nbytes).ctypes.data
                bind(name, "cpu", 0, one.dtype, one.shape, host)
        return self._real


def _bound(
    name: str, device: str, ordinal: int, dtype: Any, shape: tuple[int, ...], pointer: int
) -> tuple[str, Bound]:
    assert (device, ordinal) == ("cuda", 0)
    assert pointer, "ONNX Runtime takes no null"
    return name, Bound(pointer=pointer, dtype=np.dtype(dtype), shape=tuple(shape))


def node(kind: str) -> Any:
    """Of the CPU."""
    return SimpleNamespace(name=f"/it/{kind}", op_type=kind, domain="")
