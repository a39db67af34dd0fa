"""What ``edgesam segment`` found in one picture, from prompts or everywhere; knows no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgesam.image import Image
    from edgesam.levels import Levels
    from edgesam.mask import Mask
    from edgesam.sam import Sam


@dataclass(frozen=True)
class Objects:
    """The objects of a picture in the order of their labels.

    Attributes:
        mapping: how pixels became 8-bit grey levels, in words.
        masks: (H, W) bool each.
        records: of each object, ready for JSON.
        told: lines for a person.
        pixels: what the mask's file holds: (H, W) bool, or labels from 1 with 0 for nothing.
    """

    mapping: str
    masks: Sequence[NDArray[np.bool_]]
    records: list[dict[str, Any]]
    told: list[str]
    pixels: NDArray[np.bool_] | NDArray[np.uint32]


def from_answers(masks: list[Mask], mapping: str) -> Objects:
    """One object for each prompt's answer; where several overlap the later one wins."""
    from edgesam.labels import label_map

    records = [
        {
            "score": round(m.score, 4),
            "area": m.area,
            "box": m.box,
            "measured": asdict(m.measured),
            "rle": m.to_rle(),
        }
        for m in masks
    ]
    told = [_line(number, mask) for number, mask in enumerate(masks, start=1)]
    arrays = [mask.array for mask in masks]
    pixels = arrays[0] if len(arrays) == 1 else label_map(arrays, arrays[0].shape)
    return Objects(mapping, arrays, records, told, pixels)


def without_pixels(record: dict[str, Any]) -> dict[str, Any]:
    """An object's record where its pixels are in the mask's file."""
    return {key: value for key, value in record.items() if key != "rle"}


def _line(number: int, mask: Mask) -> str:
    if not mask.area:
        return f"object {number}: nothing was found here"
    found = f"{mask.area} pixels in box {mask.box}, predicted IoU {mask.score:.3f}"
    size = mask.measured if mask.area_mm2 is not None else mask.measured.spacing
    return f"object {number}: {found}; {size}"


def from_everywhere(
    sam: Sam,
    image: Image,
    window: Levels | None,
    points_per_side: int,
    progress: Callable[[str], None],
) -> Objects:
    """Whatever a grid of points finds, the largest first: smaller masks lie on top of larger ones.

    Raises:
        PromptError: the model takes no points.
    """
    from edgesam.automatic import everything
    from edgesam.labels import label_map

    found = everything(
        sam,
        image,
        window,
        points_per_side=points_per_side,
        output_mode="coco_rle",
        progress=lambda done, of: progress(f"segmenting everything: {done} of {of} points"),
    )
    found.sort(key=lambda record: -record["area"])
    records = [
        {
            "area": record["area"],
            "bbox": record["bbox"],
            "predicted_iou": round(record["predicted_iou"], 4),
            "stability_score": round(record["stability_score"], 4),
            "point": record["point_coords"][0],
            "rle": record["segmentation"],
        }
        for record in found
    ]
    masks = Packed([cast("dict[str, Any]", record["segmentation"]) for record in found])
    areas = [record["area"] for record in found]
    told = ["nothing was found; try more --points-per-side"]
    if len(areas) == 1:
        told = [f"1 object of {areas[0]} pixels"]
    elif areas:
        told = [
            f"{len(areas)} objects: label 1 is the largest ({areas[0]} pixels), "
            f"label {len(areas)} the smallest ({areas[-1]})"
        ]
    _, mapping = image.to_rgb8(window)
    labels = label_map(masks, (image.height, image.width))
    return Objects(mapping, masks, records, told, labels)


class Packed(Sequence["NDArray[np.bool_]"]):
    """Masks as COCO's text code, each unpacked when it is asked for: hundreds would fill memory."""

    def __init__(self, codes: Sequence[dict[str, Any]]) -> None:
        self._codes = codes

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice) -> Packed: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.bool_] | Packed:
        from edgesam.mask import decode_rle

        if isinstance(index, slice):
            return Packed(self._codes[index])
        return decode_rle(self._codes[index])
