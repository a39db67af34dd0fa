"""The kernel *finish* on a device: its tables there, and its launch. Knows no model.

The same as :func:`edgesam_kernels.cpu.finish`, bit for bit, in steps that wait for nothing.
"""

from __future__ import annotations

import numpy as np

from edgesam_kernels.cuda import source
from edgesam_kernels.device.protocol import Device, Stream
from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import TABLE, finished_bytes, row_bytes

_ROWS = 16  # per thread, as in finish.cu
_BLOCK = 32, 4  # threads: bytes of a row, and strips of rows


class Finish:
    """Makes masks of one picture size from one size of logits.

    Attributes:
        low: side of the logits.
        frame: what becomes of them.
    """

    def __init__(self, device: Device, low: int, frame: MaskFrame, stream: Stream) -> None:
        """Compile the kernel and give the upload of its tables to the stream.

        Raises:
            DeviceError: the kernel does not compile.
            DeviceOutOfMemory: there is no room for the tables (16 bytes per row and column).
        """
        self.low, self.frame = low, frame
        self._device = device
        down, across = frame.taps(low)
        options = [f"-DTAPS={len(down.weight)}", f"-DROWS={_ROWS}"]
        options += ["-DPROBABILITIES"] if frame.probabilities else []
        self._kernel = device.module(source("finish"), "finish", options).kernel("finish")
        tables = [table.reshape(-1).view(np.uint8) for table in (*down, *across)]
        self._tables = device.memory(sum(table.size for table in tables))
        device.upload(self._tables.pointer, np.concatenate(tables), stream)
        ends = np.cumsum([0, *(table.size for table in tables[:-1])])
        self._pointers = [self._tables.pointer + int(end) for end in ends]

    def nbytes(self, count: int) -> int:
        """Of the answer for ``count`` masks, as ``edgesam_kernels.finished.read_finished`` reads
        it.
        """
        return finished_bytes(count, self.frame.size)

    def __call__(
        self, stream: Stream, logits: int, count: int, answer: int, offset: float = 1.0
    ) -> None:
        """Give the stream all that is to be done.

        Args:
            stream: where the logits are ready and the answer will be.
            logits: pointer to (count, low, low) float32 on the device.
            count: number of masks, 1 to 65,535.
            answer: pointer to :meth:`nbytes` on the device, aligned to 4 bytes; whatever is there.
            offset: of the logits' threshold, up and down, for ``above`` and ``below``.
        """
        rows, columns = self.frame.size
        table = count * TABLE * 4
        self._device.fill(answer, 0, table, stream)
        grid = (
            -(-row_bytes(columns) // _BLOCK[0]),
            -(-rows // (_BLOCK[1] * _ROWS)),
            count,
        )
        self._kernel.launch(
            stream,
            grid,
            (*_BLOCK, 1),
            logits,
            np.int32(self.low),
            *self._pointers,
            np.int32(rows),
            np.int32(columns),
            self.frame.threshold(offset),
            answer + table,
            answer,
        )

    def close(self) -> None:
        """Give the tables back; no stream may still use them."""
        self._tables.close()
