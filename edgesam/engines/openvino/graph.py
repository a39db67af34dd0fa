"""One graph in OpenVINO: compiled or restored, its precision read back, run. Knows no roles."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel, Cancelled
from edgesam.engines.blobs import blob_of
from edgesam.engines.openvino.part import Part
from edgesam.errors import BundleError, OutOfMemory, PrecisionMismatch

logger = logging.getLogger("edgesam")

# The type that graphs are told to compute in, and what the device must be capable of. Without the
# hint a device may take a faster type, bf16 or fp16; with one that it lacks, CPUs take f32.
PRECISIONS = {
    "fp32": ("f32", "FP32"),
    "fp16": ("f16", "FP16"),
    "bf16": ("bf16", "BF16"),
    "int8": ("f32", "INT8"),
}
# What may compute in each: Q/DQ pairs become nodes of 8 bits, and in 16 bits some stay f32.
_ALLOWED = {
    "fp32": {"f32"},
    "fp16": {"f32", "f16"},
    "bf16": {"f32", "bf16"},
    "int8": {"f32", "i8", "u8"},
}
# Nodes that multiply; 8 bits elsewhere are booleans and what becomes of them.
_MULTIPLY = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
# Nodes that hold or hand on values, in whatever type.
_KEEP = frozenset({"Input", "Output", "Const", "Convert", "Reorder"})
# The input of which a graph may take several at once, and is given one.
_PICTURES = "image"
_TELEMETRY = "openvino_telemetry"
_importing = threading.Lock()


def import_openvino() -> Any:
    """The package, without its telemetry.

    ``import openvino`` sends an event to Google Analytics and writes an identifier into the user's
    home folder, unless that part of it cannot be imported.

    Raises:
        ImportError: it cannot be imported.
    """
    with _importing:
        hide = "openvino" not in sys.modules and _TELEMETRY not in sys.modules
        if hide:
            sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            if hide:
                del sys.modules[_TELEMETRY]
    return openvino


class OpenVinoGraph:
    """A compiled graph with one request, for one caller at a time.

    With the hint LATENCY there is one stream, where a second request waits for the first: three
    threads were no faster with three requests.

    Attributes:
        inputs, outputs: the names of each input and output, in the graph's order; an output may
            have others beside its name in the ONNX file.
        types: what its nodes compute in, as ``f32``, without those of indices.
        threads: as OpenVINO says, None where the device has none.
    """

    def __init__(
        self,
        core: Any,
        path: Path,
        precision: str,
        device: str,
        threads: int | None,
        *,
        until: str | None = None,
        after: str | None = None,
    ) -> None:
        """Of an ONNX file, or of its part that ends or begins with a value.

        Raises:
            BundleError: it cannot be loaded, or has no such parts.
            OutOfMemory: there is no memory for it.
            PrecisionMismatch: it does not run in that precision.
        """
        part = Part(until, after)
        self._load = partial(_load, core, path, part, precision, device, threads)
        self._lock = threading.Lock()
        compiled = self._load()
        self.inputs: list[set[str]] = [port.names for port in compiled.inputs]
        self.outputs: list[set[str]] = [port.names for port in compiled.outputs]
        self.types = _types(compiled)
        self.threads: int | None = (
            compiled.get_property("INFERENCE_NUM_THREADS") if device == "CPU" else None
        )
        self._request = compiled.create_infer_request()

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        cancel: Cancel | None = None,
    ) -> tuple[NDArray[np.float32], ...]:
        """From copies of the inputs, because OpenVINO may write into what it is given, to copies
        of the outputs, because its next run overwrites them.
        """
        cancel = cancel or Cancel()
        with self._lock:
            # A run that failed leaves the compiled graph between two shapes: it is loaded anew.
            request = self._request or self._load().create_infer_request()
            self._request = None
            try:
                # Not infer(): where memory runs out, 2026.4.1's leaves the last run's outputs in
                # place and raises nothing. A request that is new each time costs a quarter more.
                request.start_async(inputs)
                with cancel.by(request.cancel):
                    request.wait()
                found = tuple(np.array(request.get_tensor(name).data) for name in outputs)
            except Exception as error:  # openvino's errors share no narrower base
                if cancel.told:
                    self._request = request  # it computes the same as before
                    raise Cancelled from None
                if _is_about_memory(error):
                    raise _out_of_memory(f"computing {outputs[0]}") from None
                raise BundleError(f"openvino cannot run the graph: {line_of(error)}") from None
            self._request = request
        return found


def _load(
    core: Any, path: Path, part: Part, precision: str, device: str, threads: int | None
) -> Any:
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision][0],
    }
    if threads is not None and device == "CPU":
        config["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = _compiled(core, path, part, device, config)
    except Exception as error:
        if _is_about_memory(error):
            raise _out_of_memory(f"loading {path.name}") from None
        raise BundleError(f"openvino cannot load {path.name}: {line_of(error)}") from None
    _check_precision(compiled, path, precision)
    return compiled


def _compiled(core: Any, path: Path, part: Part, device: str, config: Mapping[str, Any]) -> Any:
    """From the blob of an earlier start where there is one.

    Not by OpenVINO's own cache (CACHE_DIR): it takes a blob with damaged weights for a good one
    and computes other masks with it.
    """
    openvino = import_openvino()
    # Threads are no part of a blob. What the device can compute is: several machines may share a
    # home.
    facts = [
        openvino.__version__,
        core.get_property(device, "FULL_DEVICE_NAME"),
        *core.get_property(device, "OPTIMIZATION_CAPABILITIES"),
        config["INFERENCE_PRECISION_HINT"],
        *part.facts,
    ]
    blob = blob_of(path, "openvino", facts)
    if blob is not None and (content := blob.load()) is not None:
        try:
            return core.import_model(content, device, config)
        except RuntimeError as error:
            if _is_about_memory(error):
                raise
            logger.debug("openvino does not take what it compiled earlier: %s", line_of(error))
    # By its frontend: Core.read_model tries those of other formats too, and they write to stderr.
    frontend = openvino.frontend.FrontEndManager().load_by_framework("onnx")
    model = frontend.convert(frontend.load(str(path)))
    if not model.outputs:  # what an empty file is to it
        raise BundleError("it holds no graph")
    _fix(model)
    compiled = core.compile_model(part.of(model), device, config)
    if blob is not None:
        stream = BytesIO()
        compiled.export_model(stream)
        blob.store(stream.getvalue())
    return compiled


def _fix(model: Any) -> None:
    """Leave no number of pictures open in an ``ov.Model``: shapes known in advance run faster."""
    for port in model.inputs:
        if _PICTURES in port.names and port.partial_shape[0].is_dynamic:
            model.reshape({_PICTURES: [1, *list(port.partial_shape)[1:]]})


def _check_precision(compiled: Any, path: Path, precision: str) -> None:
    """By the hint that was taken and by what the nodes say: hints may be ignored."""
    asked, _ = PRECISIONS[precision]
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    given = {port.get_element_type().get_type_name() for port in compiled.outputs}
    types = _types(compiled)
    ignored = hint != asked or (precision in ("bf16", "fp16") and asked not in types)
    if ignored or not given | types <= _ALLOWED[precision]:
        found = ", ".join(sorted({hint} | given | types))
        raise PrecisionMismatch(f"{path.name} should run in {precision} and runs in {found}")


def _types(compiled: Any) -> set[str]:
    found = set()
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = node.get_rt_info()
        kind, type_ = facts["layerType"].value, facts["runtimePrecision"].value
        if kind in _MULTIPLY or (kind not in _KEEP and type_.startswith(("f", "bf"))):
            found.add(type_)
    return found


def _is_about_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        sign in str(error).lower() for sign in ("alloc", "could not create a memory", "out of mem")
    )


def _out_of_memory(doing: str) -> OutOfMemory:
    return OutOfMemory(
        f"openvino ran out of memory while {doing}: close other programs, or take a smaller model"
    )


def line_of(error: Exception) -> str:
    """The last line says what is wrong; those before it say where in OpenVINO's sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)
