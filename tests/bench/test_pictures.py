"""The choice of evaluation pictures, on an invented manifest and on the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_bench.pictures import Picture, read_manifest, spread

SHARED = Path(__file__).parents[3] / "shared" / "data"


def invented(subset: str, count: int) -> list[Picture]:
    nowhere = Path()
    return [Picture(f"{subset}{i}", nowhere, nowhere, "ct", subset, False) for i in range(count)]


def test_the_spread_takes_some_of_every_subset() -> None:
    chosen = spread([*invented("b", 12), *invented("a", 2)], per_subset=3)
    assert [p.name for p in chosen] == ["a0", "a1", "b10", "b4", "b8"]


def test_the_quick_choice_is_part_of_the_full_one() -> None:
    for count in range(1, 30):
        pictures = invented("a", count)
        assert set(spread(pictures, 1)) <= set(spread(pictures, 3))


def test_absent_pictures_are_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--data"):
        read_manifest(tmp_path)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the medical pictures of ../shared are absent")
def test_the_real_manifest_covers_every_modality() -> None:
    pictures = read_manifest(SHARED)
    chosen = spread(pictures, per_subset=3)
    assert len(chosen) >= 40
    assert {(p.modality, p.subset) for p in chosen} == {(p.modality, p.subset) for p in pictures}
    first = chosen[0]
    assert first.pixels().shape == (*first.labels().shape, 3)
    assert first.pixels().dtype == np.uint8
