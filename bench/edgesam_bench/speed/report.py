"""The report: everything that one run of ``edgesam bench`` found, JSON-ready. Measures nothing."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.figures import iou
from edgesam_bench.speed.contender import EDGESAM
from edgesam_bench.speed.measures import MEASURES
from edgesam_bench.speed.probe import BLAS, ENGINE
from edgesam_bench.speed.rounds import Found
from edgesam_bench.speed.samples import described, ratio

SCHEMA = 1
GRAPHS = {"encode": "image_encoder", "image_side": "image_side", "decode": "mask_decoder"}

_UNSTEADY = 0.15  # spread of the rounds above which a measure is called unsteady
_SPINS = 0.05  # share of a core that a waiting contender may take
_SAME_WORK = 0.95  # IoU with edgesam's mask below which a peer may have done other work


def measures(found: Found) -> dict[str, Any]:
    """Each measure with its figures by contender, and edgesam's ratios to its peers."""
    report: dict[str, Any] = {}
    for name in (name for name in MEASURES if name in found.samples):
        of = {who: described(rounds) for who, rounds in found.samples[name].items()}
        ours = of[EDGESAM]["rounds"]
        report[name] = {
            "unit": MEASURES[name].unit,
            "of": of,
            "ratio": {w: ratio(ours, d["rounds"]) for w, d in of.items() if w != EDGESAM},
        }
    return report


def stages(found: Found) -> dict[str, Any]:
    """Each stage's figures; its samples are calls, not rounds."""
    report = {name: described([seconds]) for name, seconds in found.stages.items()}
    for figures in report.values():
        del figures["rounds"], figures["spread"]
    return report


def peak(*probes: Mapping[str, Any]) -> dict[str, Any]:
    """Of several probes the fastest: ``gflops``, ``by`` whom, and what each found."""
    best = {
        who: max(probe[who] for probe in probes if who in probe)
        for who in (BLAS, ENGINE)
        if any(who in probe for probe in probes)
    }
    by = max(best, key=lambda who: best[who])
    reason = next((probe["reason"] for probe in probes if "reason" in probe), None)
    return {"gflops": best[by], "by": by, **best, "reason": reason}


def work(macs: Mapping[str, int], found: Found, gflops: float) -> dict[str, Any]:
    """Of each graph: multiply-accumulates, GFLOP/s at its median time, share of the peak."""
    report = {}
    for stage, count in macs.items():
        achieved = 2e-9 * count / statistics.median(found.stages[stage])
        report[stage] = {"macs": count, "gflops": achieved, "share": achieved / gflops}
    return report


def mask_of(answer: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask (H, W) in a contender's answer."""
    height, width = answer["size"]
    packed = np.frombuffer(base64.b64decode(answer["mask"]), np.uint8)
    return np.unpackbits(packed, count=height * width).reshape(height, width).astype(np.bool_)


def agreement(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """IoU of two contenders' masks."""
    return iou(mask_of(ours), mask_of(theirs))


def doubts(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know before he believes the figures; one line each."""
    found = [] if report["busy"] is None else [f"the machine was busy: {report['busy']}"]
    unsteady = [
        f"{name} {figures['spread']:.0%}"
        for name, measure in report["measures"].items()
        if (figures := measure["of"][EDGESAM])["spread"] is not None
        and figures["spread"] > _UNSTEADY
    ]
    if unsteady:
        found.append(f"unsteady, spread of the rounds: {', '.join(unsteady)}")
    for name, share in report["idle"].items():
        if share > _SPINS:
            found.append(f"{name} took {share:.0%} of a core while others were measured")
    for name, peer in report["peers"].items():
        if peer["agreement"] is not None and peer["agreement"] < _SAME_WORK:
            found.append(
                f"{name} may have done other work: IoU {peer['agreement']:.3f} with edgesam's mask"
            )
    return found
