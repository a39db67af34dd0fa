"""Sam: embed a picture once, segment it by prompts. Synchronous; knows nothing of files of pixels.

Everything larger (streams, volumes, serving) is a function that takes a :class:`Sam`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from edgesam.bundle import Bundle, find_bundle
from edgesam.embedding import Embedding
from edgesam.engines import Engine, Session, choose
from edgesam.errors import BundleError, ImageError, PromptError
from edgesam.image import Image
from edgesam.mask import Mask
from edgesam.models import MOST_THREADS
from edgesam.preprocess import (
    check_prompt,
    decoder_inputs,
    letterbox,
    network_input,
    token_count,
)
from edgesam.prompt import Prompt
from edgesam.window import Window
from edgesam_kernels.bilinear import threshold_mask

logger = logging.getLogger("edgesam")

_CHUNK = 16  # prompts per decoder call: more at once is slower per prompt, and memory grows


class Sam:
    """A loaded model. Many threads may call one Sam; it keeps no state between calls.

    Attributes:
        model: its name.
        variant: the precision that runs.
        engine: engine and device that really run, as ``onnxruntime:cpu``.
        passport: the parity report that vouches for the graphs, or None.
    """

    def __init__(
        self, bundle: Bundle, variant: str, session: Session, passport: dict[str, Any] | None
    ) -> None:
        """Made by :func:`load`."""
        self.model = bundle.manifest.model
        self.variant = variant
        self.engine = session.description
        self.passport = passport
        self._manifest = bundle.manifest
        self._encoder = bundle.variants[variant].image_encoder.sha256
        self._session: Session | None = session

    def embed(self, image: Image | NDArray[Any], window: Window | None = None) -> Embedding:
        """Run the encoder on a picture.

        Args:
            image: what :func:`edgesam.read` returned, or an array (H, W) or (H, W, 3), RGB.
                uint8 reaches the model as it is; anything else through ``window``, the file's own
                window, or the percentile rule of :meth:`edgesam.image.Image.to_rgb8`.
            window: grey levels to show, in the image's units (Hounsfield units for CT).

        Raises:
            ImageError: pixels that cannot be used: empty, NaN or infinite, of a wrong shape.
        """
        image = image if isinstance(image, Image) else Image.from_array(image)
        rgb, mapping = image.to_rgb8(window)
        manifest = self._manifest
        fit = letterbox(rgb.shape[0], rgb.shape[1], manifest.image_size, manifest.profile)
        array = self._open.encode(network_input(rgb, fit, manifest.profile))
        return Embedding(array, fit, self._encoder, mapping)

    @overload
    def segment(self, embedding: Embedding, prompt: Prompt) -> Mask: ...
    @overload
    def segment(self, embedding: Embedding, prompt: Prompt, multimask: Literal[False]) -> Mask: ...
    @overload
    def segment(
        self, embedding: Embedding, prompt: Prompt, multimask: Literal[True]
    ) -> tuple[Mask, Mask, Mask]: ...
    def segment(
        self, embedding: Embedding, prompt: Prompt, multimask: bool = False
    ) -> Mask | tuple[Mask, ...]:
        """Segment one object.

        Args:
            embedding: of this model's :meth:`embed`.
            prompt: what to segment, in pixels of the picture.
            multimask: give SAM's three alternatives, in the decoder's order, instead of its
                single-mask output.

        Raises:
            PromptError: the prompt misses the picture, is of a kind the model was not trained
                for, or the embedding is another model's.
        """
        return self.segment_batch(embedding, [prompt], multimask=multimask)[0]

    @overload
    def segment_batch(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Mask]: ...
    @overload
    def segment_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: Literal[False]
    ) -> list[Mask]: ...
    @overload
    def segment_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool
    ) -> list[Mask] | list[tuple[Mask, ...]]: ...
    def segment_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool = False
    ) -> list[Mask] | list[tuple[Mask, ...]]:
        """Segment many objects of one picture; the results are in the prompts' order.

        Prompts with equally many points share decoder calls of up to 16.

        Raises:
            PromptError: as :meth:`segment`, before anything is computed.
        """
        if embedding.encoder != self._encoder:
            raise PromptError(
                f"this embedding was made by another model than {self.model} {self.variant}: "
                "embed the picture with the model that segments it"
            )
        for prompt in prompts:
            check_prompt(prompt, embedding.fit, self._manifest.profile, self.model)
        results: dict[int, tuple[Mask, ...]] = {}
        for indices in _calls(prompts):
            chosen = [prompts[i] for i in indices]
            inputs = decoder_inputs(chosen, embedding.fit, self._manifest.profile)
            logits, iou = self._open.decode(embedding.array, inputs)
            wanted = slice(1, 4) if multimask else slice(0, 1)
            for row, index in enumerate(indices):
                results[index] = tuple(
                    _mask(low, score, embedding)
                    for low, score in zip(logits[row, wanted], iou[row, wanted], strict=True)
                )
        ordered = [results[i] for i in range(len(prompts))]
        return ordered if multimask else [masks[0] for masks in ordered]

    def check(self, prompt: Prompt, height: int, width: int) -> None:
        """Refuse a prompt on a picture of that size before the picture is embedded.

        Raises:
            PromptError: as :meth:`segment`.
        """
        profile = self._manifest.profile
        fit = letterbox(height, width, self._manifest.image_size, profile)
        check_prompt(prompt, fit, profile, self.model)

    def close(self) -> None:
        """Free the engine's memory; further calls raise."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def __enter__(self) -> Sam:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        mean = "none" if self.passport is None else f"{self.passport['mask_iou']['mean']:.4f}"
        closed = ", closed" if self._session is None else ""
        return f"Sam({self.model}, {self.variant}, {self.engine}, passport {mean}{closed})"

    @property
    def _open(self) -> Session:
        if self._session is None:
            raise ValueError("this Sam is closed")
        return self._session


