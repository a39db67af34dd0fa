"""Which pictures teach, which select and which judge: by their hashes alone. Knows no picture.

Each modality is parted by itself: half of it is held out, more where that would be too few for a
gate; one half of the rest selects, the other calibrates. What was taken together (slices of a
volume, a study) stays together. As the order is that of hashes, one more file moves at most the
few pictures at the borders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgesam_bench.variants.gallery import Sample

_HELD_OUT, _MOST_HELD_OUT = 0.5, 0.75  # shares of all
_SPARE = 1.1  # in some pictures nothing is found
MOST_CALIBRATING, MOST_SELECTING, MOST_HELD_OUT = 32, 16, 60


@dataclass(frozen=True)
class Parts:
    """Pictures by their use; none is in two of them.

    Attributes:
        calibrating: what is learned is learned from these.
        selecting: what is chosen is chosen on these.
        held_out: the gate's, which had no say before.
    """

    calibrating: tuple[Sample, ...]
    selecting: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def parted(samples: Sequence[Sample], least_held_out: int = 0) -> Parts:
    """The three parts, each of some modalities in turn and not larger than it needs to be.

    Args:
        samples: all there are.
        least_held_out: how many a gate wants; of few pictures up to three quarters are held out.
    """
    wanted = _SPARE * least_held_out / max(len(samples), 1)
    held_out = min(max(_HELD_OUT, wanted), _MOST_HELD_OUT)
    selecting = (1 + held_out) / 2  # where that part ends
    by_modality: dict[str, list[Sample]] = {}
    for sample in samples:
        by_modality.setdefault(sample.modality, []).append(sample)
    parts: tuple[list[Sample], ...] = ([], [], [])
    for modality in sorted(by_modality):
        for sample, at in _places(by_modality[modality]):
            parts[0 if at > selecting else 1 if at > held_out else 2].append(sample)
    return Parts(
        in_turn(parts[0], MOST_CALIBRATING),
        in_turn(parts[1], MOST_SELECTING),
        in_turn(parts[2], MOST_HELD_OUT),
    )


def in_turn(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most so many, one modality after the other, by their hashes."""
    rank: dict[str, int] = {}
    order: list[tuple[int, str, Sample]] = []
    for sample in sorted(samples, key=lambda s: s.key):
        turn = rank[sample.modality] = rank.get(sample.modality, -1) + 1
        order.append((turn, sample.modality, sample))
    return tuple(sample for *_, sample in sorted(order, key=lambda o: o[:2])[:most])


def _places(samples: Sequence[Sample]) -> list[tuple[Sample, float]]:
    """Each with the middle of its group's place among all, from 0 to 1."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(hashlib.sha256(sample.group.encode()).hexdigest(), []).append(sample)
    places: list[tuple[Sample, float]] = []
    for name in sorted(groups):
        middle = (len(places) + len(groups[name]) / 2) / len(samples)
        places += [(sample, middle) for sample in groups[name]]
    return places
