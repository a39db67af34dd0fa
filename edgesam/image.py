"""A picture and how it becomes 8-bit RGB; knows no file format and no model.

Rendering, in this order of preference:

1. levels that the caller gives, or gave when the slice was taken: a window, percentiles, or three
   windows as red, green and blue (grey pictures only);
2. the file's own: a DICOM VOI LUT or window;
3. 8-bit pixels: as stored;
4. everything else (16-bit, 32-bit, float): the 0.5th to the 99.5th percentile of all pixels of
   all channels together, linearly to 0..255. Where the two coincide, the smallest to the largest
   value; a constant picture becomes 0. What was used is logged at INFO and returned.

A MONOCHROME1 picture (small values are bright) is inverted after that, so dense stays bright.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesam.errors import ImageError
from edgesam.levels import Levels, Percentiles, Rule
from edgesam.origin import Origin
from edgesam.place import Place
from edgesam.window import Window
from edgesam_kernels.grey import TYPES, GreyTable, grey_table

_log = logging.getLogger("edgesam")


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A DICOM lookup table (PS3.3 C.11.1 and C.11.2): what each stored value becomes.

    Attributes:
        first: the value that the first entry stands for; smaller ones take the first entry too.
        values: (N,) unsigned integers; pixels above first + N - 1 take the last.
        bits: how many bits an entry has, so that 2**bits - 1 is full white.
    """

    first: int
    values: npt.NDArray[Any]
    bits: int

    def look_up(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The entries for ``pixels`` (any shape, rounded if they are floats), in the same shape."""
        index = np.rint(pixels.astype(np.float64)) - self.first
        found: npt.NDArray[Any] = self.values[
            np.clip(index, 0, len(self.values) - 1).astype(np.intp)
        ]
        return found

    def apply(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """The same, scaled to 0..255 and rounded to the nearest, halves upwards."""
        # Some files declare fewer bits than their entries have: those would wrap around.
        full = max((1 << self.bits) - 1, int(self.values.max()))
        grey = np.floor(self.values.astype(np.float64) * (255.0 / full) + 0.5).astype(np.uint8)
        mapped: npt.NDArray[np.uint8] = LookupTable(self.first, grey, 8).look_up(pixels)
        return mapped


@dataclass(frozen=True, eq=False)
class Image:
    """One picture, checked: not empty, no NaN, no infinity.

    Attributes:
        pixels: (H, W) grey or (H, W, 3) RGB, integers or floats in the machine's byte order, in
            the file's units (Hounsfield units for CT: DICOM's modality LUT has been applied).
        voi: the file's own default window or table, for grey pictures.
        inverted: small values are bright (DICOM MONOCHROME1, TIFF WhiteIsZero).
        modality: DICOM's code (``CT``, ``MR``, ``US``...), None when the file says none.
        window: the caller's choice of grey levels, unless another is given when it is shown.
        place: size of its pixels and where it lies, None if nothing is known.
        origin: the file it was read from, None for an array.
    """

    pixels: npt.NDArray[Any]
    voi: Window | LookupTable | None = None
    inverted: bool = False
    modality: str | None = None
    window: Levels | None = None
    place: Place | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 2 and not (len(shape) == 3 and shape[2] == 3):
            raise ImageError(
                f"an image must be (height, width) or (height, width, 3); found shape {shape}"
            )
        if dtype.kind not in "iuf":
            raise ImageError(f"pixels must be integers or floats; found {dtype}")
        if self.pixels.size == 0:
            raise ImageError(f"the image has no pixels: its shape is {shape}")
        if dtype.kind == "f":
            bad = self.pixels.size - int(np.count_nonzero(np.isfinite(self.pixels)))
            if bad:
                raise ImageError(
                    f"{bad} of {self.pixels.size} pixel values are NaN or infinite; "
                    "replace them before segmenting"
                )

    @classmethod
    def from_array(cls, array: npt.NDArray[Any]) -> Image:
        """An image of (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) booleans, integers or floats.

        A fourth channel is alpha and is dropped; booleans become 0 and 255. Pixels that need no
        change are not copied.
        """
        pixels = np.asarray(array)
        if pixels.dtype.kind not in "biuf":
            raise ImageError(f"pixels must be booleans, integers or floats; found {pixels.dtype}")
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        elif pixels.ndim == 3 and pixels.shape[2] == 4:
            pixels = pixels[:, :, :3]
        elif pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
            raise ImageError(
                "an image array must be (height, width) or (height, width, channels) with 1, 3 or "
                f"4 channels; found shape {pixels.shape}"
            )
        if pixels.dtype.kind == "b":
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        return cls(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel by its width: 1 for square pixels, and where their size is unknown."""
        return 1.0 if self.place is None else self.place.pixel_aspect

    def to_rgb8(self, window: Levels | None = None) -> tuple[npt.NDArray[np.uint8], str]:
        """(H, W, 3) uint8, C-contiguous and its own memory, and in words how it was mapped.

        The words are ``as stored``, ``window 40/400``, ``window 40/400 of the file``,
        ``VOI LUT of the file``, ``percentiles 0.5..99.5 = 12..3071``, ``range 0..7`` or
        ``constant 5 as 0``, or what other :class:`edgesam.levels.Levels` say, each with
        ``, inverted`` where small values are bright.

        Raises:
            ImageError: levels were asked for, but the picture is in colour.
        """
        rule, mapping = self.grey_rule(window)
        levels = rule(self.pixels)
        _log.info("rendered %d x %d pixels: %s", self.width, self.height, mapping)
        if levels.ndim == 2:
            return np.repeat(levels[:, :, np.newaxis], 3, axis=2), mapping
        return np.array(levels, order="C"), mapping

    def grey_rule(self, window: Levels | None = None) -> tuple[Rule, str]:
        """What makes levels of each of the pixels, and in words, both as :meth:`to_rgb8` has them.

        Raises:
            ImageError: levels were asked for, but the picture is in colour.
        """
        rule, mapping = self._upright_rule(window)
        if self.inverted:
            return lambda pixels: np.uint8(255) - rule(pixels), f"{mapping}, inverted"
        return rule, mapping

    def grey_table(self, window: Levels | None = None) -> tuple[GreyTable, str] | None:
        """:meth:`grey_rule` as a table, by which a device makes the same levels of these pixels.

        None if there is no such table: for integers of 32 bits and more, for doubles, and for
        floats with a lookup table of the file, which may rise and fall. :meth:`to_rgb8` then.

        Raises:
            ImageError: levels were asked for, but the picture is in colour.
        """
        rule, mapping = self.grey_rule(window)
        by_file = window is None and self.window is None and isinstance(self.voi, LookupTable)
        if self.pixels.dtype.name not in TYPES or (self.pixels.dtype.kind == "f" and by_file):
            return None
        return grey_table(self.pixels.dtype, rule), mapping

    def _upright_rule(self, window: Levels | None) -> tuple[Rule, str]:
        """Not yet inverted."""
        window = window or self.window
        if window is not None:
            if self.pixels.ndim == 3:
                raise ImageError(
                    f"{window} was asked for, but the image is in colour; leave the window out"
                )
            return window.rule(self.pixels)
        if isinstance(self.voi, Window):
            return self.voi.apply, f"{self.voi} of the file"
        if self.voi is not None:
            return self.voi.apply, "VOI LUT of the file"
        if self.pixels.dtype == np.uint8:
            return lambda pixels: pixels, "as stored"
        return Percentiles().rule(self.pixels)
