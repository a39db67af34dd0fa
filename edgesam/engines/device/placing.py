"""A graph's runs on tensors that stay where their owner put them. Knows no library, no memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

Size = tuple[int, ...]


class Lying(NamedTuple):
    """A tensor on the device: where it is, in C's order, its shape, and the bytes that it takes."""

    pointer: int
    shape: Size
    nbytes: int


class Placing(Protocol):
    """One way through a graph, for one thread at a time."""

    def shaped(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        """Say the shapes of all inputs, by name; those of all outputs come back.

        Raises:
            BundleError: the graph does not take such inputs.
        """

    def place(self, pointers: Mapping[str, int]) -> None:
        """Say where all inputs and outputs of these shapes lie, by name.

        Raises:
            BundleError: the graph does not take them there.
        """

    def launch(self, *, recording: bool = False) -> None:
        """Give the graph's stream one computation and nothing else.

        Args:
            recording: it is recorded as a CUDA graph, which is closed before this is. A library may
                wait for the stream where it is not.

        Raises:
            BundleError, OutOfMemory: the library does not run it.
        """

    def close(self) -> None:
        """Let go of what the library holds for it, before the graph is closed."""


def by(shape: Sequence[int]) -> str:
    """As 1 x 2 x 3."""
    return " x ".join(map(str, shape))
