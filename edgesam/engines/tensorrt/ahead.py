"""Plans of a whole bundle built ahead of time, for cards that are elsewhere. Knows no session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgesam.bundle import PLANS, Bundle
from edgesam.engines.tensorrt.building import Tell
from edgesam.engines.tensorrt.flavour import RTX
from edgesam.engines.tensorrt.making import Target, write_ahead
from edgesam.engines.tensorrt.network import capabilities_known
from edgesam.engines.tensorrt.types import PRECISIONS, precision_of
from edgesam.errors import BundleError, EngineUnavailable
from edgesam.manifest import ROLES

# Not in one plan with the others: the library says that they would be slower for it.
_APART = ("7.5",)


def plans_ahead(
    bundle: Bundle, capabilities: Sequence[str], tell: Tell, variants: Sequence[str] | None = None
) -> list[Path]:
    """Build the plans of TensorRT-RTX for a bundle, beside its files; no GPU is needed.

    Args:
        bundle: opened.
        capabilities: as ``8.6``, which one plan is to serve; empty for all that TensorRT-RTX
            builds for but Turing's 7.5.
        tell: takes lines of progress.
        variants: of the bundle; None for all that TensorRT runs.

    Returns:
        The plans, each once.

    Raises:
        BundleError: a file cannot be read or written, or has no such variant.
        ChecksumMismatch: a file was changed.
        EngineUnavailable: TensorRT-RTX is not here, or does not build for such a card.
        OutOfMemory, PrecisionMismatch: as building does.
    """
    target = ahead_of_time(capabilities)
    folder = bundle.path / PLANS
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror}") from None
    if variants is None:
        variants = [name for name in bundle.variants if name in PRECISIONS]
    found: dict[Path, None] = {}
    for name in variants:
        _, variant = bundle.variant(name)
        if variant.weights is not None:
            bundle.verified(variant.weights)
        for role in ROLES:
            graph = bundle.verified(variant.graph(role))
            found[write_ahead(graph, precision_of(role, name), target, folder, tell)] = None
    return list(found)


def ahead_of_time(capabilities: Sequence[str] = ()) -> Target:
    """What to build for.

    Raises:
        EngineUnavailable: TensorRT-RTX is not here, or does not build for one of them.
    """
    if not RTX.is_installed():
        raise EngineUnavailable(
            "plans are built ahead of time by TensorRT-RTX alone, which is not installed; classic "
            "TensorRT builds them at the first load, on the GPU that runs them. "
            'Try: pip install "edgesam[tensorrt-rtx]"'
        )
    try:
        trt = RTX.load()
    except (ImportError, OSError) as error:
        raise EngineUnavailable(
            f"TensorRT-RTX is installed but cannot be imported ({' '.join(str(error).split())}). "
            "Try: install it again"
        ) from None
    known = capabilities_known(trt)
    if unknown := [text for text in capabilities if text not in known]:
        raise EngineUnavailable(
            f"TensorRT-RTX {trt.__version__} does not build for compute capability "
            f"{', '.join(unknown)}; it does for: {', '.join(known)}"
        )
    wanted = capabilities or [text for text in known if text not in _APART]
    chosen = [text for text in known if text in wanted]  # in one order: they are in the key
    return Target(RTX, trt.__version__, capabilities=tuple(chosen))
