"""From pictures and prompts to a network's inputs, by profile. Knows no engine and no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.engines.protocol import MaskPrompts, Prompts
from edgesam.errors import ImageError, PromptError
from edgesam.fit import Fit
from edgesam.image import Image
from edgesam.models import MODELS, Profile, PromptKind
from edgesam.on_gpu import OnGpu
from edgesam.prompt import Prompt
from edgesam.volume import Volume
from edgesam_kernels.area import resize_area
from edgesam_kernels.cpu import Preparation, prepare, resize

_CORNERS = np.array([2, 3], np.int32)  # labels of a box's two corners
_PADDING_POINT = -1
_CERTAIN = 1e-3  # a boolean mask says 0.001 or 0.999, never 0 or 1: logits stay near SAM's own


def one_picture(image: Image | Volume | Cine | NDArray[Any] | OnGpu) -> Image:
    """The picture that is meant.

    Raises:
        ImageError: a volume or a cine of several, or pixels that cannot be used.
    """
    if isinstance(image, Image):
        return image
    if isinstance(image, Volume):
        if image.count() == 1:
            return image.slice(0)
        raise ImageError(f"{image} has {image.count()} slices: choose one, volume.slice(0)")
    if isinstance(image, Cine):
        if len(image) == 1:
            return image.frame(0)
        raise ImageError(f"{image}: choose one, cine.frame(0)")
    return Image.from_array(np.asarray(image))


def fit_of(
    height: int, width: int, square: int, profile: Profile, pixel_aspect: float = 1.0
) -> Fit:
    """How a picture of that size, and of pixels of that height by width, lies in the square."""
    if profile.layout == "stretch":
        return Fit.stretch(height, width, square)
    per_axis = profile.prompt_scale == "per-axis"
    return Fit.letterbox(height, width, square, per_axis=per_axis, pixel_aspect=pixel_aspect)


def preparation(fit: Fit, profile: Profile) -> Preparation:
    """What brings grey levels to the encoder of a model of that profile."""
    return Preparation(
        resize=profile.resize,
        rows=fit.resized_height,
        columns=fit.resized_width,
        square=fit.square,
        normalization=profile.normalization,
        mean=profile.mean,
        std=profile.std,
    )


def resized(rgb: NDArray[np.uint8], fit: Fit, profile: Profile) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 as it lies in the square: (rows, columns, 3) uint8."""
    return resize(rgb, profile.resize, fit.resized_height, fit.resized_width)


def network_input(rgb: NDArray[np.uint8], fit: Fit, profile: Profile) -> NDArray[np.float32]:
    """The picture (H, W, 3) uint8 as the encoder takes it: (1, 3, square, square) float32."""
    return prepare(rgb, None, preparation(fit, profile))


