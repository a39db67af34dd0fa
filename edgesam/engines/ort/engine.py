"""ONNX Runtime, on the CPU or on CUDA. Imports it at the first load, never before."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, on_host
from edgesam.engines.ort import cuda
from edgesam.engines.ort.errors import line_of, said_of
from edgesam.engines.ort.in_bytes import asks_for_bytes, start_in_bytes
from edgesam.engines.protocol import Graphs, MaskPrompts, Prompts, Session
from edgesam.engines.refusal import device_for
from edgesam.errors import PrecisionMismatch
from edgesam.machine import byte_products

logger = logging.getLogger("edgesam")

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": cuda.PROVIDER}
_HINTS = {"cuda": 'pip install "edgesam[gpu]"'}
# Of outputs, which are float32 in graphs of every precision.
_ELEMENT_TYPE = dict.fromkeys(("fp32", "fp16", "int8"), "tensor(float)")


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
            # By name: a folder is left where one of two packages with this module is removed.
            from onnxruntime import InferenceSession  # noqa: F401
        except ImportError as error:  # on Windows mostly a missing Visual C++ runtime
            return f"is installed but cannot be imported ({line_of(error)}). Try: install it again"
        return None

    def devices(self) -> tuple[str, ...]:
        if self.available() is not None:
            return ()
        import onnxruntime

        offered = onnxruntime.get_available_providers()
        return tuple(device for device, provider in _PROVIDERS.items() if provider in offered)

    def precisions(self, device: str) -> tuple[str, ...]:
        if device == "cuda":
            return ("fp16", "fp32")
        return ("int8", "fp32") if byte_products() else ("fp32",)

    def open(
        self,
        graphs: Graphs,
        *,
        precision: str,
        device: str,
        threads: int | None,
    ) -> Session:
        device = device_for(self, precision, device, runs=_ELEMENT_TYPE, hints=_HINTS)
        if precision == "fp16" and precision not in self.precisions(device):
            logger.warning(
                "onnxruntime has no products in float16 on a CPU: it computes the fp16 variant in "
                "float32, with the same masks and no faster"
            )
        paths = graphs.image_encoder, graphs.image_side, graphs.mask_decoder
        in_bytes: set[Path] = set()
        if precision == "int8":
            in_bytes = {path for path in paths if asks_for_bytes(path)}
            if not in_bytes:
                raise PrecisionMismatch("no graph of this int8 variant has anything in 8 bits")
            if precision not in self.precisions(device):
                in_bytes = set()
                logger.warning(
                    "onnxruntime computes the int8 variant in float32 here, with the same masks "
                    "and no faster: %s",
                    "CUDA's part of it has no products of bytes"
                    if device == "cuda"
                    else "this processor is not known to multiply bytes exactly (VNNI)",
                )
        if device == "cuda":
            if threads is not None:
                logger.debug("onnxruntime runs on the GPU: %d threads are not used", threads)
            return _on_cuda(paths, precision)
        encoder, image_side, decoder = (
            _load(path, precision, threads, path in in_bytes) for path in paths
        )
        return OrtSession(encoder, image_side, decoder, device=device)


def _on_cuda(paths: Sequence[Path], precision: str) -> Session:
    # Only here: a CPU's start need not wait for what runs on a device.
    from edgesam.engines.device.session import DeviceSession
    from edgesam.engines.ort.graph import OrtGraph

    device = cuda.open_device()
    encoder, image_side, decoder = (
        OrtGraph(device, path.name, partial(_load_on_cuda, path, precision, device.ordinal))
        for path in paths
    )
    return DeviceSession(encoder, image_side, decoder, description="onnxruntime:cuda")


def _load_on_cuda(path: Path, precision: str, ordinal: int, stream: int) -> Any:
    import onnxruntime

    options = _options(as_floats=precision == "int8")
    cuda.prepare(options)
    providers = cuda.providers(stream, ordinal)
    start = partial(onnxruntime.InferenceSession, path, options, providers=providers)
    return _checked(cuda.start(start, path.name), path, precision)


def _load(path: Path, precision: str, threads: int | None, in_bytes: bool) -> Any:
    import onnxruntime

    options = _options(as_floats=precision == "int8" and not in_bytes)
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = [_PROVIDERS["cpu"]]
    start = partial(onnxruntime.InferenceSession, path, options, providers=providers)
    try:
        session = start_in_bytes(start, options, path.name) if in_bytes else start()
    except PrecisionMismatch:
        raise
    except Exception as error:  # onnxruntime's errors share no narrower base
        doing = f"loading {path.name}"
        raise said_of(error, doing, f"onnxruntime cannot load {path.name}") from None
    return _checked(session, path, precision)


def _options(*, as_floats: bool) -> Any:
    """``as_floats``: what stands between Q/DQ pairs is computed in float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The pattern of a first run is kept as one block for all later ones: 628 instead of 393 MB for
    # TinyViT at 1024 pixels, and no faster (docs/performance.md).
    options.enable_mem_pattern = False
    # Nor is a value's memory kept until the last of all values of its shape: it goes back to the
    # arena, where any shape may take it (docs/performance.md).
    options.enable_mem_reuse = False
    # Each session has threads of its own that spin for a while when a run has ended, and so take
    # the cores from the next session's run: a click took twice as long (docs/performance.md).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if as_floats:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _checked(session: Any, path: Path, precision: str) -> Any:
    found = {value.type for value in session.get_outputs()}
    if found != {_ELEMENT_TYPE[precision]}:
        raise PrecisionMismatch(f"{path.name} should run in {precision} and gives {sorted(found)}")
    return session


def _run(
    session: Any,
    outputs: list[str],
    inputs: dict[str, NDArray[Any]],
    cancel: Cancel | None = None,
) -> Any:
    try:
        if cancel is None:
            return session.run(outputs, inputs)
        import onnxruntime

        options = onnxruntime.RunOptions()
        with cancel.by(lambda: setattr(options, "terminate", True)):
            return session.run(outputs, inputs, options)
    except Exception as error:
        if cancel is not None:
            cancel.check()
        raise said_of(
            error, f"computing {outputs[0]}", "onnxruntime cannot run the graph"
        ) from None


class OrtSession:
    """The graphs in ONNX Runtime; its ``run`` may be called from many threads."""

    def __init__(self, encoder: Any, image_side: Any, decoder: Any, *, device: str) -> None:
        self._encoder = encoder
        self._image_side = image_side
        self._decoder = decoder
        self._side_names = [output.name for output in image_side.get_outputs()]
        self.description, self.card = f"onnxruntime:{device}", ""

    def encode(
        self, image: NDArray[np.float32], cancel: Cancel | None = None
    ) -> NDArray[np.float32]:
        inputs = {"image": image}
        result: NDArray[np.float32] = _run(self._encoder, ["image_embeddings"], inputs, cancel)[0]
        return result

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        inputs = {
            "image_embeddings": on_host(embedding),
            "mask_input": masks.logits,
            "has_mask_input": masks.given,
        }
        return tuple(_run(self._image_side, self._side_names, inputs))

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = _run(
            self._decoder,
            ["low_res_masks", "iou_predictions"],
            {
                **dict(zip(self._side_names, map(on_host, side), strict=True)),
                "point_coords": prompts.coords,
                "point_labels": prompts.labels,
                "mask_tokens": np.array(tokens, np.int64),
            },
        )
        return logits, iou

    def close(self) -> None:
        """Nothing to do: a session is freed with its last reference, after calls under way."""
