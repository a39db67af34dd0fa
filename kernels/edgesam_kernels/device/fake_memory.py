"""Memory of a device that is none: addresses, what lies there, and who may touch it when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.fake_clock import Misuse

FIRST = 0x7F00_0000_0000
ALIGNED = 512
Vector = dict[int, int]


@dataclass(frozen=True)
class Access:
    """Bytes that a piece of work reads or writes."""

    start: int
    end: int
    write: bool


@dataclass(frozen=True)
class Past:
    """An access and the point of the stream at which it happens."""

    access: Access
    stream: int
    count: int
    name: str

    def before(self, vector: Mapping[int, int]) -> bool:
        """Whether whoever has come to ``vector`` comes after it for certain."""
        return vector.get(self.stream, 0) >= self.count


@dataclass(eq=False)
class Block:
    """An allocation."""

    pointer: int
    data: NDArray[np.uint8]
    kind: str
    past: list[Past] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self.end = self.pointer + self.data.size

    def drop(self) -> None:
        """It is closed. What the host could still look at stays, so that it is seen."""
        self.closed = True
        if self.kind == "device":
            self.data = self.data[:0].copy()


class Space:
    """All that was allocated, on the device and page-locked on the host."""

    def __init__(self) -> None:
        self._next = FIRST
        self.blocks: list[Block] = []

    def add(self, data: NDArray[np.uint8], kind: str, pointer: int | None = None) -> Block:
        if pointer is None:
            pointer = self._next
            self._next += -(-data.size // ALIGNED) * ALIGNED + ALIGNED
        # The host gives freed addresses out again.
        self.blocks = [one for one in self.blocks if not (one.closed and one.pointer == pointer)]
        block = Block(pointer, data, kind)
        self.blocks.append(block)
        return block

    def used(self) -> int:
        return sum(one.data.size for one in self.open("device"))

    def open(self, *kinds: str) -> list[Block]:
        return [one for one in self.blocks if not one.closed and one.kind in kinds]

    def find(self, pointer: int) -> Block | None:
        """The block in which an address lies; an open one before a closed one."""
        found = [one for one in self.blocks if one.pointer <= pointer < one.end]
        return min(found, key=lambda one: one.closed, default=None)

    def slice(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        """
        Raises:
            Misuse: there is no such memory, it was closed, or it ends before.
        """
        block = self.find(pointer)
        if block is None:
            raise Misuse(f"there is no memory at {pointer:#x}")
        if block.closed:
            raise Misuse(f"memory at {pointer:#x} was closed and is used again")
        if pointer + nbytes > block.end:
            raise Misuse(
                f"{nbytes} bytes at {pointer:#x} reach {pointer + nbytes - block.end} past the "
                "end of their memory"
            )
        start = pointer - block.pointer
        return block.data[start : start + nbytes]

    def touch(self, access: Access, stream: int, vector: Vector, name: str) -> None:
        """Note an access of a piece of work that comes after all in ``vector``.

        Raises:
            Misuse: it conflicts with another stream's and nothing orders the two.
        """
        block = self.find(access.start)
        if block is None:
            return
        kept = []
        for past in block.past:
            apart = past.access.end <= access.start or access.end <= past.access.start
            ordered = past.before(vector)
            if not apart and not ordered and (access.write or past.access.write):
                verbs = ["writes" if one.write else "reads" for one in (access, past.access)]
                raise Misuse(
                    f"{name} on stream {stream} {verbs[0]} what {past.name} on stream "
                    f"{past.stream} {verbs[1]}, and nothing orders the two"
                )
            if not (ordered and past.access == access):
                kept.append(past)
        block.past = [*kept, Past(access, stream, vector[stream], name)]

    def pending(self, block: Block, host: Vector, *, writes_only: bool = False) -> Past | None:
        """Work with a block of which the host does not know that it is done."""
        return next(
            (
                past
                for past in block.past
                if not past.before(host) and (past.access.write or not writes_only)
            ),
            None,
        )

    def close(self, block: Block, host: Vector) -> None:
        """
        Raises:
            Misuse: it is closed, or a stream still uses it.
        """
        if block.closed:
            raise Misuse(f"memory at {block.pointer:#x} was closed twice")
        past = self.pending(block, host)
        if past is not None:
            raise Misuse(
                f"memory at {block.pointer:#x} was closed while {past.name} on stream "
                f"{past.stream} was not known to be done"
            )
        block.drop()
