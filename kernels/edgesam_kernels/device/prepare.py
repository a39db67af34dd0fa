"""Launches the kernels that make a network's input of a picture on a CUDA device. Knows no model.

The same as :func:`edgesam_kernels.cpu.prepare`, bit for bit. A picture passes through memory once
if it is normalised by constants, twice if by the range of what it is resized to; a spline's filters
run over whole lines: six or seven kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgesam_kernels.cuda import source
from edgesam_kernels.device.block import Block
from edgesam_kernels.device.protocol import Device, Kernel, Stream
from edgesam_kernels.device.spline import Spline
from edgesam_kernels.grey import GreyTable
from edgesam_kernels.normalize import mean_std_table, min_max_table
from edgesam_kernels.prepare import Preparation
from edgesam_kernels.taps import Filter, resize_filter

_THREADS = (32, 8, 1)
_RANGE = 8  # bytes: two int32


class _Pass(NamedTuple):
    """A kernel and how many threads it needs in x, y and z."""

    kernel: Kernel
    threads: tuple[int, int, int]

    def launch(self, stream: Stream, *arguments: np.generic | int) -> None:
        x, y, z = self.threads
        grid = (-(-x // _THREADS[0]), -(-y // _THREADS[1]), z)
        self.kernel.launch(stream, grid, _THREADS, *arguments)


class Prepare:
    """Pictures of one size and type, made into a network's input by one rule.

    It holds its tables and scratch memory on the device, so that a call allocates nothing,
    copies nothing from the host and never waits; it may be captured in a graph. The scratch memory
    serves one picture at a time: give work to one stream, or order the streams by events.
    """

    def __init__(
        self,
        device: Device,
        shape: tuple[int, ...],
        grey: GreyTable,
        rule: Preparation,
        stream: Stream,
    ) -> None:
        """
        Args:
            device: where.
            shape: of the pictures, (H, W) or (H, W, 3).
            grey: makes grey levels of their pixels; :meth:`show` takes another of its kind.
            rule: the rest.
            stream: where its tables are uploaded.

        Raises:
            ValueError: pictures of another shape.
            DeviceError: a kernel does not compile.
            DeviceOutOfMemory: the device has not got the memory.
        """
        if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or min(shape) < 1:
            raise ValueError(f"pictures are (height, width) or (height, width, 3); found {shape}")
        self._device, self._rule = device, rule
        self._size = (shape[0], shape[1])
        self._channels = 3 if len(shape) == 3 else 1
        self._grey = grey
        self._planes = 3 if self._channels == 3 or len(grey.entries) == 3 else 1
        self._block = Block()
        target = (rule.rows, rule.columns)
        self._spline: Spline | None = None
        if rule.resize != "spline-cubic":
            self._filter = resize_filter(rule.resize, self._size, target)
        else:  # levels as they are; the spline follows, unless nothing is resized
            self._filter = resize_filter("area", self._size, self._size)
            if self._size != target:
                self._spline = Spline(device, self._block, self._planes, self._size, target)
        self._keeps = rule.normalization == "min-max" or self._spline is not None
        self._place_tables()
        self._resize = self._resize_pass()
        self._normalize = self._normalize_pass() if self._keeps else None
        self._block.allocate(device, stream)

    @property
    def nbytes(self) -> int:
        """Of its tables and scratch memory on the device."""
        return self._block.nbytes

    def show(self, grey: GreyTable, stream: Stream) -> None:
        """Other grey levels from now on in that stream; not to be captured in a graph.

        Raises:
            ValueError: they are of other pixels, or have another number of tables.
        """
        entries = self._grey.entries
        if (grey.dtype, grey.entries.shape) != (self._grey.dtype, entries.shape):
            raise ValueError(
                f"this plan has {len(entries)} table(s) of {self._grey.dtype} pixels; found "
                f"{len(grey.entries)} of {grey.dtype}: make another plan"
            )
        self._grey = grey
        self._device.upload(self._block.pointer("grey"), grey.entries, stream)

    def __call__(self, stream: Stream, pixels: int, pitch: int, network: int) -> None:
        """Give the stream all that is to be done for one picture.

        Args:
            stream: where the pixels are ready and the answer will be.
            pixels: on the device, of the plan's shape and type; red, green and blue side by side.
            pitch: bytes from row to row.
            network: on the device, (1, 3, square, square) of the rule's type; whatever is there.

        Raises:
            ValueError: rows would overlap, or their pixels do not lie at whole multiples.
        """
        size = self._grey.dtype.itemsize
        least = self._size[1] * self._channels * size
        if pitch < least or pitch % size or pixels % size:
            raise ValueError(
                f"rows of {least} bytes cannot lie {pitch} bytes apart from address {pixels:#x} on"
            )
        rule, at = self._rule, self._block.pointer
        square = np.int32(rule.square)
        if not self._keeps:
            self._give_resize(stream, pixels, pitch, at("words"), network, square)
            return
        levels, extent = at("levels"), at("range")
        self._device.fill(extent, 0, 2 * _RANGE, stream)
        self._give_resize(stream, pixels, pitch, levels, extent)
        if self._spline is not None:
            of_pixels, extent = extent, extent + _RANGE
            self._spline.launch(stream, levels, of_pixels, at("resized"), extent)
            levels = at("resized")
        assert self._normalize is not None
        size_in_square = np.int32(rule.rows), np.int32(rule.columns)
        self._normalize.launch(
            stream, levels, extent, *size_in_square, at("words"), network, square
        )

    def close(self) -> None:
        """Give its memory back; no stream may still use it."""
        self._block.close()

    def _place_tables(self) -> None:
        rule, block = self._rule, self._block
        block.place("grey", self._grey.entries)
        for name, taps in (("row", self._filter.rows), ("column", self._filter.columns)):
            block.place(f"first_{name}", taps.first)
            block.place(f"{name}_weights", taps.weights)
        min_max = rule.normalization == "min-max"
        words = min_max_table() if min_max else mean_std_table(rule.mean, rule.std)
        block.place("words", words.astype(rule.dtype))
        if self._keeps:
            block.reserve("range", 2 * _RANGE)
            rows, columns = self._resized()
            block.reserve("levels", self._planes * rows * columns)
        if self._spline is not None:
            block.reserve("resized", 3 * rule.rows * rule.columns)

    def _resized(self) -> tuple[int, int]:
        """Rows and columns that the first pass leaves."""
        return self._size if self._spline is not None else (self._rule.rows, self._rule.columns)

    def _resize_pass(self) -> _Pass:
        side = self._rule.square
        rows, columns = self._resized() if self._keeps else (side, side)
        options = [
            f"-DPIXEL_BYTES={self._grey.dtype.itemsize}",
            f"-DCHANNELS={self._channels}",
            f"-DTABLES={len(self._grey.entries)}",
            f"-DRULE={self._filter.rule}",
            *(["-DDOWN_FIRST"] if self._filter.down_first else []),
            *(["-DKEEP"] if self._keeps else [self._word_bytes()]),
        ]
        return _Pass(
            _kernel(self._device, "prepare_resize", options), (columns, rows, self._planes)
        )

    def _normalize_pass(self) -> _Pass:
        options = [self._word_bytes()]
        if self._rule.normalization == "min-max":
            options.append("-DMIN_MAX")
        planes = 3 if self._spline is not None else self._planes
        kernel = _kernel(self._device, "prepare_normalize", options)
        return _Pass(kernel, (self._rule.square, self._rule.square, planes))

    def _word_bytes(self) -> str:
        return f"-DWORD_BYTES={np.dtype(self._rule.dtype).itemsize}"

    def _give_resize(
        self, stream: Stream, pixels: int, pitch: int, *target: np.generic | int
    ) -> None:
        rows, columns = self._resized()
        self._resize.launch(
            stream,
            pixels,
            np.int64(pitch),
            self._block.pointer("grey"),
            *_axis(self._block, self._filter, "row", self._size[0]),
            *_axis(self._block, self._filter, "column", self._size[1]),
            np.int32(rows),
            np.int32(columns),
            *target,
        )


def _axis(block: Block, filter: Filter, name: str, size: int) -> tuple[np.generic | int, ...]:
    """An axis's part of the arguments of ``prepare_resize``."""
    taps = filter.rows if name == "row" else filter.columns
    count = np.int32(taps.weights.shape[1])
    pointers = block.pointer(f"first_{name}"), block.pointer(f"{name}_weights")
    return (*pointers, count, np.int32(size))


def _kernel(device: Device, name: str, options: list[str]) -> Kernel:
    return device.module(source(name), name, options).kernel(name)
