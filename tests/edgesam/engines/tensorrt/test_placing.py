"""Runs on tensors that stay where they are, and what TensorRT refuses of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam import BundleError
from edgesam.engines.tensorrt.flavour import CLASSIC
from edgesam.engines.tensorrt.graph import TensorRtGraph
from edgesam_kernels.device.fake import FakeDevice


@pytest.fixture
def graph(fake_trt: Any, fake_device: FakeDevice, fake_plan: Callable[..., bytes]) -> TensorRtGraph:
    return TensorRtGraph(CLASSIC, fake_device, fake_plan("side"), name="side", precision="fp16")


def test_shapes_of_the_plan(
    fake_trt: Any, fake_device: FakeDevice, fake_plan: Callable[..., bytes]
) -> None:
    plan = fake_plan("decoder")
    decoder = TensorRtGraph(CLASSIC, fake_device, plan, name="decoder", precision="fp16")
    assert decoder.shape("low_res_masks") == (-1, -1, 8, 8)


def test_each_has_a_context_of_its_own(graph: TensorRtGraph, fake_trt: Any) -> None:
    before = sum(call[0] == "create_execution_context" for call in fake_trt.calls)
    first, second = graph.placing_anew(), graph.placing_anew()
    graph.placing()
    after = sum(call[0] == "create_execution_context" for call in fake_trt.calls)
    assert after - before == 2
    assert first._context is not second._context


def test_what_tensorrt_refuses(
    graph: TensorRtGraph, fake_trt: Any, fake_device: FakeDevice
) -> None:
    placing, memory = graph.placing(), fake_device.memory(1024)
    with pytest.raises(BundleError, match=r"does not take has_mask_input of 3 in side: outside of"):
        placing.shaped({"has_mask_input": (3,)})
    fake_trt.fails["set_tensor_address"] = "not aligned"
    with pytest.raises(BundleError, match="does not take an address for keys in side: not aligned"):
        placing.place({"keys": memory.pointer})
    fake_trt.fails["execute_async_v3"] = "no kernel"
    with pytest.raises(BundleError, match="cannot run side: no kernel"):
        placing.launch()
    fake_trt.fails["create_execution_context"] = "no memory"
    with pytest.raises(BundleError, match="cannot start the plan of side: no memory"):
        graph.placing_anew()
