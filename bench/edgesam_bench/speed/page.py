"""Reports of ``edgesam bench`` as one page for people. Knows no measurement.

python -m edgesam_bench.speed.page bench/results/speed-*.json --out docs/speed.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from edgesam_bench import page
from edgesam_bench.speed.baseline import read_report
from edgesam_bench.speed.contender import EDGESAM
from edgesam_bench.speed.table import amount, sameness, title

_HEAD = """\
# Speed beside PyTorch and plain exports

`make speed` writes this page, its pictures, and the reports they are made of. Medians; a ratio is
edgesam / peer, the median of the rounds' ratios and their range: below 1 edgesam takes less. What
each measure and each peer is: [performance.md](performance.md#edgesam-bench). Seconds are this
machine's; ratios and shares of the peak are what can be compared.
"""


def markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(report) for report in reports)])


def _section(report: Mapping[str, Any]) -> str:
    model, engine = report["model"], report["engine"].partition(":")[0]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    absent = {name: peer["reason"] for name, peer in report["peers"].items() if peer["reason"]}
    parts = [
        f"## {model}, {report['variant']}, {engine}\n",
        f"![{model}: stages, every click, ratios](speed-{model}.png)\n",
        f"{report['processor']}; {versions}; rounds: {report['rounds']}; "
        f"[speed-{model}.json](../bench/results/speed-{model}.json).\n",
        _measures(report),
        _preparation(report),
        _work(report),
        *(f"{name}: {reason}.\n" for name, reason in absent.items()),
        *(f"Note: {doubt}.\n" for doubt in report["doubts"]),
    ]
    return "\n".join(parts)


def _measures(report: Mapping[str, Any]) -> str:
    peers = report["contenders"][1:]
    rows = [["", "p50", "p95", *peers], ["---"] * (3 + len(peers))]
    for name, measure in report["measures"].items():
        ours, unit = measure["of"][EDGESAM], measure["unit"]
        ratios = ((measure["ratio"] or {}).get(peer) for peer in peers)
        cells = [
            f"{found['median']:.2f} ({found['min']:.2f}–{found['max']:.2f})" if found else "–"
            for found in ratios
        ]
        told = [amount(ours[p], unit) for p in ("p50", "p95")]
        rows.append([title(name, report), *told, *cells])
    if peers:
        same = (sameness(report, peer).replace("-", "–") for peer in peers)
        rows.append(["mask IoU with edgesam's, of one box", "", "", *same])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _preparation(report: Mapping[str, Any]) -> str:
    """The first click on an embedding: peers make the picture's side in every one."""
    clicks = report["measures"]["click"]["of"]
    seconds = report["stages"]["image_side"]["p50"] + clicks[EDGESAM]["p50"]
    beside = (f"{seconds / clicks[p]['p50']:.2f} of {p}'s" for p in clicks if p != EDGESAM)
    told = f"Image side and click together: {amount(seconds, 's')}"
    return f"{': '.join([told, ', '.join(beside)])}.\n"


def _work(report: Mapping[str, Any]) -> str:
    shares = (
        f"{stage.replace('_', ' ')} {found['macs'] / 1e9:.2f} GMAC at {found['share']:.0%}"
        for stage, found in report["work"].items()
    )
    peak = report["peak"]
    return f"Of the measured peak, {peak['gflops']:.0f} GFLOP/s in float32: {', '.join(shares)}.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return page.main("python -m edgesam_bench.speed.page", read_report, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
