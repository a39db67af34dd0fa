"""Outlines of a mask as polygons along its pixels' edges; knows only booleans and corners.

Coordinates are (x, y) with pixel centres at whole numbers, so that corners lie at halves: pixel
(0, 0) spans -0.5..0.5. Pixels that share an edge are of one part; those that touch only at a corner
are of two, or the ring around them would touch itself. Rings run with the mask at their right as
seen on a screen: by the shoelace formula an outer ring's area is positive (counter-clockwise where
y grows upwards, as GeoJSON has it), a hole's negative.

The work is done on straight edges between corners. Python only walks from one to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""(V, 2): corners x, y, at least four, the first not repeated, no three of them in a line."""
_Indices = NDArray[np.intp]


class Contour(NamedTuple):
    """One connected part of a mask: its outline, and a ring for each hole in it."""

    outer: Ring
    holes: tuple[Ring, ...]


class _Edges(NamedTuple):
    """Straight edges between the mask and its background, all along rows or all along columns."""

    line: _Indices  # (E,) which line of corners, in order
    low: _Indices  # (E,) first corner on it
    high: _Indices  # (E,) last corner
    forward: NDArray[np.bool_]  # (E,) from low to high, the mask at the right; else back


class _Joined(NamedTuple):
    """Rings end to end."""

    corner: _Indices  # (V, 2) x and y, counted from the picture's upper left corner
    after: _Indices  # (V,) the next of the same ring
    ring: _Indices  # (V,) whose it is
    first: _Indices  # (rings,) where each begins


