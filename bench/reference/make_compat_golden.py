"""Makes the golden file of edgesam.compat: segment-anything's example notebooks, on MobileSAM.

    python bench/reference/make_compat_golden.py --mobile-sam mobile_sam.pt --out tests/golden

Each function below makes the library calls of one notebook (``predictor_example.ipynb``,
``automatic_mask_generator_example.ipynb``) with segment-anything's own predictor and generator,
and what else the predictor accepts; tests/edgesam/test_compat_official.py makes the same calls of
edgesam. The pictures are phantoms, so that nobody's photographs are needed. Knows no engine.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paths  # noqa: F401  makes edgesam_bench importable without installing it
import torch
from official_mobile_sam import OfficialMobileSam
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.utils.transforms import ResizeLongestSide
from weights import load_weights

from edgesam_bench.golden import sampled
from edgesam_bench.phantoms import Phantom, draw

PACKAGES = ("segment-anything", "mobilesam-mirror", "torch", "numpy", "pillow")
# height, width, seed of the colour pictures: the notebooks' truck and groceries.
TRUCK, GROCERIES = (240, 320, 15), (310, 230, 12)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mobile-sam", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    sam = load_weights(OfficialMobileSam.build(), arguments.mobile_sam)
    truck, groceries = (draw(h, w, colour=True, seed=s) for h, w, s in (TRUCK, GROCERIES))
    prompts = prompts_on(truck, groceries)
    arrays: dict[str, np.ndarray] = {}
    predictor = SamPredictor(sam)
    predictor.set_image(truck.pixels)
    notebook(arrays, predictor, prompts)
    end_to_end(arrays, sam, (truck, groceries), prompts)
    beyond(arrays, predictor, truck, prompts)
    records = automatic(arrays, sam, truck)
    about = {
        "checkpoint_sha256": hashlib.sha256(arguments.mobile_sam.read_bytes()).hexdigest(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "pictures": [TRUCK, GROCERIES],
        "prompts": prompts,
        "automatic": records,
    }
    file = arguments.out / "compat_mobile_sam.npz"
    np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
    print(f"{file}: {len(arrays)} arrays, {[len(r) for r in records]} automatic masks")
    print(f"{file.stat().st_size} bytes")
    return 0


def prompts_on(truck: Phantom, groceries: Phantom) -> dict[str, Any]:
    """The notebook's prompts, on what the phantoms show."""
    top, other = truck.ellipses[-1], truck.ellipses[-2]
    return {
        "point": [top.x, top.y],
        "second": [top.x + top.half_width // 2, top.y],
        "outside": [other.x, other.y],
        "box": list(top.box),
        "boxes": [list(ellipse.box) for ellipse in truck.ellipses[1:]],
        "groceries": [list(ellipse.box) for ellipse in groceries.ellipses[1:]],
        "beyond": [-40, top.y - 30, 420, top.y + 30],
    }


def notebook(arrays: dict[str, np.ndarray], predictor: SamPredictor, p: dict[str, Any]) -> None:
    """The cells of predictor_example.ipynb up to the batched prompts."""
    point, label = np.array([p["point"]]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=point, point_labels=label, multimask_output=True
    )
    keep(arrays, "point", (masks, scores, logits))
    best = logits[np.argmax(scores), :, :]
    for name, last, labels in (
        ("two_points", p["second"], [1, 1]),
        ("minus_point", p["outside"], [1, 0]),
    ):
        answer = predictor.predict(
            point_coords=np.array([p["point"], last]),
            point_labels=np.array(labels),
            mask_input=best[None, :, :],
            multimask_output=False,
        )
        keep(arrays, name, answer)
    box = np.array(p["box"])
    keep(
        arrays,
        "box",
        predictor.predict(
            point_coords=None, point_labels=None, box=box[None, :], multimask_output=False
        ),
    )
    keep(
        arrays,
        "box_and_point",
        predictor.predict(
            point_coords=np.array([p["second"]]),
            point_labels=np.array([0]),
            box=box,
            multimask_output=False,
        ),
    )
    boxes = torch.tensor(p["boxes"], device=predictor.device)
    transformed = predictor.transform.apply_boxes_torch(boxes, predictor.original_size)
    answer = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=transformed, multimask_output=False
    )
    keep(arrays, "boxes", answer)


