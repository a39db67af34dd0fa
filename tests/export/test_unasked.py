"""What is written unasked: what was measured of that checkpoint, but for what gains nothing."""

from __future__ import annotations

import pytest

from edgesam.models import find
from edgesam_bench.passports import shipped_variants
from edgesam_export.unasked import unasked


@pytest.mark.parametrize("model", ["lite-medsam", "mobile-sam"])
def test_of_known_checkpoints(model: str) -> None:
    checkpoint = find(model).sha256
    assert set(shipped_variants(checkpoint)) == {"fp32", "fp16", "int8"}
    assert sorted(unasked(checkpoint)) == ["fp32", "int8"]


def test_of_any_other() -> None:
    assert unasked("0" * 64) == []
