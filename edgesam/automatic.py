"""Automatic masks: a grid of points asks for everything in a picture, and the best answers stay.

The rules, names and defaults are those of segment-anything's ``SamAutomaticMaskGenerator``. Knows
no engine. A mask is never held in floats at the picture's size, and only as run lengths until the
last ones are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.calls import PROMPTS_PER_CALL
from edgesam.candidates import (
    Bar,
    Candidate,
    find_candidates,
    without_rivals,
    without_small_regions,
)
from edgesam.cine import Cine
from edgesam.crops import crops_of, grids_of
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.mask import encode_runs
from edgesam.place import Place
from edgesam.preprocess import one_picture
from edgesam.prompt import Prompt
from edgesam.sam import Sam
from edgesam.volume import Volume

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]


class Record(TypedDict):
    """One mask, with segment-anything's keys; boxes are x, y, width, height in pixels.

    Attributes:
        segmentation: (H, W) bool; or ``{"size": [H, W], "counts": list[int]}``, run lengths
            column after column; or COCO's text code of them.
        area: number of pixels.
        bbox: from the first pixel to the last one: a mask of one pixel has width 0.
        predicted_iou: the model's own judgement of the mask.
        point_coords: the one point that found it, x and y.
        stability_score: IoU of the masks above ``+stability_score_offset`` and above minus it.
        crop_box: the part of the picture in which it was found.
    """

    segmentation: NDArray[np.bool_] | dict[str, Any]
    area: int
    bbox: list[int]
    predicted_iou: float
    point_coords: list[list[float]]
    stability_score: float
    crop_box: list[int]


@dataclass(frozen=True)
class Parameters:
    """What :func:`everything` takes, checked; see there."""

    points_per_side: int | None = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[ArrayLike] | None = None
    min_mask_region_area: int = 0
    output_mode: OutputMode = "binary_mask"

    def __post_init__(self) -> None:
        if (self.points_per_side is None) == (self.point_grids is None):
            raise ValueError("give exactly one of points_per_side and point_grids")
        least = {"points_per_side": 1, "points_per_batch": 1}
        if self.crop_n_layers:  # else nothing is divided by it, and programs pass 0
            least["crop_n_points_downscale_factor"] = 1
        for name in (*least, "crop_n_layers", "min_mask_region_area"):
            value = getattr(self, name)
            if value is not None and not value >= least.get(name, 0):
                raise ValueError(f"{name} must be at least {least.get(name, 0)}, not {value}")
        for name in ("pred_iou_thresh", "stability_score_thresh", "stability_score_offset"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be a number, not {getattr(self, name)}")
        for name in ("box_nms_thresh", "crop_nms_thresh"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not 0 <= self.crop_overlap_ratio <= 1:
            raise ValueError(f"crop_overlap_ratio must be 0 to 1, not {self.crop_overlap_ratio}")
        if self.output_mode not in get_args(OutputMode):
            modes = ", ".join(get_args(OutputMode))
            raise ValueError(f"output_mode is {self.output_mode!r}, not one of {modes}")

    def grids(self) -> list[NDArray[np.float64]]:
        """For each layer of crops its points (P, 2) as x, y in 0..1.

        Raises:
            ValueError: a layer has no points, or there are some outside the picture.
        """
        layers = self.crop_n_layers
        if self.points_per_side is not None:
            downscale = self.crop_n_points_downscale_factor
            return grids_of(self.points_per_side, layers, downscale)
        grids = [np.asarray(grid, np.float64) for grid in self.point_grids or ()]
        if len(grids) <= layers:
            raise ValueError(
                f"crop_n_layers={layers} needs {layers + 1} point_grids, not {len(grids)}: the "
                "first is for the whole picture"
            )
        for grid in grids:
            if grid.ndim != 2 or grid.shape[1] != 2 or len(grid) == 0:
                raise ValueError(f"a point grid must be (P, 2) as x, y, not {grid.shape}")
            if not ((grid >= 0) & (grid <= 1)).all():
                raise ValueError("point_grids must be 0 to 1 in both directions, not pixels")
        return grids


def everything(
    sam: Sam,
    image: Image | Volume | Cine | NDArray[Any],
    window: Levels | None = None,
    *,
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
    progress: Callable[[int, int], None] | None = None,
) -> list[Record]:
    """Segment whatever is in a picture, as ``SamAutomaticMaskGenerator.generate`` does.

    Args:
        sam: a model that takes points.
        image: what :func:`edgesam.read` returned, or an array; see :meth:`edgesam.sam.Sam.embed`.
        window: grey levels to show, in the image's units.
        points_per_side: of the grid of points; None if ``point_grids`` has them.
        points_per_batch: most points per decoder call; never more than 4 are, since larger
            calls are no faster here.
        pred_iou_thresh: masks that the model judges no better are dropped.
        stability_score_thresh: masks less stable than this are dropped.
        stability_score_offset: how far the logits' threshold is moved to measure stability.
        box_nms_thresh: of masks whose boxes overlap by a greater IoU, the best judged stays.
        crop_n_layers: look again in layers of crops, the i-th of (2**i)**2.
        crop_nms_thresh: as ``box_nms_thresh``, between crops; masks of smaller crops stay.
        crop_overlap_ratio: part of the picture's short side that crops of layer 1 share.
        crop_n_points_downscale_factor: divides ``points_per_side``, once more in each layer.
        point_grids: for each layer (P, 2) points x, y in 0..1, instead of ``points_per_side``.
        min_mask_region_area: holes and islands of fewer pixels are filled and removed; 0 is off.
        output_mode: how masks are returned; see :class:`Record`. ``binary_mask`` takes H * W
            bytes for each.
        progress: called after each decoder call with the number of points done and of all.

    Returns:
        One record per mask, in the official order: the best judged first; with crops, those of
        the smallest crops first.

    Raises:
        PromptError: the model takes no points; the message names models that do.
        ValueError: parameters that cannot be meant.
        ImageError: pixels that cannot be used.
    """
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
    image = one_picture(image)
    sam.check(Prompt.point(0, 0), image.height, image.width)
    return [
        _record(found, output_mode) for found in _found(sam, image, window, parameters, progress)
    ]


def _found(
    sam: Sam,
    image: Image,
    window: Levels | None,
    parameters: Parameters,
    progress: Callable[[int, int], None] | None,
) -> list[Candidate]:
    """The masks that stay, in the picture and in order."""
    p = parameters
    picture, *parts = crops_of(image.height, image.width, p.crop_n_layers, p.crop_overlap_ratio)
    grids = p.grids()
    total, done = sum(len(grids[crop.layer]) for crop in (picture, *parts)), 0
    bar = Bar(p.pred_iou_thresh, p.stability_score_thresh, p.stability_score_offset)
    step = min(p.points_per_batch, PROMPTS_PER_CALL)
    rgb, _ = image.to_rgb8(window)
    square = Place(aspect=image.pixel_aspect)
    found: list[Candidate] = []
    for crop in (picture, *parts):
        part = Image(rgb[crop.y0 : crop.y1, crop.x0 : crop.x1], place=square)
        embedding = sam.embed(part)
        points = grids[crop.layer] * (crop.width, crop.height)
        in_crop: list[Candidate] = []
        for start in range(0, len(points), step):
            asked = points[start : start + step]
            in_crop += find_candidates(sam, embedding, asked, crop=crop, picture=picture, bar=bar)
            done += len(asked)
            if progress is not None:
                progress(done, total)
        best_first = [c.predicted_iou for c in in_crop]
        in_crop = without_rivals(in_crop, best_first, p.box_nms_thresh)
        found += [candidate.in_picture(picture) for candidate in in_crop]
    if parts:
        smallest_first = [1 / (c.crop.width * c.crop.height) for c in found]
        found = without_rivals(found, smallest_first, p.crop_nms_thresh)
    if p.min_mask_region_area > 0:
        threshold = max(p.box_nms_thresh, p.crop_nms_thresh)
        found = without_small_regions(found, p.min_mask_region_area, threshold)
    return found


def _record(found: Candidate, mode: OutputMode) -> Record:
    segmentation: NDArray[np.bool_] | dict[str, Any]
    if mode == "uncompressed_rle":
        segmentation = {"size": list(found.runs.size), "counts": found.runs.counts.tolist()}
    elif mode == "binary_mask":
        segmentation = found.runs.mask()
    else:
        segmentation = encode_runs(found.runs)
    x0, y0, x1, y1 = found.box
    crop = found.crop
    return Record(
        segmentation=segmentation,
        area=found.runs.area,
        bbox=[x0, y0, x1 - x0, y1 - y0],
        predicted_iou=found.predicted_iou,
        point_coords=[list(found.point)],
        stability_score=found.stability,
        crop_box=[crop.x0, crop.y0, crop.width, crop.height],
    )