def load(
    model: str | os.PathLike[str] = "lite-medsam",
    *,
    engine: str | Engine = "auto",
    variant: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    require_passport: bool = False,
) -> Sam:
    """Load a model that is on this machine; never downloads.

    Args:
        model: a known model's name, or the folder of a bundle.
        engine: ``onnxruntime``; ``auto`` takes the first that works here.
        variant: of the bundle: ``fp32``.
        device: ``cpu`` or ``cuda``; ``auto`` is the CPU.
        threads: per graph run; None leaves it to the engine (all physical cores).
        require_passport: refuse graphs that no parity report vouches for.

    Raises:
        ModelNotFound: the model has not been pulled, or does not exist.
        BundleError: the bundle cannot be used, or lacks the passport that was required.
        ChecksumMismatch: a file of the bundle was changed.
        EngineUnavailable: the engine or the device cannot run here.
        PrecisionMismatch: the engine does not run what the variant says.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    bundle = find_bundle(model)
    runner = choose(engine) if isinstance(engine, str) else engine
    while True:
        try:
            return _open(bundle, runner, variant, device, threads, require_passport)
        except BundleError:
            # An export may have put a new bundle in the place of the one that was being read.
            now = find_bundle(model)
            if now.manifest == bundle.manifest:
                raise
            bundle = now


def _open(
    bundle: Bundle,
    runner: Engine,
    variant: str,
    device: str,
    threads: int | None,
    require_passport: bool,
) -> Sam:
    name, chosen = bundle.variant(variant)
    passport = _passport(bundle, name, require_passport)
    session = runner.open(
        bundle.verified(chosen.image_encoder),
        bundle.verified(chosen.mask_decoder),
        precision=name,
        device=device,
        threads=threads,
    )
    return Sam(bundle, name, session, passport)


def _passport(bundle: Bundle, variant: str, required: bool) -> dict[str, Any] | None:
    """The variant's parity report; without one, a warning or a refusal."""
    report = bundle.passport(bundle.variants[variant])
    if report is None:
        said = f"no parity report vouches for {bundle.manifest.model} {variant} ({bundle.path})"
        if required:
            raise BundleError(f"{said}, and a passport was required")
        logger.warning("%s", said)
    return report


def _calls(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Indices of prompts that can share a decoder call: equally many tokens, at most 16."""
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(token_count(prompt), []).append(index)
    return [
        group[start : start + _CHUNK]
        for group in groups.values()
        for start in range(0, len(group), _CHUNK)
    ]


def _mask(low: NDArray[np.float32], score: np.float32, embedding: Embedding) -> Mask:
    fit = embedding.fit
    try:
        array = threshold_mask(
            low, fit.square, (fit.resized_height, fit.resized_width), (fit.height, fit.width)
        )
    except MemoryError:
        raise ImageError(
            f"not enough memory for a mask of {fit.width} x {fit.height} pixels"
        ) from None
    return Mask(array, float(score), low.copy())
