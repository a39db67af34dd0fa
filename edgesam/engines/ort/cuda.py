"""ONNX Runtime on CUDA: how its sessions are opened, and what is read back of them.

Knows providers and libraries, no tensor. ONNX Runtime drops a provider that does not start, and
gives nodes to the CPU that it lacks on the GPU, and says so in its log at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesam.engines.ort.errors import line_of, said_of
from edgesam.errors import EdgeSamError, EngineUnavailable
from edgesam_kernels.device import Device, DeviceUnavailable
from edgesam_kernels.device.driver import LIBRARY
from edgesam_kernels.device.wheels import load_libraries

PROVIDER = "CUDAExecutionProvider"

_LIBRARIES = 'pip install "onnxruntime-gpu[cuda,cudnn]"'
_NEEDED = ("cudart", "nvrtc", "cublasLt", "cublas", "curand", "cufft", "cudnn")
_RECORD = "session.record_ep_graph_assignment_info"
# What the CPU may compute: shapes, which ONNX Runtime keeps there on purpose.
_OF_SHAPES = {
    *("Shape", "Size", "Slice", "Gather", "Concat", "Unsqueeze", "Squeeze", "Reshape", "Expand"),
    *("Cast", "Add", "Sub", "Mul", "Div", "Min", "Max", "Floor", "Ceil", "Equal", "Where"),
    *("Range", "ConstantOfShape", "Constant", "Identity"),
}


def open_device() -> Device:
    """The first GPU, in the context that ONNX Runtime uses: pycuda's may be another. What sessions
    need of NVIDIA's libraries is loaded with it.

    Raises:
        EngineUnavailable: there is none, or what edgesam uses it by is missing.
    """
    from edgesam_kernels.device import opening

    _preload()
    try:
        return opening.open_device("cuda-bindings", 0)
    except DeviceUnavailable as error:
        raise EngineUnavailable(f"onnxruntime cannot use CUDA here: {error}") from None


def providers(stream: int, ordinal: int) -> list[tuple[str, dict[str, str]]]:
    """For a session that computes on this ``CUstream`` of this device."""
    options = {
        "device_id": str(ordinal),
        "user_compute_stream": str(stream),
        # TensorFloat-32 keeps 10 bits of mantissa: it would not be the fp32 asked for.
        "use_tf32": "0",
        # It records nothing (see placing), but is refused if the CPU computes anything; and
        # what a run staged is freed after a wait, not by a callback that would be recorded, too.
        "enable_cuda_graph": "1",
        # The other way doubles what is taken each time there is too little.
        "arena_extend_strategy": "kSameAsRequested",
        # Trying all takes seconds, and what is chosen by time differs from start to start.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    return [(PROVIDER, options), ("CPUExecutionProvider", {})]


def prepare(options: Any) -> None:
    """Amend the options of a session to be opened."""
    options.add_session_config_entry(_RECORD, "1")


def start(make: Callable[..., Any], name: str) -> Any:
    """A session that runs on the GPU.

    Args:
        make: makes it, and takes what else an InferenceSession does.
        name: of the graph, for errors.

    Raises:
        EngineUnavailable: CUDA does not start here, or the CPU would compute a part.
        OutOfMemory: there is no room for it.
        BundleError: the graph cannot be loaded.
    """
    try:
        session = make(enable_fallback=0)  # else it prints, and tries the CPU
    except Exception as error:
        raise _objection(error, name) from None
    running = session.get_providers()
    if running[0] != PROVIDER:
        raise EngineUnavailable(
            f"onnxruntime was asked for {PROVIDER} and runs {running[0]}: {why_not()}"
        )
    _check_nodes(session, name)
    _check_inputs(session, name)
    return session


def why_not() -> str:
    """Why CUDA does not start here, and what to do, in one line."""
    return missing() or (
        "the driver is there and so are the libraries that it names: either the driver is older "
        f"than they need, or cuDNN is missing. Try: {_LIBRARIES}, and a newer driver"
    )


def missing() -> str | None:
    """What of CUDA is not here, and what to do, in one line; None where all can be loaded."""
    from edgesam_kernels.device.opening import why_not as why_no_device

    if _flaw(LIBRARY) is not None:
        return (
            "no NVIDIA driver was found on this machine. Try: install it (nvidia-smi tells "
            "whether it works), or --device cpu"
        )
    import onnxruntime

    _preload()
    name = "onnxruntime_providers_cuda.dll"
    if sys.platform != "win32":
        name = "libonnxruntime_providers_cuda.so"
    library = Path(onnxruntime.__file__).parent / "capi" / name
    if not library.is_file():
        return 'this onnxruntime has no CUDA in it. Try: pip install "edgesam[gpu]"'
    flaw = _flaw(str(library))
    # It finds the rest of ONNX Runtime only when that loads it.
    if flaw is not None and "undefined symbol" not in flaw:
        return f"a library that it needs is missing ({flaw}). Try: {_LIBRARIES}"
    return why_no_device("cuda-bindings")


def _preload() -> None:
    """Have the libraries of NVIDIA's wheels found; what cannot be is found out by loading."""
    import onnxruntime

    load_libraries(*_NEEDED)  # from where Python has them; below from where it has ONNX Runtime
    if preload := getattr(onnxruntime, "preload_dlls", None):  # since 1.21
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            preload()


def _flaw(library: str) -> str | None:
    """What the system says when it cannot load it, None if it can."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return line_of(error)
    return None


def _objection(error: Exception, name: str) -> EdgeSamError:
    said = str(error)
    if "feature as requested by the user" in said:  # that of CUDA graphs, in all versions
        return EngineUnavailable(
            f"onnxruntime would compute a part of {name} on the CPU: {line_of(error)}"
        )
    if any(word in said for word in (PROVIDER, "CUDA failure", "CUDNN", "providers_cuda")):
        found = said_of(error, f"loading {name}", "")
        if isinstance(found, MemoryError):
            return found
        return EngineUnavailable(f"onnxruntime cannot start CUDA ({line_of(error)}): {why_not()}")
    return said_of(error, f"loading {name}", f"onnxruntime cannot load {name}")


def _check_nodes(session: Any, name: str) -> None:
    """By node, where ONNX Runtime tells (since 1.24); it is asked to refuse in any case."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name == PROVIDER:
            continue
        for node in part.get_nodes():
            if node.op_type not in _OF_SHAPES:
                raise EngineUnavailable(
                    f"onnxruntime computes {node.op_type} {node.name!r} of {name} with "
                    f"{part.ep_name}, not on CUDA. Try: a newer onnxruntime-gpu"
                )


def _check_inputs(session: Any, name: str) -> None:
    """One that is read on the CPU is copied there when it is bound, before it is computed."""
    if not hasattr(session, "get_input_memory_infos"):  # since 1.23
        return
    for value, place in zip(session.get_inputs(), session.get_input_memory_infos(), strict=True):
        if place.name.lower() == "cpu":
            raise EngineUnavailable(
                f"onnxruntime reads {value.name} of {name} on the CPU, not on CUDA. "
                "Try: a newer onnxruntime-gpu"
            )
