"""From a checkpoint to a bundle, without PyTorch. Knows the networks; the runtime does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgesam import __version__

if TYPE_CHECKING:
    from edgesam_export.exporter import export_bundle

__all__ = ["BUILDER", "VARIANTS", "export_bundle"]

BUILDER = f"edgesam {__version__}"  # what a manifest says of who wrote it
VARIANTS = ("fp32", "fp16", "bf16", "int8")  # what can be written


def __getattr__(name: str) -> Any:
    # The commands of this package are listed by `edgesam --help`, which must not load onnx.
    if name == "export_bundle":
        from edgesam_export.exporter import export_bundle

        return export_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
