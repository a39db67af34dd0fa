"""A graph's run on memory of its own, recorded as a CUDA graph. Knows no library."""

from __future__ import annotations

from collections.abc import Mapping

from edgesam.engines.device.placing import Lying, Placing
from edgesam_kernels.device import Device, Graph, Memory, Stream


class SteadyRun:
    """What it is given is copied to there, and what it makes is copied from there: a CUDA graph
    knows addresses, and the copies take microseconds.

    Attributes:
        given: the inputs' shapes that it is for.
    """

    def __init__(
        self,
        placing: Placing,
        device: Device,
        stream: Stream,
        given: Mapping[str, Lying],
        made: Mapping[str, Lying],
    ) -> None:
        """
        Args:
            placing: from now on for this alone.
            device, stream: where it runs.
            given, made: inputs and outputs of the sizes that it is for.

        Raises:
            DeviceOutOfMemory: there is no memory for it.
            BundleError: the graph does not take such inputs.
        """
        self._placing, self._device, self._stream = placing, device, stream
        self._memory: dict[str, Memory] = {}
        self._graph: Graph | None = None
        self.given = {name: each.shape for name, each in given.items()}
        for name, each in (*given.items(), *made.items()):
            self._memory[name] = device.memory(max(1, each.nbytes))
        placing.shaped(self.given)
        placing.place({name: memory.pointer for name, memory in self._memory.items()})

    def __call__(self, given: Mapping[str, Lying], made: Mapping[str, Lying]) -> None:
        """Give the stream one computation."""
        for name, each in given.items():
            self._device.copy(self._memory[name].pointer, each.pointer, each.nbytes, self._stream)
        if self._graph is None:
            self._placing.launch()
        else:
            self._graph.launch(self._stream)
        for name, each in made.items():
            self._device.copy(each.pointer, self._memory[name].pointer, each.nbytes, self._stream)

    def record(self) -> None:
        """From now on it is one launch. It has run before, on the same thread: only then has the
        library all that it allocates.

        Raises:
            DeviceError, EdgeSamError: something in it cannot be recorded.
        """
        self._graph = self._device.capture(
            self._stream, lambda: self._placing.launch(recording=True)
        )

    def close(self) -> None:
        """Free it; nothing is under way."""
        if self._graph is not None:
            self._graph.close()
        self._placing.close()
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()
