"""OpenVINO, on the CPU or on an Intel GPU. Imports it at the first load, never before."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam import machine
from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, on_host
from edgesam.engines.openvino.graph import (
    PRECISIONS,
    OpenVinoGraph,
    import_openvino,
    line_of,
)
from edgesam.engines.openvino.split import SplitGraph
from edgesam.engines.protocol import Graphs, MaskPrompts, Prompts
from edgesam.engines.refusal import device_for
from edgesam.errors import PrecisionMismatch

logger = logging.getLogger("edgesam")

_DEVICES = {"cpu": "CPU", "gpu": "GPU"}


class OpenVino:
    """The engine ``openvino``."""

    name = "openvino"

    def available(self) -> str | None:
        if importlib.util.find_spec("openvino") is None:
            return (
                'needs the package openvino (not installed). Try: pip install "edgesam[openvino]"'
            )
        try:
            import_openvino()
        except ImportError as error:
            return f"is installed but cannot be imported ({line_of(error)}). Try: install it again"
        return None

    def devices(self) -> tuple[str, ...]:
        if self.available() is not None:
            return ()
        # Two GPUs are called GPU.0 and GPU.1; GPU is the first.
        found = {device.split(".")[0] for device in import_openvino().Core().available_devices}
        return tuple(name for name, device in _DEVICES.items() if device in found)

    def precisions(self, device: str) -> tuple[str, ...]:
        if device == "gpu":
            return ("fp16", "fp32")
        sets = set(machine.instruction_sets())
        native = {
            "int8": machine.byte_products() == "x86",  # nobody has tried it on ARM
            "fp16": bool({"avx512_fp16", "amx_fp16"} & sets),
            "bf16": bool({"avx512_bf16", "amx_bf16"} & sets),
        }
        return (*(name for name, is_native in native.items() if is_native), "fp32")

    def open(
        self,
        graphs: Graphs,
        *,
        precision: str,
        device: str,
        threads: int | None,
    ) -> OpenVinoSession:
        device = device_for(self, precision, device, runs=PRECISIONS)
        if precision == "int8" and precision not in self.precisions(device):
            raise PrecisionMismatch(
                f"engine 'openvino' does not run int8 here: {_objection(device)}. "
                "Try: onnxruntime, or the variant fp32"
            )
        core = import_openvino().Core()
        _check_capability(core, _DEVICES[device], precision)
        encoder = _encoder(core, graphs, precision, _DEVICES[device], threads)
        # Of bf16, too, nothing but the encoder was found to keep its masks.
        of_decoder = "fp32" if precision == "bf16" else precision
        image_side, decoder = (
            OpenVinoGraph(core, path, of_decoder, _DEVICES[device], threads)
            for path in (graphs.image_side, graphs.mask_decoder)
        )
        if precision == "int8" and not {"i8", "u8"} & (
            encoder.types | image_side.types | decoder.types
        ):
            raise PrecisionMismatch("openvino computes nothing of this int8 variant in 8 bits")
        if threads is not None and encoder.threads not in (None, threads):
            logger.warning(
                "openvino runs %d threads, not %d: no more than cores", encoder.threads, threads
            )
        return OpenVinoSession(encoder, image_side, decoder, device=device)


def _encoder(
    core: Any, graphs: Graphs, precision: str, device: str, threads: int | None
) -> OpenVinoGraph | SplitGraph:
    path, until = graphs.image_encoder, graphs.fp32_until
    if until is None:
        return OpenVinoGraph(core, path, precision, device, threads)
    return SplitGraph(core, path, until, ("fp32", precision), device, threads)


def _objection(device: str) -> str:
    """Why int8 is refused."""
    if device == "gpu":
        return "on a GPU it was never tried"
    if machine.byte_products() == "arm":
        return "on ARM it was never tried"
    return "sums of products of bytes overflow without VNNI, which is not seen here"


def _check_capability(core: Any, device: str, precision: str) -> None:
    """OpenVINO computes in f32 where the device has no bf16, and says nothing."""
    capable = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if PRECISIONS[precision][1] not in capable:
        cpu = core.get_property(device, "FULL_DEVICE_NAME")
        others = [name for name, (_, needed) in PRECISIONS.items() if needed in capable]
        raise PrecisionMismatch(
            f"engine 'openvino' cannot run {precision} on this {cpu}; it runs: {', '.join(others)}"
        )


class OpenVinoSession:
    """The graphs in OpenVINO; many threads may call it, each graph runs for one at a time."""

    def __init__(
        self,
        encoder: OpenVinoGraph | SplitGraph,
        image_side: OpenVinoGraph,
        decoder: OpenVinoGraph,
        *,
        device: str,
    ) -> None:
        self._encoder = encoder
        self._image_side = image_side
        self._decoder = decoder
        taken = {name for names in decoder.inputs for name in names}
        self._side_names = [name for names in image_side.outputs for name in names & taken]
        self.description, self.card = f"openvino:{device}", ""

    def encode(
        self, image: NDArray[np.float32], cancel: Cancel | None = None
    ) -> NDArray[np.float32]:
        return self._encoder.run({"image": image}, ["image_embeddings"], cancel)[0]

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        inputs = {
            "image_embeddings": on_host(embedding),
            "mask_input": masks.logits,
            "has_mask_input": masks.given,
        }
        return self._image_side.run(inputs, self._side_names)

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, iou = self._decoder.run(
            {
                **dict(zip(self._side_names, map(on_host, side), strict=True)),
                "point_coords": prompts.coords,
                "point_labels": prompts.labels,
                "mask_tokens": np.array(tokens, np.int64),
            },
            ["low_res_masks", "iou_predictions"],
        )
        return logits, iou

    def close(self) -> None:
        """Nothing to do: a graph is freed with its last reference, after calls under way."""
