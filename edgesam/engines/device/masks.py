"""The mask decoder on a device: one copy up, one down, one wait; as a CUDA graph. Knows no profile.

All that it reads and writes lies at addresses that stay, so that prompts of a shape that came
before are one launch.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from edgesam.embedding import Tensor, on_host
from edgesam.engines.device.graph import DeviceGraph
from edgesam.engines.device.placing import Placing, Size
from edgesam.engines.device.shape import ALIGNMENT, Shape
from edgesam.engines.device.tensor import OnDevice
from edgesam.engines.protocol import Answer, Prompts
from edgesam.errors import EdgeSamError, EngineUnavailable, OutOfMemory
from edgesam_kernels.device import DeviceError, DeviceOutOfMemory, Graph, Memory
from edgesam_kernels.device.finish import Finish
from edgesam_kernels.device.mirror import Mirror
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import read_finished

logger = logging.getLogger("edgesam")

_GRAPHS = 4  # each has an execution context of its own
_FRAMES = 16  # sizes of pictures whose tables are kept: 16 bytes for each row and column


class DeviceMasks:
    """Many threads may call it, one is served at a time."""

    def __init__(self, decoder: DeviceGraph, side_names: Sequence[str]) -> None:
        """
        Args:
            decoder: the mask decoder; from now on for this alone.
            side_names: which of its inputs are the picture's side.
        """
        self._decoder, self._device, self._stream = decoder, decoder.device, decoder.stream
        self._plain: Placing | None = decoder.placing()
        self._side_names = tuple(side_names)
        self._low = decoder.shape("low_res_masks")[-1]
        self._lock = threading.Lock()
        self._up, self._down = Mirror(self._device), Mirror(self._device)
        self._side: dict[str, tuple[Memory, tuple[int, ...]]] = {}
        self._lying: weakref.ref[Tensor] | None = None  # whose side is there
        self._finishes: OrderedDict[MaskFrame, Finish] = OrderedDict()
        self._seen: OrderedDict[Shape, _Recorded | None] = OrderedDict()
        self._records = self._device.can_capture and not decoder.records

    def answer(
        self,
        side: Sequence[Tensor],
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame | None = None,
        offset: float = 1.0,
    ) -> Answer:
        """Logits, predicted IoU and, of a frame, masks: in host memory, all of it copies.

        Args:
            side: of one picture, shared by all prompts.
            prompts: N, as many as the plan takes at once.
            tokens: K of the four.
            frame: what becomes of the logits.
            offset: of their threshold, up and down, for the counts.

        Raises:
            BundleError: the plan does not take that many points.
            EngineUnavailable: the device failed; the next call begins anew.
            OutOfMemory: there is no memory for it.
        """
        count, points = prompts.labels.shape
        shape = Shape(count, points, len(tokens), self._low, frame, offset)
        with self._lock, self._told():
            if self._plain is None:
                raise ValueError("this session is closed")
            self._make_room(shape)
            self._put_side(side)
            self._put_prompts(shape, prompts, tokens)
            recorded = self._seen.get(shape)
            if recorded is None:
                self._place(shape, self._plain)
                self._work(shape, self._plain)
            else:
                recorded.graph.launch(self._stream)
            self._stream.synchronize()
            found = self._taken(shape)
            self._remember(shape)
            return found

    def close(self) -> None:
        """Free it, after what is under way."""
        with self._lock:
            self._forget()
            self._plain = None
            for finish in self._finishes.values():
                finish.close()
            self._finishes.clear()
            for memory, _ in self._side.values():
                memory.close()
            self._side.clear()
            self._up.close()
            self._down.close()

    def _make_room(self, shape: Shape) -> None:
        moved = self._up.reserve(shape.up.nbytes), self._down.reserve(shape.down.nbytes)
        if any(moved):
            self._drop_graphs(list(self._seen))
        if shape.frame is None:
            return
        if shape.frame not in self._finishes:
            if len(self._finishes) == _FRAMES:
                frame, finish = self._finishes.popitem(last=False)
                self._drop_graphs([each for each in self._seen if each.frame == frame])
                finish.close()
            self._finishes[shape.frame] = Finish(self._device, shape.low, shape.frame, self._stream)
        self._finishes.move_to_end(shape.frame)

    def _put_side(self, side: Sequence[Tensor]) -> None:
        """Once for a picture: its side never changes, and is known by its first tensor."""
        if self._lying is not None and self._lying() is side[0]:
            return
        self._lying = None
        for name, tensor in zip(self._side_names, side, strict=True):
            memory = self._room_for(name, tensor)
            if isinstance(tensor, OnDevice) and tensor.lies_on(self._device):
                tensor.wait(self._stream)
                self._device.copy(memory.pointer, tensor.pointer, tensor.nbytes, self._stream)
                tensor.used(self._stream, self._stream.record())
            else:
                array = np.ascontiguousarray(on_host(tensor), np.float32)
                self._device.upload(memory.pointer, array, self._stream)
        self._lying = weakref.ref(side[0])

    def _room_for(self, name: str, tensor: Tensor) -> Memory:
        held = self._side.get(name)
        if held is None:
            memory = self._device.memory(max(ALIGNMENT, tensor.nbytes))
            self._side[name] = held = memory, tuple(tensor.shape)
        memory, shape = held
        if shape != tuple(tensor.shape):
            raise ValueError(f"{name} of shape {tensor.shape}: this model's has {shape}")
        return memory

    def _put_prompts(self, shape: Shape, prompts: Prompts, tokens: Sequence[int]) -> None:
        layout = shape.up
        block = self._up.host(layout.nbytes)
        layout.piece(block, 0, np.int64)[:] = tokens
        layout.piece(block, 1, np.float32)[:] = prompts.coords.reshape(-1)
        layout.piece(block, 2, np.int32)[:] = prompts.labels.reshape(-1)

    def _place(self, shape: Shape, placing: Placing) -> None:
        """Say where the decoder finds its inputs, with their sizes, and leaves its outputs."""
        tokens, coords, labels = (self._up.pointer + start for start in shape.up.starts)
        iou, logits, _ = (self._down.pointer + start for start in shape.down.starts)
        prompts = shape.prompts, shape.points
        sizes: dict[str, Size] = {name: size for name, (_, size) in self._side.items()}
        sizes |= {
            "mask_tokens": (shape.tokens,),
            "point_coords": (*prompts, 2),
            "point_labels": prompts,
        }
        placing.shaped(sizes)
        placing.place(
            {
                **{name: memory.pointer for name, (memory, _) in self._side.items()},
                "mask_tokens": tokens,
                "point_coords": coords,
                "point_labels": labels,
                "iou_predictions": iou,
                "low_res_masks": logits,
            }
        )

    def _work(self, shape: Shape, placing: Placing, *, recording: bool = False) -> None:
        """Everything of a click between its prompts in pinned memory and its answer there."""
        down = shape.down
        self._up.upload(shape.up.nbytes, self._stream)
        placing.launch(recording=recording)
        if shape.frame is not None:
            _, logits, answer = (self._down.pointer + start for start in down.starts)
            finish = self._finishes[shape.frame]
            finish(self._stream, logits, shape.masks, answer, shape.offset)
        self._down.download(down.nbytes, self._stream)

    def _taken(self, shape: Shape) -> Answer:
        layout = shape.down
        block = self._down.host(layout.nbytes)
        iou = layout.piece(block, 0, np.float32).reshape(shape.prompts, 4).copy()
        size = shape.prompts, shape.tokens, shape.low, shape.low
        logits = layout.piece(block, 1, np.float32).reshape(size).copy()
        if shape.frame is None:
            return Answer(logits, iou, None)
        bits = layout.piece(block, 2, np.uint8)
        return Answer(logits, iou, read_finished(bits, shape.masks, shape.frame.size))

    def _remember(self, shape: Shape) -> None:
        """What came twice among the last shapes will come again: it is recorded."""
        again = shape in self._seen
        recorded = self._seen.pop(shape, None)
        self._seen[shape] = recorded
        if again and recorded is None and self._records:
            try:
                self._seen[shape] = self._record(shape)
            except (EdgeSamError, DeviceError) as error:
                self._records = False
                logger.warning("clicks run without a CUDA graph, and slower: %s", error)
        if len(self._seen) > _GRAPHS:
            self._drop_graphs([next(iter(self._seen))])

    def _record(self, shape: Shape) -> _Recorded:
        """A graph from a way through the decoder of its own: changing one undoes what was recorded
        from it. It runs once before, as libraries need for shapes that are new to them.
        """
        placing = self._decoder.placing_anew()
        try:
            self._place(shape, placing)
            try:
                self._work(shape, placing)
            finally:
                self._stream.synchronize()
            graph = self._device.capture(
                self._stream, lambda: self._work(shape, placing, recording=True)
            )
        except BaseException:
            placing.close()
            raise
        return _Recorded(placing, graph)

    def _drop_graphs(self, shapes: Sequence[Shape]) -> None:
        for shape in shapes:
            recorded = self._seen.pop(shape)
            if recorded is not None:
                recorded.graph.close()
                recorded.placing.close()

    def _forget(self) -> None:
        """Begin anew: nothing is under way, nothing of what was given is relied upon."""
        with suppress(DeviceError):  # a device that failed has nothing under way
            self._stream.synchronize()
        self._lying = None
        with suppress(DeviceError):
            self._drop_graphs(list(self._seen))
        self._seen.clear()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the device as ours; after any of them the next call begins anew."""
        try:
            yield
        except (DeviceOutOfMemory, MemoryError):
            self._forget()
            raise OutOfMemory(
                f"not enough memory for masks on {self._device.name}: close other programs that "
                "use it, or give fewer prompts at once"
            ) from None
        except DeviceError as error:
            self._forget()
            raise EngineUnavailable(f"the device failed in the mask decoder: {error}") from None
        except BaseException:
            self._forget()
            raise


@dataclass(frozen=True)
class _Recorded:
    """A graph and what it was recorded from, which must stay as it is for as long."""

    placing: Placing
    graph: Graph
