"""From a checkpoint to a bundle, without PyTorch. Knows the networks; the runtime does not."""

from edgesam_export.exporter import export_bundle

__all__ = ["export_bundle"]
