"""The graphs in ONNX Runtime on a device: embeddings stay there, and fixed shapes are recorded.

A CUDA graph belongs to the thread that recorded it, and an array on the device to one run at a
time: so the encoder has a thread of its own, and the decoder's graphs have one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesam.cancel import Cancel
from edgesam.embedding import ImageSide, Tensor, on_host
from edgesam.engines.ort_arrays import Arrays, BoundGraph, DeviceArray, FixedGraph, fetch, fill
from edgesam.engines.ort_copying import Copier
from edgesam.engines.ort_gate import Gate
from edgesam.engines.protocol import MaskPrompts, Prompts

_GATE = Gate()  # of this process: nothing may be given to a GPU while a graph is recorded on it
_CLICK = 2  # points: one and the padding point, or a box's corners
_TOKENS = (1, 3)  # masks: the single one, or the three alternatives

T = TypeVar("T")


class ResidentSession:
    """Many threads may call it; each graph runs for one at a time."""

    def __init__(
        self, encoder: Any, image_side: Any, decoder: Any, copier: Any, *, device: str
    ) -> None:
        """Of four ``InferenceSession``; records the graphs of fixed shapes.

        Args:
            encoder, image_side, decoder: of the bundle's graphs.
            copier: of :func:`~edgesam.engines.ort_copying.identity`.
            device: as ONNX Runtime calls it.

        Raises:
            OutOfMemory: the device has no room for them.
        """
        self.description = f"onnxruntime:{device}"
        self._arrays = Arrays(device)
        self._copier = Copier(copier)
        self._image_side, self._decoder = BoundGraph(image_side), BoundGraph(decoder)
        self._side_names = tuple(self._image_side.outputs)
        self._loaded: tuple[weakref.ref[Any], ...] = ()  # what the clicks' arrays hold
        self._encoding = _Lane("edgesam encoder")
        self._deciding = _Lane("edgesam decoder")
        graph = BoundGraph(encoder)
        try:
            with _GATE.alone():
                self._encoder = self._encoding(lambda: FixedGraph(graph, self._arrays, 1))
                self._one_side = self._deciding(
                    lambda: FixedGraph(self._image_side, self._arrays, 1, masks=1)
                )
                self._clicks = self._deciding(self._recorded_clicks)
        except BaseException:
            self.close()
            raise

    def encode(self, image: NDArray[np.float32], cancel: Cancel | None = None) -> Tensor:
        """What has begun is not ended by ``cancel``: it takes a GPU some milliseconds."""

        def work() -> DeviceArray:
            if cancel is not None:
                cancel.check()
            self._encoder.run(image=image)
            return self._kept(self._encoder.outputs["image_embeddings"])

        return self._shared(self._encoding, work)

    def image_side(self, embedding: Tensor, masks: MaskPrompts) -> ImageSide:
        def work() -> ImageSide:
            count = len(masks.given)
            if count == 1:
                one = self._one_side
                self._into(one.inputs["image_embeddings"], embedding)
                one.run(mask_input=masks.logits, has_mask_input=masks.given)
                return tuple(self._kept(one.outputs[name]) for name in self._side_names)
            inputs = {
                "image_embeddings": self._brought(embedding).value,
                "mask_input": self._arrays.holding(masks.logits),
                "has_mask_input": self._arrays.holding(masks.given),
            }
            shapes = [self._image_side.shape(name, masks=count) for name in self._side_names]
            made = tuple(self._arrays.resident(shape) for shape in shapes)
            outputs = dict(zip(self._side_names, (one.value for one in made), strict=True))
            self._image_side.run(self._image_side.bound(inputs, outputs))
            return made

        return self._shared(self._deciding, work)

    def decode(
        self, side: ImageSide, prompts: Prompts, tokens: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        wanted = np.array(tokens, np.int64)
        given: dict[str, NDArray[Any]] = {
            "point_coords": prompts.coords,
            "point_labels": prompts.labels,
            "mask_tokens": wanted,
        }
        count, points = prompts.labels.shape
        is_click = (count, points, side[0].shape[0]) == (1, _CLICK, 1)

        def work() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            if is_click and len(wanted) in self._clicks:
                click = self._clicks[len(wanted)]
                self._load(click, side)
                click.run(**given)
                outputs = click.outputs
            else:
                brought = [self._brought(part) for part in side]  # held until the run is over
                inputs = {name: self._arrays.holding(array) for name, array in given.items()}
                inputs |= zip(self._side_names, (part.value for part in brought), strict=True)
                sizes = {"prompts": count, "outputs": len(wanted)}
                outputs = {
                    name: self._arrays.value(self._decoder.shape(name, **sizes), np.float32)
                    for name in self._decoder.outputs
                }
                self._decoder.run(self._decoder.bound(inputs, outputs))
            logits, iou = (outputs[name] for name in ("low_res_masks", "iou_predictions"))
            return fetch(logits), fetch(iou)

        return self._shared(self._deciding, work)

    def close(self) -> None:
        """Ends the threads after calls under way; graphs are freed with their last reference."""
        self._encoding.close()
        self._deciding.close()
        self._arrays.forget()

    def _recorded_clicks(self) -> dict[int, FixedGraph]:
        """By the number of masks that are asked for; all read the same picture's side."""
        clicks: dict[int, FixedGraph] = {}
        shared: dict[str, Any] = {}
        for number, outputs in enumerate(_TOKENS, 1):
            sizes = {"masks": 1, "prompts": 1, "points": _CLICK, "outputs": outputs}
            click = FixedGraph(self._decoder, self._arrays, number, shared, **sizes)
            shared = {name: click.inputs[name] for name in self._side_names}
            clicks[outputs] = click
        return clicks

    def _load(self, click: FixedGraph, side: ImageSide) -> None:
        """The picture's side to where clicks read it, unless the last click was on it, too."""
        if len(self._loaded) == len(side) and all(
            known() is part for known, part in zip(self._loaded, side, strict=True)
        ):
            return
        self._loaded = ()
        for name, part in zip(self._side_names, side, strict=True):
            self._into(click.inputs[name], part)
        self._loaded = tuple(weakref.ref(part) for part in side)

    def _into(self, target: Any, tensor: Tensor) -> None:
        if isinstance(tensor, DeviceArray) and tensor.device == self._arrays.device:
            self._copier.copy([(tensor.value, target)])
        else:
            fill(target, on_host(tensor))

    def _brought(self, tensor: Tensor) -> DeviceArray:
        """The tensor on this device."""
        if isinstance(tensor, DeviceArray) and tensor.device == self._arrays.device:
            return tensor
        array = on_host(tensor)
        brought = self._arrays.resident(array.shape)
        fill(brought.value, array)
        return brought

    def _kept(self, value: Any) -> DeviceArray:
        """A copy of an array that the next run writes over."""
        kept = self._arrays.resident(value.shape())
        self._copier.copy([(value, kept.value)])
        return kept

    def _shared(self, lane: _Lane, work: Callable[[], T]) -> T:
        with _GATE.shared():
            return lane(work)


class _Lane:
    """A thread on which all runs of some graphs are made, one after the other."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __call__(self, work: Callable[[], T]) -> T:
        return self._pool.submit(work).result()

    def close(self) -> None:
        self._pool.shutdown()
