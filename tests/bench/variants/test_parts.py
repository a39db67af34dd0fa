"""No picture judges what it taught, and one more file moves few others."""

from __future__ import annotations

import hashlib

from edgesam_bench.variants.gallery import Sample
from edgesam_bench.variants.parts import (
    MOST_CALIBRATING,
    MOST_HELD_OUT,
    MOST_SELECTING,
    Parts,
    in_turn,
    parted,
)


def sample(name: str, modality: str = "ct", group: str | None = None) -> Sample:
    key = hashlib.sha256(name.encode()).hexdigest()

    def unread() -> None:
        raise AssertionError("parting opens no picture")

    return Sample(key, group or key, modality, unread)  # type: ignore[arg-type]


def many(count: int, modality: str = "ct") -> list[Sample]:
    return [sample(f"{modality} {i}", modality) for i in range(count)]


def keys(parts: Parts) -> list[set[str]]:
    return [{s.key for s in part} for part in (parts.calibrating, parts.selecting, parts.held_out)]


def test_no_picture_is_in_two_parts() -> None:
    for count in (1, 2, 3, 5, 30):
        three = keys(parted(many(count) + many(count, "mri")))
        assert sum(map(len, three)) == len(set.union(*three)) == 2 * count


def test_half_is_held_out_of_each_modality() -> None:
    parts = parted(many(40) + many(8, "mri"))
    for modality, count in (("ct", 20), ("mri", 4)):
        assert sum(s.modality == modality for s in parts.held_out) == count
        assert sum(s.modality == modality for s in parts.selecting) == count // 2


def test_a_volume_is_not_torn_apart() -> None:
    for seed in range(20):
        slices = [sample(f"{seed} {i}", group=f"volume {seed} {i // 4}") for i in range(40)]
        where: dict[str, set[str]] = {}
        parts = parted(slices)
        for name in ("calibrating", "selecting", "held_out"):
            for one in getattr(parts, name):
                where.setdefault(one.group, set()).add(name)
        assert all(len(found) == 1 for found in where.values())


def test_one_more_file_moves_few() -> None:
    before = many(100)
    for extra in range(20):
        old, new = keys(parted(before)), keys(parted([*before, sample(f"extra {extra}")]))
        moved = sum(len(a - b) for a, b in zip(old, new, strict=True))
        assert moved <= 3


def test_the_order_of_files_is_nothing() -> None:
    some = many(30)
    assert keys(parted(some)) == keys(parted(some[::-1]))


def test_large_folders_are_cut_evenly() -> None:
    parts = parted(many(400) + many(400, "mri"))
    sizes = [len(part) for part in (parts.calibrating, parts.selecting, parts.held_out)]
    assert sizes == [MOST_CALIBRATING, MOST_SELECTING, MOST_HELD_OUT]
    assert sum(s.modality == "mri" for s in parts.held_out) == MOST_HELD_OUT // 2


def test_modalities_take_turns() -> None:
    some = in_turn(many(50) + many(3, "mri"), 6)
    assert [s.modality for s in some] == ["ct", "mri"] * 3


def test_of_few_pictures_more_are_held_out() -> None:
    parts = parted(many(54), least_held_out=30)
    assert 32 <= len(parts.held_out) <= 34
    assert len(parts.selecting) >= 10
    assert len(parts.calibrating) >= 10
    fewer = parted(many(24), least_held_out=30)
    assert len(fewer.held_out) == 18
    assert fewer.selecting
    assert fewer.calibrating
