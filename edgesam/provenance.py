"""What made a mask: model, graphs, engine and the grey levels that it saw. Knows no patient."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """Written into results, so that a mask can be made again.

    Attributes:
        model: its name, as ``lite-medsam``.
        variant: the precision that ran, as ``fp32``.
        engine: engine and device that ran, as ``onnxruntime:cpu``.
        image_encoder: sha256 of the encoder's graph.
        mask_decoder: sha256 of the decoder's graph.
        mapping: how pixels became 8-bit grey levels, in words.
    """

    model: str
    variant: str
    engine: str
    image_encoder: str
    mask_decoder: str
    mapping: str