def check_prompt(
    prompt: Prompt, fit: Fit, profile: Profile, model: str, low_resolution: int
) -> None:
    """Refuse what the model was not trained for, and what misses the picture.

    Args:
        prompt: in pixels of the picture.
        fit: where the picture lies in the model's square.
        profile: of the model.
        model: its name, for the error.
        low_resolution: side of its low-resolution logits.

    Raises:
        PromptError: with the kind and a model that takes it, or with the picture's size.
    """
    kinds: dict[PromptKind, object] = {
        "point": prompt.point_coords,
        "box": prompt.corners,
        "mask": prompt.mask_input,
    }
    for kind, part in kinds.items():
        if part is not None and kind not in profile.prompt_kinds:
            others = [m.name for m in MODELS.values() if kind in m.profile.prompt_kinds]
            takes = " and ".join(sorted(profile.prompt_kinds))
            raise PromptError(
                f"{model} was trained for a {takes} and takes no {kind}; "
                f"models that take a {kind}: {', '.join(others)}"
            )
    size = f"the picture of {fit.width} x {fit.height} pixels"
    if prompt.point_coords is not None:
        limit = (fit.width, fit.height)
        outside = ((prompt.point_coords < 0) | (prompt.point_coords > limit)).any(axis=1)
        if outside.any():
            x, y = prompt.point_coords[outside][0]
            raise PromptError(f"the point ({x:g}, {y:g}) is outside {size}")
    if prompt.corners is not None:
        x0, y0, x1, y1 = prompt.corners
        shown = f"the box ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
        if x1 <= 0 or y1 <= 0 or x0 >= fit.width or y0 >= fit.height:
            raise PromptError(f"{shown} is outside {size}")
        if x0 < 0 or y0 < 0 or x1 > fit.width or y1 > fit.height:
            inside = (
                f"{max(x0, 0):g}, {max(y0, 0):g}, {min(x1, fit.width):g}, {min(y1, fit.height):g}"
            )
            raise PromptError(f"{shown} leaves {size}: cut it to ({inside})")
    if prompt.mask_input is not None:
        rows, columns = prompt.mask_input.shape
        if prompt.mask_input.dtype == np.bool_:
            if (rows, columns) != (fit.height, fit.width):
                raise PromptError(
                    f"the boolean mask_input is {columns} x {rows} pixels, not {size}"
                )
        elif rows != low_resolution:
            raise PromptError(
                f"the logits of mask_input are {columns} x {rows}, those of {model} are "
                f"{low_resolution} x {low_resolution}: pass an earlier result's logits, or a "
                "boolean mask of the picture's size"
            )


def decoder_inputs(
    prompts: Sequence[Prompt], fit: Fit, profile: Profile, low_resolution: int
) -> Prompts:
    """Checked prompts of one size (:func:`token_count`) as the decoder takes them."""
    coords, labels = zip(*(_points(prompt, fit, profile) for prompt in prompts), strict=True)
    masks = _masks([prompt.mask_input for prompt in prompts], fit, low_resolution)
    return Prompts(np.stack(coords), np.stack(labels), masks)


def token_count(prompt: Prompt) -> int:
    """How many prompt tokens the decoder sees: prompts of equal count may share a call."""
    points = 0 if prompt.point_coords is None else len(prompt.point_coords)
    if prompt.corners is not None:
        return points + 2
    return points + 1 if points else 0


def _points(
    prompt: Prompt, fit: Fit, profile: Profile
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points, then the padding point if there is no box, then the box's corners."""
    coords: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.int32]] = []
    if prompt.point_coords is not None and prompt.point_labels is not None:
        coords.append(fit.to_square(prompt.point_coords))
        labels.append(prompt.point_labels)
        if prompt.corners is None:
            coords.append(np.zeros((1, 2)))
            labels.append(np.array([_PADDING_POINT], np.int32))
    if prompt.corners is not None:
        corners = fit.to_square(prompt.corners.reshape(2, 2))
        coords.append(np.trunc(corners) if profile.truncate_boxes else corners)
        labels.append(_CORNERS)
    if not coords:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    return np.concatenate(coords).astype(np.float32), np.concatenate(labels)


def _masks(inputs: Sequence[NDArray[np.generic] | None], fit: Fit, side: int) -> MaskPrompts | None:
    given = np.array([mask is not None for mask in inputs], np.float32)
    if not given.any():
        return None
    return MaskPrompts(np.stack([_low_logits(mask, fit, side)[None] for mask in inputs]), given)


def _low_logits(mask: NDArray[np.generic] | None, fit: Fit, side: int) -> NDArray[np.float32]:
    """Logits as they are; a boolean mask as the logit of its coverage of each cell."""
    if mask is None:
        return np.zeros((side, side), np.float32)
    if mask.dtype != np.bool_:
        return mask.astype(np.float32)
    rows, columns = fit.cells(side)
    grey = (mask * np.uint8(255))[:, :, None]
    coverage = np.zeros((side, side))
    coverage[:rows, :columns] = resize_area(grey, rows, columns)[:, :, 0] / 255
    coverage = coverage.clip(_CERTAIN, 1 - _CERTAIN)
    return np.log(coverage / (1 - coverage)).astype(np.float32)
