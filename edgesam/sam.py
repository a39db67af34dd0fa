"""Sam: embed a picture once, segment it by prompts. Synchronous; knows nothing of files of pixels.

Everything larger (automatic masks, streams, volumes) is a function that takes a :class:`Sam`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast, overload

import numpy as np
from numpy.typing import NDArray

from edgesam.answering import answers
from edgesam.bundle import Bundle
from edgesam.cancel import Cancel
from edgesam.cine import Cine
from edgesam.embedding import Embedding, Tensor, on_host
from edgesam.engines import Answer, Batching, DevicePixels, Finishing
from edgesam.engines.protocol import MaskPrompts, Prompts, Session
from edgesam.errors import PromptError
from edgesam.fit import Fit
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.manifest import Manifest
from edgesam.mask import Mask
from edgesam.on_gpu import OnGpu
from edgesam.place import Place
from edgesam.prepared import Prepared, prepare
from edgesam.preprocess import check_prompt, fit_of
from edgesam.prompt import Prompt
from edgesam.provenance import Provenance
from edgesam.selection import Select, Selection
from edgesam.volume import Volume
from edgesam_kernels.finish import MaskFrame


class Sam:
    """A loaded model. Many threads may call one Sam; it keeps no state between calls.

    Attributes:
        model: its name.
        variant: the precision that runs.
        engine: engine and device that really run, as ``onnxruntime:cpu``.
        card: the GPU that computes, as ``NVIDIA H200, CUDA 13.0``; empty if none does.
        passport: the parity report that vouches for the graphs, or None.
        manifest: what the bundle says of the model: sizes, profile, licence.
    """

    def __init__(
        self, bundle: Bundle, variant: str, session: Session, passport: dict[str, Any] | None
    ) -> None:
        """Made by :func:`edgesam.load`."""
        self.model = bundle.manifest.model
        self.variant = variant
        self.engine, self.card = session.description, session.card
        self.passport = passport
        self.manifest: Manifest = bundle.manifest
        self._encoder = bundle.variants[variant].image_encoder.sha256
        self._decoder = bundle.variants[variant].mask_decoder.sha256
        self._session: Session | None = session

    def embed(
        self, image: Image | Volume | Cine | NDArray[Any] | OnGpu, window: Levels | None = None
    ) -> Embedding:
        """Run the encoder on a picture.

        Args:
            image: what :func:`edgesam.read` returned, or an array (H, W) or (H, W, 3), RGB. Of a
                volume or a cine choose one picture: ``volume.slice(60)``, ``cine.frame(3)``.
                uint8 reaches the model as it is; anything else through ``window``, the file's own
                window, or the percentile rule of :meth:`edgesam.image.Image.to_rgb8`.
                Of a model on a GPU also an array that lies there (``__cuda_array_interface__`` or
                DLPack), which is not copied and must stay as it is until the embedding is there:
                uint8, or int16, uint16 or float32 with a window; NaN in it is not looked for.
            window: grey levels to show, in the image's units (Hounsfield units for CT).

        Raises:
            ImageError: pixels that cannot be used: empty, NaN or infinite, of a wrong shape, or
                on a GPU where the model does not compute; or a volume or cine of which no picture
                was chosen.
            OutOfMemory: the encoder needs more memory than is free.
        """
        return self.encode(prepare(image, window, self.manifest, self.pixels))

    def encode(self, prepared: Prepared, cancel: Cancel | None = None) -> Embedding:
        """The second half of :meth:`embed`, after :func:`edgesam.prepared.prepare`.

        Raises:
            Cancelled: ``cancel`` was told before it was done.
            ImageError: the picture was prepared for another model.
            OutOfMemory: the encoder needs more memory than is free.
        """
        network, pixels = prepared.network_of(self.manifest), self.pixels
        if pixels is None:
            array = self._open.encode(on_host(network), cancel)
        else:
            array = pixels.encode(network, cancel)
        return self.embedding(array, prepared.fit, prepared.mapping, prepared.place)

    def encode_batch(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """:meth:`encode` of several pictures, in one run if the encoder takes several."""
        if not isinstance(self._open, Batching):
            return [self.encode(each) for each in prepared]
        networks = [each.network_of(self.manifest) for each in prepared]
        found = zip(self._open.encode_batch(networks), prepared, strict=True)
        return [self.embedding(one, each.fit, each.mapping, each.place) for one, each in found]

    @overload
    def segment(
        self, embedding: Embedding, prompt: Prompt, *, select: Select = "single"
    ) -> Mask: ...
    @overload
    def segment(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: Literal[False],
        *,
        select: Select = "single",
    ) -> Mask: ...
    @overload
    def segment(
        self, embedding: Embedding, prompt: Prompt, multimask: Literal[True]
    ) -> tuple[Mask, Mask, Mask]: ...
    def segment(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: bool = False,
        *,
        select: Select = "single",
    ) -> Mask | tuple[Mask, ...]:
        """Segment one object.

        Args:
            embedding: of this model's :meth:`embed`.
            prompt: what to segment, in pixels of the picture.
            multimask: give SAM's three alternatives, in the decoder's order, instead of one mask.
            select: which one otherwise: ``single``, the decoder's single-mask output; ``best``,
                of the three alternatives that of the highest predicted IoU; ``stability``, that
                of the most stable edge; 0, 1 or 2, one of the three.

        Raises:
            PromptError: the prompt misses the picture, is of a kind the model was not trained
                for, or the embedding is another model's.
            OutOfMemory: the decoder or the mask needs more memory than is free.
        """
        masks = next(self._answers(embedding, [prompt], Selection.asked(select, multimask)))
        return masks if multimask else masks[0]

    @overload
    def segment_batch(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, select: Select = "single"
    ) -> list[Mask]: ...
    @overload
    def segment_batch(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: Literal[False],
        *,
        select: Select = "single",
    ) -> list[Mask]: ...
    @overload
    def segment_batch(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool,
        *,
        select: Select = "single",
    ) -> list[Mask] | list[tuple[Mask, ...]]: ...
    def segment_batch(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool = False,
        *,
        select: Select = "single",
    ) -> list[Mask] | list[tuple[Mask, ...]]:
        """Segment many objects of one picture; the results are in the prompts' order.

        All masks are in memory at the end: :meth:`segment_each` hands them out one by one.

        Raises:
            PromptError: as :meth:`segment`, before anything is computed.
        """
        found = list(self._answers(embedding, prompts, Selection.asked(select, multimask)))
        return found if multimask else [masks[0] for masks in found]

    def segment_each(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, select: Select = "single"
    ) -> Iterator[Mask]:
        """Segment many objects of one picture in bounded memory, in the prompts' order.

        The decoder sees a few prompts at a time, and no mask is kept that was handed out.

        Raises:
            PromptError: as :meth:`segment`, before anything is computed.
        """
        found = self._answers(embedding, prompts, Selection.asked(select, False))
        return (masks[0] for masks in found)

    def embedding(
        self, array: Tensor, fit: Fit, mapping: str, place: Place | None = None
    ) -> Embedding:
        """What this model's encoder gave, kept elsewhere or just now, ready for prompts.

        Args:
            array: (1, 256, G, G) float32, in host memory or where an engine keeps it.
            fit: how the picture lay in the model's square.
            mapping: how its pixels became grey levels, in words.
            place: what is known of the pixels' size and place.
        """
        side = self._open.image_side(array, MaskPrompts.none(self.manifest.low_resolution))
        return Embedding(array, side, fit, self._encoder, mapping, place)

    def decode(
        self, embedding: Embedding, prompts: Prompts, tokens: Sequence[int] = (0, 1, 2, 3)
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mask decoder itself, for what is built on top: no choice, no resizing.

        Args:
            embedding: of this model's :meth:`embed`.
            prompts: N unchecked prompts in pixels of the model's square; memory grows with N, by
                some 40 MB each.
            tokens: which K of the four mask tokens: 0 the single mask, 1 to 3 the alternatives.

        Returns:
            Logits (N, K, L, L) of those and predicted IoU (N, 4) of all, float32.

        Raises:
            PromptError: the embedding is another model's.
        """
        answer = self.finish(embedding, prompts, tokens, None)
        return answer.logits, answer.iou

    def finish(
        self,
        embedding: Embedding,
        prompts: Prompts,
        tokens: Sequence[int],
        frame: MaskFrame | None,
        offset: float = 1.0,
    ) -> Answer:
        """:meth:`decode`, and where the engine makes them itself the masks of ``frame``, counted
        at ``offset`` from their threshold.
        """
        self._check_embedding(embedding)
        session, side = self._open, embedding.side
        if prompts.masks is not None:
            side = session.image_side(embedding.held, prompts.masks)
        if frame is not None and hasattr(session, "finish"):  # isinstance takes 40 us for a click
            return cast("Finishing", session).finish(side, prompts, tokens, frame, offset)
        return Answer(*session.decode(side, prompts, tokens), None)

    def check(self, prompt: Prompt, height: int, width: int) -> None:
        """Refuse a prompt on a picture of that size before the picture is embedded.

        Raises:
            PromptError: as :meth:`segment`.
        """
        manifest = self.manifest
        self._check(prompt, fit_of(height, width, manifest.image_size, manifest.profile))

    def provenance(self, mapping: str) -> Provenance:
        """What this Sam writes into its masks; ``mapping`` is how grey levels were made."""
        return Provenance(
            self.model, self.variant, self.engine, self._encoder, self._decoder, mapping
        )

    @property
    def pixels(self) -> DevicePixels | None:
        """What prepares pictures where this model computes; None: the host does it."""
        return self._open if isinstance(self._open, DevicePixels) else None

    def close(self) -> None:
        """Free the engine's memory; further calls raise."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def __enter__(self) -> Sam:
        return self

    def __exit__(self, *_: object) -> None:
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

    def _check(self, prompt: Prompt, fit: Fit) -> None:
        manifest = self.manifest
        check_prompt(prompt, fit, manifest.profile, self.model, manifest.low_resolution)

    def _check_embedding(self, embedding: Embedding) -> None:
        if embedding.encoder != self._encoder:
            raise PromptError(
                f"this embedding was made by another model than {self.model} {self.variant}: "
                "embed the picture with the model that segments it"
            )

    def _answers(
        self, embedding: Embedding, prompts: Sequence[Prompt], selection: Selection
    ) -> Iterator[tuple[Mask, ...]]:
        """Checked at once, computed chunk by chunk as the answers are taken."""
        self._check_embedding(embedding)
        for prompt in prompts:
            self._check(prompt, embedding.fit)
        made = self.provenance(embedding.mapping)
        return answers(embedding, list(prompts), selection, self.manifest, made, self.finish)
