"""A grey-value window and its mapping to 0..255; knows nothing of files, pictures or models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgesam.errors import ImageError
from edgesam.presets import PRESETS

WindowFunction = Literal["linear", "linear_exact", "sigmoid"]

# Values mapped at a time, so that a huge float picture needs no float64 copy of itself.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Window:
    """A window of grey values, as DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3 define it.

    Attributes:
        level: the centre, in the units of the pixels (Hounsfield units for CT).
        width: in the same units, above 0; at least 1 for ``linear``.
        function: ``linear`` is DICOM's default, made for whole numbers (level 40 and width 400
            run from -160 to 239); ``linear_exact`` runs from level - width/2 to level + width/2;
            ``sigmoid`` never saturates fully.
    """

    level: float
    width: float
    function: WindowFunction = "linear"

    def __post_init__(self) -> None:
        if self.function not in get_args(WindowFunction):
            raise ValueError(f"function must be one of {get_args(WindowFunction)}")
        if not (math.isfinite(self.level) and math.isfinite(self.width)):
            raise ImageError(
                f"window {self.level:g}/{self.width:g}: level and width must be finite"
            )
        if self.width <= 0:
            raise ImageError(f"window {self.level:g}/{self.width:g}: the width must be above 0")
        if self.function == "linear" and self.width < 1:
            raise ImageError(
                f"window {self.level:g}/{self.width:g}: DICOM's linear function needs a width of "
                "at least 1; use function='linear_exact'"
            )

    @classmethod
    def preset(cls, name: str) -> Window:
        """The window of this name in :data:`edgesam.presets.PRESETS`."""
        try:
            level, width, _ = PRESETS[name.strip().lower()]
        except KeyError:
            raise ImageError(
                f"no window preset {name!r}; there are: {', '.join(PRESETS)}, or give LEVEL,WIDTH"
            ) from None
        return cls(level, width)

    @classmethod
    def parse(cls, text: str) -> Window:
        """``"40,400"`` (level, width) or a preset's name.

        A width of 1 or less means float pixels: DICOM's ``linear`` is a mere threshold at 1 and
        undefined below, so such a window is ``linear_exact``.
        """
        level_text, comma, width_text = text.partition(",")
        if not comma:
            return cls.preset(text)
        try:
            level, width = float(level_text), float(width_text)
        except ValueError:
            raise ImageError(
                f"window {text!r} is neither LEVEL,WIDTH (two numbers) nor a preset; "
                f"presets: {', '.join(PRESETS)}"
            ) from None
        return cls(level, width, "linear_exact" if width <= 1 else "linear")

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Maps integers or floats of any shape to 0..255 of the same shape.

        Computed in float64 and rounded to the nearest whole number, halves upwards.
        """
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            return self._apply_by_table(values)
        mapped = np.empty(values.shape, np.uint8)
        rows = max(1, _BLOCK // max(1, math.prod(values.shape[1:])))
        for start in range(0, len(values), rows):
            block = values[start : start + rows].astype(np.float64)
            mapped[start : start + rows] = self._grey(block)
        return mapped

    def rule(
        self,
        pixels: npt.NDArray[Any],  # noqa: ARG002
    ) -> tuple[Callable[[npt.NDArray[Any]], npt.NDArray[np.uint8]], str]:
        """:meth:`apply`, whatever the picture, and the words for it: as ``window 40/400``."""
        return self.apply, str(self)

    def __str__(self) -> str:
        name = "" if self.function == "linear" else f" {self.function}"
        return f"window {self.level:g}/{self.width:g}{name}"

    def _apply_by_table(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """The same for 8- and 16-bit integers: each of the possible values is computed once."""
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        bits = np.dtype(f"u{native.dtype.itemsize}")
        patterns = np.arange(1 << (8 * bits.itemsize), dtype=bits).view(native.dtype)
        table = self._grey(patterns.astype(np.float64))
        mapped: npt.NDArray[np.uint8] = table[native.view(bits)]
        return mapped

    def _grey(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        # far outside a tiny window the quotient may overflow to infinity, which is clipped too
        with np.errstate(over="ignore"):
            y = _FUNCTIONS[self.function](x, self.level, self.width)
        return np.floor(np.clip(y, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _linear(x: npt.NDArray[np.float64], level: float, width: float) -> npt.NDArray[np.float64]:
    centre = level - 0.5
    if width == 1:
        return (x > centre).astype(np.float64)
    return (x - centre) / (width - 1.0) + 0.5


def _linear_exact(
    x: npt.NDArray[np.float64], level: float, width: float
) -> npt.NDArray[np.float64]:
    return (x - level) / width + 0.5


def _sigmoid(x: npt.NDArray[np.float64], level: float, width: float) -> npt.NDArray[np.float64]:
    # tanh form of 1 / (1 + exp(-4 (x - level) / width)), which cannot overflow
    return 0.5 * (1.0 + np.tanh(2.0 * (x - level) / width))


_FUNCTIONS: dict[
    str, Callable[[npt.NDArray[np.float64], float, float], npt.NDArray[np.float64]]
] = {"linear": _linear, "linear_exact": _linear_exact, "sigmoid": _sigmoid}