def contours(mask: NDArray[np.bool_], *, inset: float = 0.0) -> list[Contour]:
    """The outline of every part of a mask (H, W), from the top down.

    Args:
        mask: (H, W) bool.
        inset: how far the rings are drawn into the mask, in pixels, less than a quarter. At 0 they
            lie on the pixels' edges; a ring that comes back to a corner becomes two, so that every
            contour is a valid polygon, whose holes touch its outline in single corners at most.
            Above 0 the two strands at such a corner part: no ring touches itself or another.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.int8)
    padded[1:-1, 1:-1] = mask
    stride = width + 1  # corners in a row of corners, which are numbered row by row
    across = _edges(np.diff(padded, axis=0))
    down = _edges(-np.diff(padded, axis=1).T)
    rings = _rings(across, down, stride)
    if inset == 0:
        rings = [part for ring in rings for part in _parted(ring)]
    if not rings:
        return []
    row, column = np.divmod(np.concatenate(rings), stride)
    joined = _joined(np.stack([column, row], axis=1), [len(ring) for ring in rings])
    owner = _owners(joined)
    drawn = np.split(_drawn_in(joined, inset), joined.first[1:])
    parts: dict[int, list[Ring]] = {n: [] for n, whose in enumerate(owner) if n == whose}
    for number, whose in enumerate(owner):
        if number != whose:
            parts[whose].append(drawn[number])
    return [Contour(drawn[number], tuple(holes)) for number, holes in parts.items()]


def keyhole(contour: Contour) -> Ring:
    """(V, 2): outline and holes of a contour as one ring, joined by bridges without width.

    From the left of its uppermost row each hole is joined to what lies to the left of it. The ring
    passes a bridge there and back, so that its area stays right, and what is filled by the even-odd
    rule or by winding numbers. A bridge lies a quarter of a pixel above the pixels' centres.
    """
    if not contour.holes:
        return contour.outer
    rings = [contour.outer, *contour.holes]
    corners = np.rint(np.concatenate(rings) + 0.5).astype(np.intp)
    joined = _joined(corners, [len(ring) for ring in rings])
    heads = _heads(joined)
    beside = _beside(joined, heads)
    onto = joined.ring[beside].tolist()
    edge = (beside - joined.first[onto]).tolist()
    bridges: list[dict[int, list[Ring]]] = [{} for _ in rings]
    # Each leads to a ring that begins higher up, or as high and further to the left. From the last
    # to the first, so that a hole has its own bridges first, and an edge has them from below.
    for hole in np.lexsort((corners[heads, 0], corners[heads, 1]))[::-1].tolist():
        if hole == 0:
            continue
        cut = int(heads[hole] - joined.first[hole])
        level = corners[heads[hole], 1] - 0.25
        near = [rings[hole][cut, 0], level]
        far = [rings[onto[hole]][edge[hole], 0], level]
        loop = _bridged(rings[hole], cut + 1, bridges[hole])
        bridges[onto[hole]].setdefault(edge[hole], []).append(
            np.vstack([far, near, loop, near, far])
        )
    return _bridged(rings[0], 0, bridges[0])


def _bridged(ring: Ring, start: int, loops: dict[int, list[Ring]]) -> Ring:
    """The ring from its corner ``start`` on, with the loops put in after theirs."""
    turned, pieces, done = np.roll(ring, -start, axis=0), [], 0
    for corner in sorted(loops, key=lambda corner: (corner - start) % len(ring)):
        here = (corner - start) % len(ring) + 1
        pieces += [turned[done:here], *loops[corner]]
        done = here
    return np.concatenate([*pieces, turned[done:]])


def _edges(step: NDArray[np.int8]) -> _Edges:
    """Of (lines, places + 2): 1 where an edge runs forward, -1 where back; its border is 0."""
    flat = step.ravel()
    breaks = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    kept = np.flatnonzero(flat[breaks])  # the last break is always back to 0
    low, high = breaks[kept], breaks[kept + 1]
    line = low // step.shape[1]
    before = line * step.shape[1] + 1
    return _Edges(line, low - before, high - before, flat[low] > 0)


def _rings(across: _Edges, down: _Edges, stride: int) -> list[_Indices]:
    """The corners (V,) of each ring, across first; those around diagonal pixels kept apart."""
    low, high = across.line * stride + across.low, across.line * stride + across.high
    ends = np.where(across.forward, (low, high), (high, low)).T
    low, high = down.low * stride + down.line, down.high * stride + down.line
    begin, end = np.where(down.forward, (low, high), (high, low))
    # Where four edges meet, two pixels touch diagonally: each strand turns around its own pixel.
    back, up = ~across.forward, ~down.forward
    turn, onward = np.empty((2, len(ends)), np.intp)
    turn[np.lexsort((back, ends[:, 1]))] = np.lexsort((up, begin))
    onward[np.lexsort((down.forward, end))] = np.lexsort((back, ends[:, 0]))
    following = onward[turn].tolist()
    seen = bytearray(len(following))
    rings = []
    for first in range(len(following)):
        if seen[first]:
            continue
        walk, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            walk.append(edge)
            edge = following[edge]
        rings.append(ends[walk].ravel())
    return rings


def _parted(ring: _Indices) -> list[_Indices]:
    """The ring, cut in two wherever it comes back to a corner."""
    corners = ring.tolist()
    if len(set(corners)) == len(corners):
        return [ring]
    parts: list[_Indices] = []
    path: list[int] = []
    place: dict[int, int] = {}
    for corner in corners:
        if corner in place:
            begin = place[corner]
            parts.append(np.array(path[begin:]))
            for passed in path[begin:]:
                del place[passed]
            del path[begin:]
        place[corner] = len(path)
        path.append(corner)
    return [*parts, np.array(path)]


def _joined(corner: _Indices, lengths: list[int]) -> _Joined:
    """Rings of those lengths."""
    count = np.array(lengths)
    stop: _Indices = np.cumsum(count)
    first = stop - count
    after = np.arange(1, len(corner) + 1)
    after[stop - 1] = first
    return _Joined(corner, after, np.repeat(np.arange(len(count)), count), first)


def _drawn_in(rings: _Joined, inset: float) -> NDArray[np.float64]:
    """(V, 2): the corners, moved to the right of both edges that meet in each; centres whole."""
    heading = np.sign(rings.corner[rings.after] - rings.corner)
    heading[rings.after] += heading.copy()  # one goes across, one down
    return rings.corner - 0.5 + inset * np.stack([-heading[:, 1], heading[:, 0]], axis=1)


def _heads(rings: _Joined) -> _Indices:
    """(rings,) the upper left corner of each: the leftmost of its uppermost ones."""
    order = np.lexsort((rings.corner[:, 0], rings.corner[:, 1], rings.ring))
    return order[rings.first]


def _beside(rings: _Joined, heads: _Indices) -> _Indices:
    """(rings,) the corner that begins the nearest edge to the left of each one's uppermost row.

    For a ring with nothing to its left, an outline, it is any.
    """
    x, y = rings.corner.T
    below = y[rings.after]
    count = np.abs(below - y)  # rows of pixels along each edge, 0 along a row
    edge = np.repeat(np.arange(len(x)), count)
    nth = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    span = int(x.max()) + 1
    place = (np.minimum(y, below)[edge] + nth) * span + x[edge]
    order = np.argsort(place)
    found = np.searchsorted(place[order], y[heads] * span + x[heads]) - 1
    beside: _Indices = edge[order[found]]
    return beside


def _owners(rings: _Joined) -> list[int]:
    """For each ring the number of the outline that it belongs to: its own, or that around it."""
    x, y = rings.corner.T
    following = rings.after
    twice_area = np.add.reduceat(x * y[following] - y * x[following], rings.first)
    owner = list(range(len(twice_area)))
    if (twice_area > 0).all():
        return owner
    heads = _heads(rings)
    beside = rings.ring[_beside(rings, heads)].tolist()
    for ring in np.lexsort((x[heads], y[heads])).tolist():
        if twice_area[ring] < 0:  # what is beside it begins before it
            owner[ring] = owner[beside[ring]]
    return owner
