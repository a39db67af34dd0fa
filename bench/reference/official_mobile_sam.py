"""MobileSAM through its authors' own SamPredictor; knows no file of ours and no other model."""

from __future__ import annotations

import stand_ins
import torch
from official_predictor import OfficialPredictor

stand_ins.install()

from mobile_sam import SamPredictor, sam_model_registry  # noqa: E402  after the stand-ins


class OfficialMobileSam(OfficialPredictor):
    """See :class:`OfficialPredictor`."""

    packages = ("mobilesam-mirror",)
    name = "mobile-sam"
    recipe = "mobile_sam.SamPredictor, eval() called again after the weights were loaded"
    predictor = SamPredictor

    @classmethod
    def build(cls) -> torch.nn.Module:
        """The official network, as it is before it has its weights."""
        return sam_model_registry["vit_t"]()
