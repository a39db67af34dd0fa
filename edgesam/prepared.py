"""A picture as a model's encoder takes it, and how it lies there. Knows no engine and no prompt."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.embedding import Tensor, on_host
from edgesam.engines.protocol import DevicePixels
from edgesam.errors import ImageError
from edgesam.fit import Fit
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.manifest import Manifest
from edgesam.memory import memory_for
from edgesam.models import Profile
from edgesam.on_gpu import OnGpu, grey_of, lies_on_gpu
from edgesam.place import Place
from edgesam.preprocess import fit_of, network_input, one_picture, preparation
from edgesam.volume import Volume
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.grey import GreyTable

_log = logging.getLogger("edgesam")

Picture = Image | Volume | Cine | NDArray[Any] | OnGpu
"""What stands for one picture: an array, or what :func:`edgesam.read` returned."""


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Of what a network's input on a device was made; it says the same as that.

    Attributes:
        pixels, grey, rule: as :meth:`edgesam.engines.DevicePixels.prepare` took them.
    """

    pixels: NDArray[Any]
    grey: GreyTable | None
    rule: Preparation

    def digest(self) -> str:
        """sha256 of them all."""
        found = hashlib.sha256(repr((self.pixels.shape, self.pixels.dtype.str, self.rule)).encode())
        found.update(np.ascontiguousarray(self.pixels).data)
        if self.grey is not None:
            found.update(np.ascontiguousarray(self.grey.entries).data)
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Prepared:
    """The first half of :meth:`edgesam.Sam.embed`: :meth:`edgesam.Sam.encode` is the second.

    Attributes:
        network: (1, 3, S, S) float32, what the encoder sees: an array, or what lies on a device and
            may still be in the making.
        fit: how the picture lies in the square.
        mapping: how its pixels became 8-bit grey levels, in words.
        place: size of its pixels and where it lies, None if nothing is known.
        profile: of the model it was prepared for.
        made_of: of what ``network`` was made on a device, None where it was not, or where that
            lies there itself.
    """

    network: Tensor
    fit: Fit
    mapping: str
    place: Place | None
    profile: Profile
    made_of: Ingredients | None = None
    _digests: list[str] = field(default_factory=list, repr=False)

    def digest(self) -> str:
        """sha256 of what the encoder sees, or of all that it was made of; found once, when first
        asked for, and then still of the pixels as they were.
        """
        if not self._digests:
            if self.made_of is not None:
                self._digests.append(self.made_of.digest())
            else:
                seen = np.ascontiguousarray(on_host(self.network))
                self._digests.append(hashlib.sha256(seen.data).hexdigest())
        return self._digests[0]

    def network_of(self, manifest: Manifest) -> Tensor:
        """:attr:`network`, for a model of that manifest.

        Raises:
            ImageError: it was prepared for a model that sees pictures otherwise.
        """
        if (self.profile, self.fit.square) != (manifest.profile, manifest.image_size):
            raise ImageError(
                f"this picture was prepared for another model than {manifest.model}: "
                "prepare it with the manifest of the model that encodes it"
            )
        return self.network


def prepare(
    image: Picture,
    window: Levels | None,
    manifest: Manifest,
    pixels: DevicePixels | None = None,
) -> Prepared:
    """Grey levels, size and normalisation of a picture: all that comes before the encoder.

    Args:
        image: as :meth:`edgesam.Sam.embed` takes it.
        window: grey levels to show, None for the picture's own.
        manifest: of the model.
        pixels: of the session that encodes it, :attr:`edgesam.Sam.pixels`: then the picture is
            prepared there, with the same answer. None: here.

    Raises:
        ImageError: pixels that cannot be used, or several pictures of which none was chosen.
        OutOfMemory: there is no memory for it.
    """
    if lies_on_gpu(image):
        return _of_gpu(image, window, manifest, pixels)
    picture = one_picture(image)
    if pixels is not None:
        return _on_device(picture, window, manifest, pixels)
    rgb, mapping = picture.to_rgb8(window)
    profile, fit = manifest.profile, _fit(picture, manifest)
    with memory_for(f"a picture of {picture.width} x {picture.height} pixels"):
        network = network_input(rgb, fit, profile)
    return Prepared(network, fit, mapping, picture.place, profile)


def _on_device(
    picture: Image, window: Levels | None, manifest: Manifest, pixels: DevicePixels
) -> Prepared:
    """Raw pixels and a table go there; RGB only where there is no table."""
    profile, fit = manifest.profile, _fit(picture, manifest)
    rule = preparation(fit, profile)
    with memory_for(f"a picture of {picture.width} x {picture.height} pixels"):
        if (found := picture.grey_table(window)) is not None:
            grey, mapping = found
            _log.info("rendered %d x %d pixels: %s", picture.width, picture.height, mapping)
            made_of = Ingredients(picture.pixels, grey, rule)
        else:
            rgb, mapping = picture.to_rgb8(window)
            made_of = Ingredients(rgb, None, rule)
        network = pixels.prepare(made_of.pixels, made_of.grey, rule)
    return Prepared(network, fit, mapping, picture.place, profile, made_of)


def _of_gpu(
    image: Any, window: Levels | None, manifest: Manifest, pixels: DevicePixels | None
) -> Prepared:
    if pixels is None:
        raise ImageError(
            "this picture lies on a GPU and the model does not prepare pictures there: give it as "
            "a NumPy array, or load the model with device='cuda'"
        )
    frame = pixels.adopt(image)
    grey, mapping = grey_of(frame.shape, frame.dtype, window)
    height, width, profile = *frame.shape[:2], manifest.profile
    fit = fit_of(height, width, manifest.image_size, profile)
    with memory_for(f"a picture of {width} x {height} pixels"):
        network = pixels.prepare(frame, grey, preparation(fit, profile))
    return Prepared(network, fit, mapping, None, profile)


def _fit(picture: Image, manifest: Manifest) -> Fit:
    size = picture.height, picture.width
    return fit_of(*size, manifest.image_size, manifest.profile, picture.pixel_aspect)
