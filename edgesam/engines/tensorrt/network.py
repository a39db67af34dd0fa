"""A graph as TensorRT takes it: parsed, its free dimensions bounded, built. Knows no GPU.

Networks are strongly typed: precision is what the graph says, and no flag of a builder's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesam.engines.tensorrt.flavour import Flavour
from edgesam.engines.tensorrt.log import is_about_memory, listening
from edgesam.engines.tensorrt.types import check_layers, layers_of
from edgesam.errors import BundleError, EngineUnavailable, OutOfMemory

PROMPTS = 4  # as many as edgesam.calls sends at once
POINTS = 64  # of one prompt, with its box or padding point
IMAGES = 4  # of an encoder whose graph takes several
TOKENS = 4

Shape = tuple[int, ...]
# Least, usual and most of each free dimension; a mask prompt alone has no points. All others are
# mask prompts, of which a run has one: what it may be multiplied with is then known.
_FREE: dict[str, tuple[Shape, Shape, Shape]] = {
    "point_coords": ((1, 0, 2), (1, 2, 2), (PROMPTS, POINTS, 2)),
    "point_labels": ((1, 0), (1, 2), (PROMPTS, POINTS)),
    "mask_tokens": ((1,), (1,), (TOKENS,)),
}
# What a plan depends on beside graph, library and machine: in its key.
OPTIONS = f"2 {_FREE} {IMAGES} TF32=no DETAILED"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Parsed:
    """A network, with what must live as long as it.

    Attributes:
        flavour: whose it is.
        trt: its module.
        log: what it says.
        builder, parser, network: of TensorRT.
        graph: the file.
    """

    flavour: Flavour
    trt: Any
    log: Any
    builder: Any
    parser: Any
    network: Any
    graph: Path


def parsed(flavour: Flavour, graph: Path, precision: str) -> Parsed:
    """A graph's network, its layers' types checked.

    Args:
        flavour: the library.
        graph: an ONNX file.
        precision: that this graph is to run in.

    Raises:
        BundleError: TensorRT cannot read it.
        PrecisionMismatch: it would not compute in that precision.
    """
    trt = flavour.load()
    log = listening(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        raise BundleError(f"{flavour.title} cannot read {graph.name}: {_objection(parser, log)}")
    if not network.num_outputs:  # what an empty file is to it
        raise BundleError(f"{flavour.title} cannot read {graph.name}: it holds no graph")
    check_layers(layers_of(network), precision, graph.name)
    return Parsed(flavour, trt, log, builder, parser, network, graph)


def built(
    network: Parsed,
    capabilities: Sequence[str],
    tell: Tell,
    timing: bytes | None = None,
) -> tuple[Any, bytes | None]:
    """The plan, as a buffer, and the timing cache to be kept.

    Args:
        network: parsed and checked.
        capabilities: as ``8.6``, what TensorRT-RTX builds for; empty for the GPU that is here,
            as classic TensorRT always does.
        tell: takes a word about each phase.
        timing: an earlier build's timing cache, or nothing yet, b""; None keeps none.

    Raises:
        BundleError: it cannot be built.
        EngineUnavailable: the library does not build for one of the capabilities, or for this GPU.
        OutOfMemory: memory ran out.
    """
    trt, log = network.trt, network.log
    config = network.builder.create_builder_config()
    # TensorFloat-32 keeps 10 bits of mantissa: it would not be the fp32 that the graph says.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # types can be read back
    _bound(network, config)
    if network.flavour.is_rtx:
        _aim(network, config, capabilities)
    monitor = _monitor(trt, tell)  # must live as long as the build
    config.progress_monitor = monitor
    cache = None
    if timing is not None and not network.flavour.is_rtx:  # TensorRT-RTX times nothing
        cache = config.create_timing_cache(timing)
        config.set_timing_cache(cache, False)
    plan = network.builder.build_serialized_network(network.network, config)
    if plan is None:
        raise _failure(network, log.take())
    return plan, None if cache is None else bytes(cache.serialize())


def capabilities_known(trt: Any) -> list[str]:
    """What TensorRT-RTX builds for by name, as ``8.6``, ascending."""
    digits = (name[2:] for name in dir(trt.ComputeCapability) if name.startswith("SM"))
    return sorted((f"{text[:-1]}.{text[-1]}" for text in digits), key=_number)


def _number(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))


def _bound(network: Parsed, config: Any) -> None:
    profile = network.builder.create_optimization_profile()
    for index in range(network.network.num_inputs):
        tensor = network.network.get_input(index)
        if tensor.name in _FREE:
            profile.set_shape(tensor.name, *_FREE[tensor.name])
        elif tensor.name == "image" and tensor.shape[0] == -1:
            one, several = (1, *tensor.shape[1:]), (IMAGES, *tensor.shape[1:])
            profile.set_shape(tensor.name, one, one, several)
        elif -1 in tuple(tensor.shape):
            tensor.shape = [1 if size == -1 else size for size in tensor.shape]
    if config.add_optimization_profile(profile) < 0:
        raise BundleError(
            f"{network.flavour.title} does not take the sizes of {network.graph.name}: "
            f"{network.log.take()}"
        )


def _aim(network: Parsed, config: Any, capabilities: Sequence[str]) -> None:
    """Say what TensorRT-RTX is to build for. One it has no name for may still be the one here."""
    known = network.trt.ComputeCapability
    wanted = [f"SM{text.replace('.', '')}" for text in capabilities] or ["CURRENT"]
    for name in wanted:
        if not hasattr(known, name):
            raise EngineUnavailable(
                f"{network.flavour.title} {network.trt.__version__} does not build for compute "
                f"capability {name[2:-1]}.{name[-1]}; it does for: "
                f"{', '.join(capabilities_known(network.trt))}"
            )
    config.num_compute_capabilities = len(wanted)
    for index, name in enumerate(wanted):
        config.set_compute_capability(getattr(known, name), index)


def _monitor(trt: Any, tell: Tell) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, *_: object) -> None:
            tell(phase_name)

        def phase_finish(self, *_: object) -> None: ...

        def step_complete(self, *_: object) -> bool:
            return True  # go on

    return Monitor()


def _objection(parser: Any, log: Any) -> str:
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        text = " ".join(str(error.desc()).split())
        return f"{text} (node {error.node_name() or error.node()})"
    said: str = log.take()
    return said


def _failure(network: Parsed, said: str) -> Exception:
    where = f"{network.flavour.title} cannot build {network.graph.name}"
    if is_about_memory(said):
        return OutOfMemory(
            f"{network.flavour.title} ran out of memory while building {network.graph.name}: close "
            f"other programs, or take a smaller model ({said})"
        )
    if "cuda" in said.lower():
        return EngineUnavailable(f"{where} on this GPU: {said}")
    return BundleError(f"{where}: {said}")
