"""ONNX Runtime, on the CPU or on CUDA. Imports it at the first load, never before."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.embedding import ImageSide
from edgesam.engines.protocol import Graphs, Prompts
from edgesam.errors import BundleError, EngineUnavailable, OutOfMemory, PrecisionMismatch
from edgesam.machine import instruction_sets

logger = logging.getLogger("edgesam")

_PROVIDERS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "cpu": [("CPUExecutionProvider", {})],
    # TensorFloat-32 keeps 10 bits of mantissa: it would not be the fp32 that was asked for.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})],
}
# Of outputs, which are float32 in graphs of every precision.
_ELEMENT_TYPE = dict.fromkeys(("fp32", "fp16", "int8"), "tensor(float)")
# Without them products of bytes are summed in 16 bits, which overflow, and wrong masks come out.
_BYTE_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}


class OnnxRuntime:
    """The engine ``onnxruntime``."""

    name = "onnxruntime"

    def available(self) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return (
                "needs the package onnxruntime (not installed). "
                'Try: pip install "edgesam[cpu]", or "edgesam[gpu]" for CUDA'
            )
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:  # on Windows mostly a missing Visual C++ runtime
            return f"is installed but cannot be imported ({_line(error)}). Try: install it again"
        return None

    def devices(self) -> tuple[str, ...]:
        if self.available() is not None:
            return ()
        import onnxruntime

        offered = onnxruntime.get_available_providers()
        return tuple(device for device, chain in _PROVIDERS.items() if chain[0][0] in offered)

    def precisions(self, device: str) -> tuple[str, ...]:
        if device == "cuda":
            return ("fp16", "fp32")
        return ("int8", "fp32") if _multiplies_bytes() else ("fp32",)

    def open(
        self,
        graphs: Graphs,
        *,
        precision: str,
        device: str,
        threads: int | None,
    ) -> OrtSession:
        if (reason := self.available()) is not None:
            raise EngineUnavailable(f"engine 'onnxruntime' is unavailable: {reason}")
        if precision not in _ELEMENT_TYPE:
            runs = ", ".join(_ELEMENT_TYPE)
            raise PrecisionMismatch(
                f"engine 'onnxruntime' does not run {precision}; it runs: {runs}"
            )
        device = "cpu" if device == "auto" else device
        devices = self.devices()
        if device not in devices:
            hint = '. Try: pip install "edgesam[gpu]"' if device == "cuda" else ""
            raise EngineUnavailable(
                f"engine 'onnxruntime' has no device {device!r} here; it has: "
                f"{', '.join(devices)}{hint}"
            )
        if precision == "int8" and not _multiplies_bytes():
            logger.warning(
                "this processor does not multiply bytes exactly (VNNI): onnxruntime computes the "
                "int8 variant in float32, with the same masks and no faster"
            )
        if precision == "fp16" and device == "cpu":
            logger.warning(
                "onnxruntime has no products in float16 on a CPU: it computes the fp16 variant in "
                "float32, with the same masks and no faster"
            )
        paths = graphs.image_encoder, graphs.image_side, graphs.mask_decoder
        return OrtSession(
            *(_load(path, precision, device, threads) for path in paths), device=device
        )


def _multiplies_bytes() -> bool:
    return bool(_BYTE_PRODUCTS & set(instruction_sets()))


def _load(path: Path, precision: str, device: str, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The pattern of a first run is kept as one block for all later ones: 628 instead of 393 MB for
    # TinyViT at 1024 pixels, and no faster (docs/performance.md).
    options.enable_mem_pattern = False
    # Each session has threads of its own that spin for a while when a run has ended, and so take
    # the cores from the next session's run: a click took twice as long (docs/performance.md).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if precision == "int8" and not _multiplies_bytes():
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=_PROVIDERS[device])
    except Exception as error:  # onnxruntime's errors share no narrower base
        if _is_about_memory(error):
            raise _out_of_memory(f"loading {path.name}", error) from None
        raise BundleError(f"onnxruntime cannot load {path.name}: {_line(error)}") from None
    # A provider that fails to start is dropped with a log line only: read back what runs.
    wanted, running = _PROVIDERS[device][0][0], session.get_providers()
    if running[0] != wanted:
        raise EngineUnavailable(f"onnxruntime was asked for {wanted} and runs {running[0]}")
    found = {value.type for value in session.get_outputs()}
    if found != {_ELEMENT_TYPE[precision]}:
        raise PrecisionMismatch(f"{path.name} should run in {precision} and gives {sorted(found)}")
    return session


def _run(session: Any, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> Any:
    try:
        return session.run(outputs, inputs)
    except Exception as error:
        if _is_about_memory(error):
            raise _out_of_memory(f"computing {outputs[0]}", error) from None
        raise BundleError(f"onnxruntime cannot run the graph: {_line(error)}") from None


def _is_about_memory(error: Exception) -> bool:
    return any(
        sign in str(error).lower()
        for sign in ("allocat", "bad_alloc", "bad alloc", "alloc_failed", "out of memory")
    )


def _out_of_memory(doing: str, error: Exception) -> OutOfMemory:
    asked = re.search(r"buffer of size (\d+)", str(error))
    size = f" ({int(asked[1]) >> 20} MiB more were asked for)" if asked else ""
    return OutOfMemory(
        f"onnxruntime ran out of memory while {doing}{size}: close other programs, or take a "
        "smaller model"
    )


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class OrtSession:
    """The graphs in ONNX Runtime; its ``run`` may be called from many threads."""

    def __init__(self, encoder: Any, image_side: Any, decoder: Any, *, device: str) -> None:
        self._encoder = encoder
        self._image_side = image_side
        self._decoder = decoder
        self._side_names = [output.name for output in image_side.get_outputs()]
        self.description = f"onnxruntime:{device}"

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = _run(self._encoder, ["image_embeddings"], {"image": image})[0]
        return result

    def image_side(
        self,
        embedding: NDArray[np.float32],
        mask: NDArray[np.float32],
        has_mask: NDArray[np.float32],
    ) -> ImageSide:
        inputs = {"image_embeddings": embedding, "mask_input": mask, "has_mask_input": has_mask}
        return tuple(_run(self._image_side, self._side_names, inputs))

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = _run(
            self._decoder,
            ["low_res_masks", "iou_predictions"],
            {
                **dict(zip(self._side_names, side, strict=True)),
                "point_coords": prompts.coords,
                "point_labels": prompts.labels,
                "mask_tokens": np.array(tokens, np.int64),
            },
        )
        return logits, iou

    def close(self) -> None:
        """Nothing to do: a session is freed with its last reference, after calls under way."""
