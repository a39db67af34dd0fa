"""Launches the kernels of a cubic spline through a picture of levels. Knows no normalisation."""

from __future__ import annotations

import numpy as np

from edgesam_kernels.cuda import source
from edgesam_kernels.device.block import Block
from edgesam_kernels.device.protocol import Device, Kernel, Stream
from edgesam_kernels.spline import POLE, gaussian, spline_taps

_THREADS = (32, 8, 1)
_LINES = (32, 1, 1)  # few: lines run for long, and there should be blocks for all of the device


class Spline:
    """Levels (planes, rows, columns) -> (3, rows, columns) at another size, and their range.

    The steps of :func:`edgesam_kernels.spline.resize_cubic`, to the bit.
    """

    def __init__(
        self,
        device: Device,
        block: Block,
        planes: int,
        size: tuple[int, int],
        target: tuple[int, int],
    ) -> None:
        """
        Args:
            device: where.
            block: takes its tables and scratch memory.
            planes: of the picture, 1 or 3; 1 stands for three that are the same.
            size, target: rows and columns before and after.
        """
        self._block, self._planes = block, planes
        self._size, self._target = size, target
        down, across = (gaussian(s / t) for s, t in zip(size, target, strict=True))
        self._radii = len(down) // 2, len(across) // 2
        block.place("gaussian_down", down)
        block.place("gaussian_across", across)
        for name, s, t in zip(("row", "column"), size, target, strict=True):
            taps = spline_taps(s, t)
            block.place(f"spline_{name}_cells", taps.cell.astype(np.int32))
            block.place(f"spline_{name}_weights", taps.weight)
        block.place("spline_through", spline_taps(3, 3).weight[:, 0])
        block.reserve("samples", 8 * planes * size[0] * size[1])
        if self._radii[1]:
            block.reserve("smooth", 8 * planes * size[0] * size[1])
        self._smooth_down = _kernel(device, "prepare_smooth", "-DSAMPLE_BYTES=1", "-DDOWN")
        self._smooth_across = _kernel(device, "prepare_smooth", "-DSAMPLE_BYTES=8")
        self._filter = _kernel(device, "prepare_spline")
        self._blend = _kernel(device, "prepare_blend", f"-DPLANES={planes}")

    def launch(
        self, stream: Stream, levels: int, levels_range: int, resized: int, resized_range: int
    ) -> None:
        """Give it to a stream.

        Args:
            stream: where it runs.
            levels: (planes, rows, columns) uint8 on the device.
            levels_range: theirs, two int32: ``prepare_keep.cuh``.
            resized: (3, rows, columns) uint8 on the device, which is filled.
            resized_range: of those, two int32 that are zeros.
        """
        at, (rows, columns) = self._block.pointer, self._size
        size = np.int32(rows), np.int32(columns)
        picture = _grid(rows, columns, self._planes), _THREADS
        samples = at("samples")
        weights = at("gaussian_down"), np.int32(self._radii[0])
        self._smooth_down.launch(stream, *picture, levels, *size, *weights, samples)
        if self._radii[1]:
            weights = at("gaussian_across"), np.int32(self._radii[1])
            self._smooth_across.launch(stream, *picture, samples, *size, *weights, at("smooth"))
            samples = at("smooth")
        self._filter_lines(stream, samples, columns, rows * columns, 1, rows, columns)
        self._filter_lines(stream, samples, rows, rows * columns, columns, columns, 1)
        self._blend.launch(
            stream,
            _grid(*self._target, 1),
            _THREADS,
            samples,
            *size,
            *(at(f"spline_{axis}_{table}") for axis in ("row", "column") for table in _TABLES),
            at("spline_through"),
            np.float64(POLE**2),
            levels_range,
            *(np.int32(side) for side in self._target),
            resized,
            resized_range,
        )

    def _filter_lines(
        self,
        stream: Stream,
        samples: int,
        group: int,
        group_step: int,
        line_step: int,
        size: int,
        step: int,
    ) -> None:
        """All lines of one axis: ``prepare_spline.cu``."""
        if size == 1:
            return
        lines = self._planes * group
        self._filter.launch(
            stream,
            (-(-lines // _LINES[0]), 1, 1),
            _LINES,
            samples,
            np.int32(lines),
            np.int32(group),
            np.int64(group_step),
            np.int64(line_step),
            np.int32(size),
            np.int64(step),
            np.float64(POLE ** (size - 1)),
        )


_TABLES = ("cells", "weights")


def _grid(rows: int, columns: int, planes: int) -> tuple[int, int, int]:
    return -(-columns // _THREADS[0]), -(-rows // _THREADS[1]), planes


def _kernel(device: Device, name: str, *options: str) -> Kernel:
    return device.module(source(name), name, options).kernel(name)
