"""``SamModel``: what ``sam_model_registry`` builds, where programs expect a torch module.

Knows a loaded Sam and how to load it again elsewhere; no file format.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgesam.compat.answers import answer
from edgesam.compat.embeddings import embed_transformed
from edgesam.compat.prompts import decoder_prompts
from edgesam.errors import EngineUnavailable
from edgesam.loading import load
from edgesam.sam import Sam


@dataclass(frozen=True)
class ImageEncoder:
    """What programs ask of the encoder: ``img_size``, the side of its square in pixels."""

    img_size: int


class SamModel:
    """A :class:`edgesam.Sam` with the face of ``segment_anything.modeling.Sam``.

    Attributes:
        sam: the model that runs; :meth:`to` replaces it.
        image_encoder: knows ``img_size``.
    """

    def __init__(self, sam: Sam, source: str | os.PathLike[str] | None = None) -> None:
        """Wrap a loaded model.

        Args:
            sam: loaded.
            source: name or folder that it was loaded from, for :meth:`to`.
        """
        self.sam = sam
        self.image_encoder = ImageEncoder(sam.manifest.image_size)
        self._source = source

    @property
    def mask_threshold(self) -> float:
        """Logits above it are in the mask."""
        return 0.0

    @property
    def image_format(self) -> str:
        """Order of the colours that the network takes."""
        return "RGB"

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda``."""
        return self.sam.engine.partition(":")[2]

    def to(self, device: object) -> SamModel:
        """Move to a device, in place as a torch module does, and return self.

        Args:
            device: ``"cpu"``, ``"cuda"``, or whatever is spelled so (a ``torch.device``).

        Raises:
            EngineUnavailable: it cannot run there; it stays where it was.
        """
        name = str(device)
        name = "cuda" if name == "cuda:0" else name
        if name == self.device:
            return self
        if self._source is None:
            raise EngineUnavailable(
                f"{self.sam.model} was loaded on {self.device} and cannot move to {name}: "
                f"load it with edgesam.load(..., device={name!r})"
            )
        moved = load(self._source, variant=self.sam.variant, device=name)
        self.sam.close()
        self.sam = moved
        return self

    def eval(self) -> SamModel:
        """Nothing to do: it cannot train."""
        return self

    def __call__(
        self, batched_input: Sequence[Mapping[str, Any]], multimask_output: bool
    ) -> list[dict[str, Any]]:
        """Masks of several pictures with their prompts, end to end.

        Args:
            batched_input: for each picture ``image`` (3, h, w), resized to the model's long side
                by ``ResizeLongestSide``, and its ``original_size`` (H, W); where they are there,
                ``point_coords`` (B, N, 2) and ``point_labels`` (B, N), ``boxes`` (B, 4), both in
                pixels of the model's square, and ``mask_inputs`` (B, 1, L, L).
            multimask_output: three masks for each prompt instead of one.

        Returns:
            For each picture ``masks`` (B, C, H, W) bool, ``iou_predictions`` (B, C) float32 and
            ``low_res_logits`` (B, C, L, L) float32.

        Raises:
            ImageError: a picture is none.
            PromptError: the model was not trained for such a prompt.
            ValueError: a part has a wrong shape.
        """
        results = []
        for record in batched_input:
            prompts = decoder_prompts(
                self.sam,
                record.get("point_coords"),
                record.get("point_labels"),
                record.get("boxes"),
                record.get("mask_inputs"),
            )
            embedding = embed_transformed(self.sam, record["image"], record["original_size"])
            masks, scores, low = answer(
                self.sam, embedding, prompts, multimask_output=multimask_output
            )
            results.append({"masks": masks, "iou_predictions": scores, "low_res_logits": low})
        return results
