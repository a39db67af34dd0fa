"""Which of the decoder's four masks answer a prompt. Knows logits and scores, no picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit

Select = Literal["single", "best", "stability", 0, 1, 2]
"""Which of the decoder's four masks answers a prompt.

``single`` is the first mask token, trained to be the answer to an unambiguous prompt; ``best`` has
the highest predicted IoU of the three of ``multimask``, ``stability`` the most stable edge of the
three; 0, 1 and 2 are the three themselves, in the decoder's order.
"""

SELECTIONS = get_args(Select)
ALTERNATIVES = (1, 2, 3)  # the mask tokens of ``multimask``

_OFFSET = 1.0  # segment-anything's stability_score_offset


@dataclass(frozen=True)
class Selection:
    """One mask of the four for each prompt, or the three alternatives.

    Attributes:
        select: see :data:`Select`; None for all three.
    """

    select: Select | None

    @classmethod
    def asked(cls, select: Select, multimask: bool) -> Selection:
        """As a caller has it.

        Raises:
            ValueError: there is no such selection, or it contradicts ``multimask``.
        """
        if isinstance(select, np.integer):  # what argmax gives
            select = cast("Select", int(select))
        if select not in SELECTIONS or type(select) not in (str, int):
            raise ValueError(f"select is {select!r}, not one of {', '.join(map(str, SELECTIONS))}")
        if multimask and select != "single":
            raise ValueError("multimask gives all three masks: leave out select")
        return cls(None if multimask else select)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Which of the decoder's four masks have to be made."""
        if self.select == "single":
            return (0,)
        if self.select is None or self.select in ("best", "stability"):
            return ALTERNATIVES
        return (1 + int(self.select),)

    def chosen(
        self, logits: NDArray[np.float32], iou: NDArray[np.float32], fit: Fit
    ) -> NDArray[np.intp]:
        """For each of N prompts, which of the masks made for it answer it.

        Args:
            logits: (N, K, L, L), of :attr:`tokens`.
            iou: (N, 4), predicted, of all four mask tokens.
            fit: where the picture lies; padding has no say in stability.

        Returns:
            (N, 1) of 0..K - 1, or (N, 3) where all three are wanted.
        """
        count, made = logits.shape[:2]
        if self.select is None or made == 1:
            return np.tile(np.arange(made), (count, 1))
        merit = iou[:, ALTERNATIVES] if self.select == "best" else _stability(logits, fit)
        best: NDArray[np.intp] = merit.argmax(axis=1)[:, None]
        return best


def _stability(logits: NDArray[np.float32], fit: Fit) -> NDArray[np.float64]:
    """IoU of the masks above +1 and above -1; 0 for a mask with nothing above -1."""
    rows, columns = fit.cells(logits.shape[-1])
    inside = logits[..., :rows, :columns]
    above = np.count_nonzero(inside > _OFFSET, axis=(-2, -1))
    below = np.count_nonzero(inside > -_OFFSET, axis=(-2, -1))
    stability: NDArray[np.float64] = above / np.maximum(below, 1)
    return stability
