"""TensorRT on an NVIDIA GPU, classic 10 and 11 or TensorRT-RTX. Imports them at the first load."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.engines.blobs import Blob
from edgesam.engines.protocol import Graphs
from edgesam.engines.refusal import device_for
from edgesam.engines.tensorrt.flavour import Flavour, flavour_here
from edgesam.engines.tensorrt.making import Target, forget_plan, plan_for
from edgesam.engines.tensorrt.network import IMAGES, POINTS, PROMPTS, capabilities_known
from edgesam.engines.tensorrt.types import PRECISIONS, precision_of
from edgesam.errors import BundleError, EdgeSamError, EngineUnavailable, OutOfMemory
from edgesam.home import home
from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.driver import LIBRARY as _DRIVER

if TYPE_CHECKING:
    from edgesam.engines.device.session import DeviceSession
    from edgesam.engines.tensorrt.graph import TensorRtGraph

logger = logging.getLogger("edgesam")

_DEVICE = "cuda"


class TensorRt:
    """The engine ``tensorrt``."""

    name = "tensorrt"

    def available(self) -> str | None:
        flavour = flavour_here()
        if flavour is None:
            return (
                "needs the package tensorrt or tensorrt-rtx (not installed). "
                'Try: pip install "edgesam[tensorrt-rtx]"'
            )
        try:
            flavour.load()
        except (ImportError, OSError) as error:  # OSError: on Windows a missing library
            line = " ".join(str(error).split())
            return f"has {flavour.title} but cannot use it ({line}). Try: install it again"
        if not driver_is_there():
            return (
                f"TensorRT is installed but no NVIDIA driver was found ({_DRIVER} is missing; the "
                f"package is {flavour.name}): install the GPU's driver, or take another engine"
            )
        from edgesam_kernels.device.opening import why_not

        return why_not("auto")

    def devices(self) -> tuple[str, ...]:
        return () if self.available() is not None else (_DEVICE,)

    def precisions(self, device: str) -> tuple[str, ...]:
        if device != _DEVICE or (flavour := flavour_here()) is None:
            return ()
        # TensorRT-RTX multiplies bytes in weights alone, by its support matrix: Q/DQ pairs of both
        # sides may run in it as floats.
        return ("fp16", "fp32") if flavour.is_rtx else ("fp16", "int8", "fp32")

    def open(
        self,
        graphs: Graphs,
        *,
        precision: str,
        device: str,
        threads: int | None,
    ) -> DeviceSession:
        device_for(self, precision, device, runs=PRECISIONS)
        if threads is not None:
            logger.debug("tensorrt runs on the GPU: %d threads are not used", threads)
        flavour = flavour_here()
        assert flavour is not None  # available
        try:
            return _opened(flavour, _open_device(), graphs, precision)
        except DeviceOutOfMemory as error:
            raise OutOfMemory(f"the GPU has not got the memory: {error}") from None
        except DeviceError as error:
            raise EngineUnavailable(f"the GPU cannot be used: {error}") from None


def driver_is_there() -> bool:
    """Whether NVIDIA's driver can be loaded; it is not asked for a GPU."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def _open_device() -> Device:
    from edgesam_kernels.device.opening import open_device

    return open_device("auto", 0)


def _opened(flavour: Flavour, device: Device, graphs: Graphs, precision: str) -> DeviceSession:
    # Only here, as in _loaded: a CPU's start need not wait for what runs on a device.
    from edgesam.engines.device.session import DeviceSession, Limits

    trt = flavour.load()
    major, minor = device.compute_capability
    capability = f"{major}.{minor}"
    known = capabilities_known(trt) if flavour.is_rtx else []
    target = Target(
        flavour,
        trt.__version__,
        gpu=device.name,
        capability=capability,
        driver=device.driver,
        # One that TensorRT-RTX has no name for may yet run: it is asked for the GPU that is here.
        capabilities=(capability,) if capability in known else (),
    )
    loaded: dict[str, TensorRtGraph] = {}
    # Small ones first: what they take tells how long the encoder will.
    for role in ("image_side", "mask_decoder", "image_encoder"):
        path: Path = getattr(graphs, role)
        wanted = precision_of(role, precision)
        loaded[role] = _loaded(device, path, wanted, target, repeats=role == "mask_decoder")
    return DeviceSession(
        loaded["image_encoder"],
        loaded["image_side"],
        loaded["mask_decoder"],
        description=f"tensorrt:{_DEVICE}",
        limits=Limits(PROMPTS, POINTS, IMAGES),
    )


def _loaded(
    device: Device, path: Path, precision: str, target: Target, *, repeats: bool
) -> TensorRtGraph:
    """A graph ready to run; a plan that is kept and refused is built anew, once."""
    from edgesam.engines.tensorrt.graph import TensorRtGraph

    def load(plan: bytes) -> TensorRtGraph:
        return TensorRtGraph(
            target.flavour,
            device,
            plan,
            name=path.name,
            precision=precision,
            cache=_compiled(target.flavour, target, path),
            repeats=repeats,
        )

    plan = plan_for(path, precision, target)
    try:
        return load(plan)
    except BundleError as error:
        logger.warning("the plan is built anew: %s", error)
        forget_plan(path, precision, target)
        return load(plan_for(path, precision, target))


def _compiled(flavour: Flavour, target: Target, graph: Path) -> Blob | None:
    """Where TensorRT-RTX keeps what it compiled of a plan when it was loaded."""
    if not flavour.is_rtx:
        return None
    try:
        return Blob(home() / "tensorrt" / f"{graph.stem}.{target.name}.blob")
    except EdgeSamError:
        return None
