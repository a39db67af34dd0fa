"""Sessions of ONNX Runtime, the bindings of them, and what outlives what."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

from edgesam.engines.ort.graph import OrtGraph
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.fake_stream import FakeStream


def test_a_session_that_nobody_closes_goes_before_its_stream() -> None:
    """It waits for the stream when it goes."""
    gone: list[str] = []

    class Watched(FakeStream):
        def __del__(self) -> None:
            gone.append("stream")

    class Leaving(FakeDevice):
        def stream(self) -> FakeStream:
            return Watched(self, 0, 0x5000)

    class Session:
        def get_inputs(self) -> list[Any]:
            return []

        get_outputs = get_inputs

        def io_binding(self) -> Any:
            return SimpleNamespace(session=self, bind_input=None, bind_output=None)

        def __del__(self) -> None:
            gone.append("session")

    graph = OrtGraph(Leaving(), "encoder", lambda _: Session())
    placing = graph.placing()
    for one in (placing, graph._own):
        one.place({})
    del graph, one
    gc.collect()
    assert "session" not in gone, "a way through it is still held"
    placing.me = placing  # type: ignore[attr-defined]
    del placing
    gc.collect()
    assert gone.index("session") < len(gone) - 1
    assert gone[-1] == "stream"
