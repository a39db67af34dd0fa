"""``SamPredictor``: set a picture, then ask; segment_anything/predictor.py's interface and state.

Knows the official frame of prompts; no engine, no file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.compat.answers import Answer, answer
from edgesam.compat.embeddings import embed_transformed, stored_embedding
from edgesam.compat.model import SamModel
from edgesam.compat.pictures import rgb_picture
from edgesam.compat.prompts import decoder_prompts
from edgesam.compat.transforms import ResizeLongestSide
from edgesam.embedding import Embedding
from edgesam.sam import Sam

_FORMATS = ("RGB", "BGR")


class SamPredictor:
    """One picture at a time; not for several threads (:class:`edgesam.Sam` is).

    As with the official predictor, a program may keep ``features``, ``original_size`` and
    ``input_size`` and put them back later, together with ``is_image_set``.

    Attributes:
        model: the :class:`~edgesam.compat.SamModel`.
        transform: picture -> the model's square.
        is_image_set: whether there is a picture to predict on.
        features: (1, 256, G, G) float32, the picture's embedding, or None.
        original_size: height and width of the picture.
        input_size: height and width of the picture in the model's square.
    """

    features: NDArray[np.float32] | None
    original_size: tuple[int, ...]
    input_size: tuple[int, ...]
    _known: Embedding | None  # made of ``features``, until a program changes them

    def __init__(self, sam_model: SamModel | Sam) -> None:
        """Wrap what ``sam_model_registry`` or :func:`edgesam.load` gave."""
        self.model = sam_model if isinstance(sam_model, SamModel) else SamModel(sam_model)
        manifest = self.model.sam.manifest
        self.transform = ResizeLongestSide(manifest.image_size, profile=manifest.profile)
        self.reset_image()

    def set_image(self, image: ArrayLike, image_format: str = "RGB") -> None:
        """Run the encoder on a picture.

        Args:
            image: (H, W, 3) uint8.
            image_format: order of its colours, ``RGB`` or ``BGR``.

        Raises:
            ImageError: the picture is of another shape or type.
            ValueError: the format is another.
        """
        if image_format not in _FORMATS:
            raise ValueError(f"image_format must be RGB or BGR, not {image_format!r}")
        pixels = rgb_picture(image)
        if image_format != self.model.image_format:
            pixels = pixels[..., ::-1]
        self.reset_image()
        self._set(self.model.sam.embed(pixels))

    def set_torch_image(
        self, transformed_image: ArrayLike, original_image_size: tuple[int, ...]
    ) -> None:
        """Run the encoder on a picture that ``transform`` has resized.

        Args:
            transformed_image: (1, 3, h, w) grey levels 0..255 in RGB order, the longer side being
                the model's square; rounded to whole levels.
            original_image_size: height and width of the picture before.

        Raises:
            ImageError: the values are no grey levels.
            ValueError: the shape is another.
        """
        image = np.asarray(transformed_image)
        if image.ndim != 4 or image.shape[:2] != (1, 3):
            raise ValueError(f"the transformed image must be (1, 3, h, w), not {image.shape}")
        embedding = embed_transformed(self.model.sam, image[0], original_image_size)
        self._set(embedding)

    def predict(
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> Answer:
        """Masks of one prompt on the picture that is set.

        Args:
            point_coords: (N, 2) as x, y in pixels of the picture.
            point_labels: (N,), 1 in the object, 0 outside it, -1 for a point to be ignored.
            box: (4,) or (1, 4) as x0, y0, x1, y1 in pixels of the picture.
            mask_input: (1, L, L) logits, L being 256 for SAM: an earlier third result's.
            multimask_output: three masks instead of one.
            return_logits: logits instead of masks.

        Returns:
            (C, H, W) bool, or float32 logits; (C,) float32, predicted IoU; (C, L, L) float32,
            low-resolution logits.

        Raises:
            RuntimeError: no picture is set.
            PromptError: the model was not trained for such a prompt.
            ValueError: a part has a wrong shape, or points have no labels.
        """
        self._need_image()
        coords = labels = boxes = mask = None
        if point_coords is not None:
            coords = self.transform.apply_coords(point_coords, self.original_size)[None]
            labels = None if point_labels is None else np.asarray(point_labels)[None]
        if box is not None:
            boxes = self.transform.apply_boxes(box, self.original_size)
            if len(boxes) != 1:
                raise ValueError(f"predict takes one box, not {len(boxes)}: use predict_torch")
        if mask_input is not None:
            mask = np.asarray(mask_input)[None]
        masks, scores, low = self.predict_torch(
            coords, labels, boxes, mask, multimask_output, return_logits
        )
        return masks[0], scores[0], low[0]

    def predict_torch(
        self,
        point_coords: ArrayLike | None,
        point_labels: ArrayLike | None,
        boxes: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> Answer:
        """Masks of B prompts, in the frame that ``transform`` gives; arrays despite the name.

        Args:
            point_coords: (B, N, 2) as x, y in pixels of the model's square.
            point_labels: (B, N).
            boxes: (B, 4) as x0, y0, x1, y1 in pixels of the model's square.
            mask_input: (B, 1, L, L) logits, or (1, 1, L, L) for all.
            multimask_output: three masks instead of one.
            return_logits: logits instead of masks.

        Returns:
            (B, C, H, W) bool, or float32 logits; (B, C) float32; (B, C, L, L) float32.

        Raises:
            RuntimeError: no picture is set.
            PromptError: the model was not trained for such a prompt.
            ValueError: a part has a wrong shape, or points have no labels.
        """
        features = self._need_image()
        sam = self.model.sam
        # The program may have put back what it kept, or changed it in place.
        self._known = stored_embedding(
            sam, features, self.original_size, self.input_size, self._known
        )
        return answer(
            sam,
            self._known,
            decoder_prompts(sam, point_coords, point_labels, boxes, mask_input),
            multimask_output=multimask_output,
            return_logits=return_logits,
        )

    def get_image_embedding(self) -> NDArray[np.float32]:
        """(1, 256, G, G) float32; G is 64 for SAM.

        Raises:
            RuntimeError: no picture is set.
        """
        return self._need_image()

    @property
    def device(self) -> str:
        """Where the model runs: ``cpu``, ``cuda``."""
        return self.model.device

    def reset_image(self) -> None:
        """Forget the picture."""
        self.is_image_set = False
        self.features = None
        self._known = None

    def _set(self, embedding: Embedding) -> None:
        fit = embedding.fit
        self._known = embedding
        self.features = embedding.array.copy()  # the program's own, to keep or to change
        self.original_size = fit.height, fit.width
        self.input_size = fit.resized_height, fit.resized_width
        self.is_image_set = True

    def _need_image(self) -> NDArray[np.float32]:
        if not self.is_image_set or self.features is None:
            raise RuntimeError("no picture is set: call set_image(...) first")
        return self.features