def end_to_end(
    arrays: dict[str, np.ndarray],
    sam: torch.nn.Module,
    pictures: Sequence[Phantom],
    p: dict[str, Any],
) -> None:
    """The last cells of predictor_example.ipynb: the model called on two pictures."""
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    batched = []
    for picture, boxes in zip(pictures, (p["boxes"], p["groceries"]), strict=True):
        size = picture.pixels.shape[:2]
        image = torch.as_tensor(transform.apply_image(picture.pixels), device=sam.device)
        batched.append(
            {
                "image": image.permute(2, 0, 1).contiguous(),
                "boxes": transform.apply_boxes_torch(torch.tensor(boxes), size),
                "original_size": size,
            }
        )
    for number, result in enumerate(sam(batched, multimask_output=False)):
        answer = (result["masks"], result["iou_predictions"], result["low_res_logits"])
        keep(arrays, f"end_to_end/{number}", answer)


def beyond(
    arrays: dict[str, np.ndarray], predictor: SamPredictor, truck: Phantom, p: dict[str, Any]
) -> None:
    """What no notebook does and the predictor accepts."""
    drawn = truck.logits(-1)[None]
    point, label = np.array([p["point"]]), np.array([1])
    calls: dict[str, dict[str, Any]] = {
        "nothing": {},
        "only_mask": {"mask_input": drawn},
        "beyond_the_picture": {"box": np.array(p["beyond"])},
        "far_point": {"point_coords": np.array([[-25.5, 400.0]]), "point_labels": label},
        "ignored_point": {
            "point_coords": np.array([p["point"], p["outside"]]),
            "point_labels": np.array([1, -1]),
        },
        "everything": {
            "point_coords": point,
            "point_labels": label,
            "box": np.array(p["box"]),
            "mask_input": drawn,
        },
    }
    for name, call in calls.items():
        keep(arrays, name, predictor.predict(**call))
    logits, _, _ = predictor.predict(point_coords=point, point_labels=label, return_logits=True)
    arrays["full_logits"] = logits[:, ::16, ::16]
    both = torch.as_tensor(np.stack([drawn, -drawn]))
    size = predictor.original_size
    coords = torch.as_tensor(predictor.transform.apply_coords(point[None], size)).float()
    answer = predictor.predict_torch(coords, torch.tensor([[1]]), mask_input=both)
    keep(arrays, "one_point_two_masks", answer)
    several = np.array([[p["point"], p["outside"]], [p["outside"], p["point"]]])
    coords = predictor.transform.apply_coords_torch(torch.as_tensor(several), size)
    labels = torch.tensor([[1, 0], [1, 0]])
    keep(arrays, "two_prompts", predictor.predict_torch(coords, labels, mask_input=both))
    predictor.set_image(truck.pixels, image_format="BGR")
    keep(arrays, "bgr", predictor.predict(point_coords=point, point_labels=label))


def automatic(
    arrays: dict[str, np.ndarray], sam: torch.nn.Module, truck: Phantom
) -> list[list[dict[str, Any]]]:
    """The generators of automatic_mask_generator_example.ipynb, on fewer points."""
    generators = (
        SamAutomaticMaskGenerator(sam, points_per_side=6),
        SamAutomaticMaskGenerator(
            model=sam,
            points_per_side=4,
            pred_iou_thresh=0.86,
            stability_score_thresh=0.92,
            crop_n_layers=1,
            crop_n_points_downscale_factor=2,
            min_mask_region_area=100,
        ),
    )
    sets = []
    for number, generator in enumerate(generators):
        records = generator.generate(truck.pixels)
        masks = np.stack([record.pop("segmentation") for record in records])
        arrays[f"automatic/{number}"] = np.packbits(masks, axis=-1)
        sets.append(records)
    return sets


def keep(arrays: dict[str, np.ndarray], name: str, answer: Sequence[Any]) -> None:
    """Masks packed, scores whole, of the logits samples."""
    masks, scores, logits = (np.asarray(part) for part in answer)
    if masks.dtype != np.bool_:
        raise TypeError(f"{name} has masks of {masks.dtype}")
    arrays[f"{name}/masks"] = np.packbits(masks, axis=-1)
    arrays[f"{name}/scores"] = scores
    arrays[f"{name}/logits"] = sampled(logits)


if __name__ == "__main__":
    sys.exit(main())
