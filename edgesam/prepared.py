"""A picture as a model's encoder takes it, and how it lies there. Knows no engine and no prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import ImageError
from edgesam.fit import Fit
from edgesam.image import Image
from edgesam.levels import Levels
from edgesam.manifest import Manifest
from edgesam.memory import memory_for
from edgesam.models import Profile
from edgesam.place import Place
from edgesam.preprocess import fit_of, network_input, one_picture
from edgesam.volume import Volume

Picture = Image | Volume | Cine | NDArray[Any]
"""What stands for one picture: an array, or what :func:`edgesam.read` returned."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The first half of :meth:`edgesam.Sam.embed`: :meth:`edgesam.Sam.encode` is the second.

    Attributes:
        network: (1, 3, S, S) float32, what the encoder sees.
        fit: how the picture lies in the square.
        mapping: how its pixels became 8-bit grey levels, in words.
        place: size of its pixels and where it lies, None if nothing is known.
        profile: of the model it was prepared for.
    """

    network: NDArray[np.float32]
    fit: Fit
    mapping: str
    place: Place | None
    profile: Profile

    def network_of(self, manifest: Manifest) -> NDArray[np.float32]:
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


def prepare(image: Picture, window: Levels | None, manifest: Manifest) -> Prepared:
    """Grey levels, size and normalisation of a picture: all that comes before the encoder.

    Args:
        image: as :meth:`edgesam.Sam.embed` takes it.
        window: grey levels to show, None for the picture's own.
        manifest: of the model.

    Raises:
        ImageError: pixels that cannot be used, or several pictures of which none was chosen.
        OutOfMemory: there is no memory for it.
    """
    image = one_picture(image)
    rgb, mapping = image.to_rgb8(window)
    profile, aspect = manifest.profile, image.pixel_aspect
    fit = fit_of(image.height, image.width, manifest.image_size, profile, aspect)
    with memory_for(f"a picture of {image.width} x {image.height} pixels"):
        network = network_input(rgb, fit, profile)
    return Prepared(network, fit, mapping, image.place, profile)
