"""One graph in ONNX Runtime on CUDA, on a stream of ours. Knows no providers and no bundle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from edgesam.engines.device.graph import DeviceGraph
from edgesam.engines.device.placing import Lying, Size
from edgesam.engines.device.steady import SteadyRun
from edgesam.engines.ort.placing import Declared, Opened, OrtPlacing
from edgesam.errors import EdgeSamError
from edgesam_kernels.device import Device, DeviceError

logger = logging.getLogger("edgesam")


class OrtGraph(DeviceGraph):
    """What is asked twice with the same sizes is recorded: ONNX Runtime launches kernel by kernel,
    which takes the host longer than a small encoder takes the device. Until then, and where it
    cannot be, each run is waited for (why: :class:`~edgesam.engines.ort.placing.Opened`).
    """

    def __init__(self, device: Device, name: str, start: Callable[[int], Any]) -> None:
        """Load it.

        Args:
            device: where it runs.
            name: of the graph, for messages.
            start: makes an ``InferenceSession`` that computes on the ``CUstream`` of this handle
                and nowhere else.

        Raises:
            BundleError, EngineUnavailable, OutOfMemory, PrecisionMismatch: as ``start`` does.
        """
        super().__init__(device, name, "onnxruntime")
        with device.current():
            session = start(self.stream.handle)
        self._opened = Opened(session, self.stream)
        self._declared = Declared(session, name)
        self.inputs, self.outputs = self._declared.inputs, self._declared.outputs
        self.types = self._declared.types
        self._own = self.placing()
        self._can_record = device.can_capture
        self._last: dict[str, Size] = {}
        self._steady: SteadyRun | None = None

    def placing(self) -> OrtPlacing:
        return OrtPlacing(self._opened, self._declared, self.device)

    def shape(self, name: str) -> Size:
        return self._declared.shape(name)

    def _compute(self, given: Mapping[str, Lying], made: Mapping[str, Lying]) -> None:
        shapes = {name: each.shape for name, each in given.items()}
        if self._steady is not None and self._steady.given == shapes:
            self._steady(given, made)
        elif not (self._can_record and self._steady is None and self._last == shapes):
            self._last = shapes
            super()._compute(given, made)
        elif not self._record(given, made):
            super()._compute(given, made)

    def _record(self, given: Mapping[str, Lying], made: Mapping[str, Lying]) -> bool:
        """Compute once, by what is then recorded; whether it is."""
        try:
            self._steady = self._recorded(given, made)
        except (EdgeSamError, DeviceError) as error:
            self._can_record = False
            logger.warning("%s runs without a CUDA graph, and slower: %s", self.name, error)
        return self._can_record

    def _recorded(self, given: Mapping[str, Lying], made: Mapping[str, Lying]) -> SteadyRun:
        steady = SteadyRun(self.placing(), self.device, self.stream, given, made)
        try:
            steady(given, made)
            steady.record()
        except BaseException:
            with suppress(DeviceError):  # a device that failed has nothing under way
                self.stream.synchronize()
            steady.close()
            raise
        return steady

    def _release(self) -> None:
        if self._steady is not None:
            with suppress(DeviceError):
                self._steady.close()
        self._own.close()
        self._steady = self._opened.session = None
