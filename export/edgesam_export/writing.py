"""Writes the graphs of one variant after the other into a scratch folder, checked. Knows which
graphs a variant has of its own; neither layers nor how a precision gets into a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgesam.errors import ExportError
from edgesam.manifest import Computed, Role, Variant
from edgesam_bench.passports import shipped_passport
from edgesam_export.graphs.net import Net
from edgesam_export.measured import entered
from edgesam_export.verify import verify_graph


@dataclass(frozen=True)
class Written:
    """A variant whose files are finished.

    Attributes:
        variant: its entry in the manifest, with the passport that ships for it, if one does.
        files: name in the bundle -> where the file lies; those of another variant are not named.
    """

    variant: Variant
    files: Mapping[str, Path]


class Writing:
    """Of one bundle.

    Args:
        scratch: folder for files.
        progress: told what is happening.
    """

    def __init__(self, scratch: Path, progress: Callable[[str], None]) -> None:
        self._scratch = scratch
        self._progress = progress

    def whole(self, name: str, nets: Mapping[Role, Net]) -> Written:
        """A variant of three graphs of its own.

        Raises:
            ExportError: a graph does not fit together, or a weight does not fit its type.
        """
        files: dict[str, Path] = {}
        self._progress(f"writing the {name} graphs")
        paths = {role: self._scratch / f"{role}.{name}.onnx" for role in nets}
        beside = {role: net.save(paths[role]) for role, net in nets.items()}
        weights = beside.pop("image_encoder")
        for within in beside.values():
            if within is not None:
                raise ExportError(f"the decoder's weights are too many for their file: {within}")
        self._progress(f"checking the {name} graphs")
        for path in paths.values():
            verify_graph(path)
        variant = Variant(
            image_encoder=entered(paths["image_encoder"], files),
            image_side=entered(paths["image_side"], files),
            mask_decoder=entered(paths["mask_decoder"], files),
            weights=None if weights is None else entered(weights, files),
            passport=None,
        )
        return self._vouched(name, variant, files)

    def encoder(self, name: str, encoder: Net, fp32: Variant) -> Written:
        """A variant of one encoder before the decoder of fp32; raises as :meth:`whole`."""
        files: dict[str, Path] = {}
        self._progress(f"writing the {name} graph")
        path = self._scratch / f"image_encoder.{name}.onnx"
        beside = encoder.save(path)
        verify_graph(path)
        weights = None if beside is None else entered(beside, files)
        variant = replace(fp32, image_encoder=entered(path, files), weights=weights, passport=None)
        return self._vouched(name, variant, files)

    def computed(self, computed: Computed, fp32: Variant) -> Written:
        """A variant of fp32's graphs, computed otherwise."""
        variant = replace(fp32, passport=None, computed=computed)
        return self._vouched(computed.precision, variant, {})

    def _vouched(self, name: str, variant: Variant, files: dict[str, Path]) -> Written:
        """With the passport that ships for these graphs, if one does."""
        report = shipped_passport(variant.graphs)
        if report is not None:
            passport = self._scratch / f"passport.{name}.json"
            passport.write_bytes(report)
            variant = replace(variant, passport=entered(passport, files))
        return Written(variant, files)
