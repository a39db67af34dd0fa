"""PyTorch as a contender: an official network as people run it fast. Knows no engine of ours.

Pictures are prepared and prompts put into the model's frame by edgesam's own code, on the CPU: what
differs is what the networks cost. Masks come back to the host as booleans of the picture's size.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam import Prompt
from edgesam.embedding import on_host
from edgesam.errors import ParityError
from edgesam.manifest import Manifest
from edgesam.prepared import Prepared, prepare
from edgesam.preprocess import decoder_inputs
from edgesam_bench.figures import relative_l2
from edgesam_bench.gpu.attention import fuse
from edgesam_bench.gpu.contender import Contender, Material
from edgesam_bench.gpu.official import network
from edgesam_bench.gpu.subjects import Subject
from edgesam_bench.speed.prompts import Box

FUSED_LIMIT = 1e-3
"""Relative L2 between the official attention and the fused one, both float32: the same network."""


@dataclass(frozen=True)
class Way:
    """How people run it.

    Attributes:
        name: of the contender.
        precision: of products; norms and softmax as PyTorch has them.
        compiled: ``torch.compile``, with CUDA graphs (``reduce-overhead``) on a GPU.
        fused: attention through ``scaled_dot_product_attention``.
    """

    name: str
    precision: str
    compiled: bool
    fused: bool


WAYS = (
    Way("PyTorch eager fp16", "fp16", compiled=False, fused=False),
    Way("torch.compile bf16 SDPA", "bf16", compiled=True, fused=True),
)


class TorchPeer(Contender):
    """One network on the device.

    Args:
        torch: the module.
        device: ``cuda`` or ``cpu``.
        way: how it runs.
        subject: the model.
        material: what it is asked about.

    Raises:
        ParityError: it cannot be had here, or is not the same network any more.
    """

    ours = False

    def __init__(
        self, torch: Any, device: str, way: Way, subject: Subject, material: Material
    ) -> None:
        self.name, self.precision = way.name, way.precision
        self._torch, self._device, self._material = torch, device, material
        self._manifest: Manifest = subject.bundle.manifest
        self._type = {"fp16": torch.float16, "bf16": torch.bfloat16}[way.precision]
        self._network = network(torch, subject).to(device)
        self._prepared = prepare(material.picture, None, self._manifest)
        self._generator: Any | None = None
        encoder = self._network.image_encoder
        attentions = self._fused(encoder) if way.fused else 0
        self._encoder = encoder.to(self._type)
        self._decoder = self._network.mask_decoder
        if way.compiled:
            mode = "reduce-overhead" if device == "cuda" else "default"
            # Anew for several pictures: else what it makes then is for any number of them.
            self._encoder = torch.compile(self._encoder, mode=mode, dynamic=False)
            self._decoder = torch.compile(self._decoder, mode=mode)
            self._network.mask_decoder = self._decoder
        self.about = {"engine": f"torch {torch.__version__}:{device}", "fused": attentions}
        # Ours has its prepared pictures on the device, too.
        self._picture = self._uploaded(self._prepared)
        together = [prepare(picture, None, self._manifest) for picture in material.together()]
        self._together = torch.cat([self._uploaded(one) for one in together])
        self._embedding, self._fit = self._encoded(self._picture), self._prepared.fit

    def without(self) -> Mapping[str, str]:
        found = {"overlapped": "PyTorch has no stream of embeddings; serial is beside it"}
        if "point" not in self._manifest.profile.prompt_kinds:
            found["everything"] = f"{self._manifest.model} takes no points"
        elif not hasattr(self._network, "preprocess"):
            found["everything"] = "its package has no automatic mask generator"
        return found

    def embed(self) -> object:
        prepared = prepare(self._material.picture, None, self._manifest)
        self._embedding = self._encoded(self._uploaded(prepared))
        return self._embedding

    def encode(self) -> object:
        return self._encoded(self._picture)

    def encode_batch(self) -> object:
        return self._encoded(self._together)

    def click(self, number: int) -> NDArray[np.bool_]:
        masks: NDArray[np.bool_] = self._masks([self._material.box(number)])[0]
        return masks

    def batch(self, number: int) -> object:
        return self._masks(self._material.boxes(number))

    def everything(self) -> int:
        """By the package's own generator, with its defaults but for the grid."""
        if self._generator is None:
            package = importlib.import_module(type(self._network).__module__.partition(".")[0])
            make = package.SamAutomaticMaskGenerator
            self.about["suppression"] = _suppression(sys.modules[make.__module__])
            self._generator = make(self._network, points_per_side=self._material.grid)
            self._generator.predictor.set_image = self._set_image
        with self._torch.no_grad(), self._cast():
            return len(self._generator.generate(self._material.picture))

    def serial(self) -> object:
        corners = [self._material.box(0)]
        areas = []
        for frame in self._material.frames:
            self._embedding = self._encoded(self._uploaded(prepare(frame, None, self._manifest)))
            areas.append(int(self._masks(corners).sum()))
        return areas

    def overlapped(self) -> object:
        raise ParityError("PyTorch has no stream of embeddings")

    def embedding(self) -> NDArray[np.float32]:
        array: NDArray[np.float32] = self._encoded(self._picture).float().cpu().numpy()
        return array

    def close(self) -> None:
        del self._encoder, self._decoder, self._network, self._embedding
        del self._picture, self._together
        self._generator = None
        if self._device == "cuda":
            self._torch.cuda.empty_cache()

    def _fused(self, encoder: Any) -> int:
        """Checked before it is timed: still the same network."""
        torch = self._torch
        picture = torch.from_numpy(on_host(self._prepared.network)).to(self._device)
        with torch.no_grad():
            before = encoder(picture).cpu().numpy()
            count = fuse(torch, encoder)
            after = encoder(picture).cpu().numpy()
        error = relative_l2(before, after)
        if not error <= FUSED_LIMIT:
            raise ParityError(f"fused attention is {error:.1e} from the official, in float32")
        return count

    def _set_image(self, image: NDArray[np.uint8]) -> None:
        """In the place of the predictor's own, which would run the encoder in float32."""
        prepared = prepare(image, None, self._manifest)
        predictor, fit = self._generator.predictor, prepared.fit  # type: ignore[union-attr]
        predictor.reset_image()
        predictor.original_size = fit.height, fit.width
        predictor.input_size = fit.resized_height, fit.resized_width
        predictor.features = self._encoded(self._uploaded(prepared))
        predictor.is_image_set = True

    def _uploaded(self, prepared: Prepared) -> Any:
        picture = self._torch.from_numpy(on_host(prepared.network))
        return picture.to(self._device, self._type)

    def _encoded(self, picture: Any) -> Any:
        torch = self._torch
        with torch.no_grad(), torch.autocast(self._device, enabled=False):
            # A copy: CUDA graphs give the same memory every time.
            return self._encoder(picture).clone()

    def _masks(self, boxes: Sequence[Box]) -> NDArray[np.bool_]:
        """(N, H, W), by the network's own decoder and resizing."""
        torch, fit, profile = self._torch, self._fit, self._manifest.profile
        prompts = [Prompt.box(*corners) for corners in boxes]
        inputs = decoder_inputs(prompts, fit, profile, self._manifest.low_resolution)
        corners = torch.from_numpy(inputs.coords[:, -2:].reshape(-1, 4)).to(self._device)
        prompt_encoder = self._network.prompt_encoder
        with torch.no_grad(), self._cast():
            sparse, dense = prompt_encoder(points=None, boxes=corners, masks=None)
            logits, _ = self._decoder(
                image_embeddings=self._embedding,
                image_pe=prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            resize = torch.nn.functional.interpolate
            square = resize(logits.float(), (fit.square, fit.square), mode="bilinear")
            cut = square[..., : fit.resized_height, : fit.resized_width]
            full = resize(cut, (fit.height, fit.width), mode="bilinear")
            found: NDArray[np.bool_] = (full[:, 0] > 0).cpu().numpy()
        return found

    def _cast(self) -> AbstractContextManager[Any]:
        """Decoder and prompts as autocast has them: their positions would not bear 16 bits."""
        cast: AbstractContextManager[Any] = self._torch.autocast(self._device, dtype=self._type)
        return cast


def _suppression(generator: Any) -> str:
    """torchvision's own where it is installed: the stand-in loops in Python."""
    try:
        generator.batched_nms = importlib.import_module("torchvision.ops.boxes").batched_nms
    except ImportError:
        return "stand-in in Python: everything mode of this peer is slower than with torchvision"
    return "torchvision"
