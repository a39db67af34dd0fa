"""Which results no other beats in both time and masks: the latency-IoU front. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgesam.bundle import Bundle
from edgesam_bench.tuning.race import Result


def sameness(bundle: Bundle) -> dict[str, dict[str, Any] | None]:
    """Of each variant the mask IoU with PyTorch that its passport tells, None without one.

    Raises:
        BundleError: a passport is missing, or is none.
        ChecksumMismatch: one was changed.
    """
    passports = {name: bundle.passport(variant) for name, variant in bundle.variants.items()}
    return {name: report and report["mask_iou"] for name, report in passports.items()}


def front(
    results: Sequence[Result], mask_iou: Mapping[str, Mapping[str, Any] | None]
) -> list[Result]:
    """Those to choose among: whoever is faster than one of them has worse masks on average.

    Args:
        results: the fastest first; those that failed are no choice.
        mask_iou: of each variant; one without figures is taken for worse than any other.
    """
    found: list[Result] = []
    best = float("-inf")
    for one in results:
        figures = mask_iou[one.choice.variant]
        mean = -1.0 if figures is None else figures["mean"]
        if one.failed is None and mean > best:
            found.append(one)
            best = mean
    return found
