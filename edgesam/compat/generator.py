"""``SamAutomaticMaskGenerator``: the official face of :func:`edgesam.everything`.

Knows the parameters; no point grid, no mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from numpy.typing import ArrayLike

from edgesam.automatic import OutputMode, Parameters, Record, everything
from edgesam.compat.model import SamModel
from edgesam.compat.pictures import rgb_picture
from edgesam.compat.predictor import SamPredictor
from edgesam.sam import Sam


class SamAutomaticMaskGenerator:
    """Masks of everything in a picture, from a grid of points.

    Attributes:
        predictor: holds the model. Every parameter is an attribute too, to be read or changed.
    """

    def __init__(
        self,
        model: SamModel | Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[ArrayLike] | None = None,
        min_mask_region_area: int = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        """Keep the parameters; what they mean stands in :func:`edgesam.everything`.

        Raises:
            ValueError: parameters that cannot be meant.
        """
        self.predictor = SamPredictor(model)
        parameters = Parameters(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=point_grids,
            min_mask_region_area=min_mask_region_area,
            output_mode=output_mode,
        )
        for name, value in vars(parameters).items():
            setattr(self, name, value)

    def generate(self, image: ArrayLike) -> list[Record]:
        """Segment everything.

        Args:
            image: (H, W, 3) uint8, RGB.

        Returns:
            One :class:`~edgesam.automatic.Record` for each mask.

        Raises:
            ImageError: the picture is of another shape or type.
            PromptError: the model takes no points.
        """
        parameters = {field.name: getattr(self, field.name) for field in fields(Parameters)}
        return everything(self.predictor.model.sam, rgb_picture(image), **parameters)
