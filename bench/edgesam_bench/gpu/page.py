"""Reports of a GPU as Markdown, for ``docs/performance.md``. Knows no measurement.

python -m edgesam_bench.gpu.page bench/results/gpu-*.json --out docs/gpu.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgesam_bench import page
from edgesam_bench.gpu.findings import read_findings
from edgesam_bench.gpu.measures import MEASURES

_PIPELINE = ("serial", "overlapped")


def markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """A section for each report."""
    return "\n".join(_section(report) for report in reports)


def _section(report: Mapping[str, Any]) -> str:
    parts = [_heading(report), *_peaks(report), *_tests(report), *_parity(report)]
    for model in dict.fromkeys(row["model"] for row in report["speed"]):
        parts.append(_speed(model, report))
    parts += [*_failures(report), *_warnings(report), *_not_measured(report)]
    return "\n".join(parts)


def _heading(report: Mapping[str, Any]) -> str:
    card = report["card"]
    name = card["name"] if card else f"no card ({report['device']})"
    driver = f"driver {card['driver']}; " if card else ""
    versions = ", ".join(f"{package} {number}" for package, number in report["versions"].items())
    height, width = report["picture"]
    ended = "" if report["finished"] else " **The run did not end: figures are those until then.**"
    return (
        f"### {name}\n\n{driver}{report['processor']}; {versions}. A picture of {width} × {height} "
        f"pixels; rounds, contenders in turn: {report['rounds']}. Wall times end when the "
        f"device has nothing left to do; device times are those in which a kernel or a copy ran. "
        f"Encode begins with the prepared picture on the device; edgesam's ends with the picture's "
        f"side of the decoder, too, which PyTorch makes in every click. Of several pictures in one "
        f"call PyTorch's encoder runs once; edgesam's once where its graph takes several, else "
        f"once for each. PyTorch's pictures are prepared on the host."
        f"{ended}\n"
    )


def _peaks(report: Mapping[str, Any]) -> Iterator[str]:
    peaks = report["peaks"]
    if not peaks:
        return
    found = [f"{name} {one['tflops']:.0f} TFLOP/s" for name, one in peaks["matmul"].items()]
    if "copy" in peaks:
        found.append(f"copies {peaks['copy']['gb_per_s']:.0f} GB/s (read and written)")
    yield f"Measured peaks, by {peaks['by']}: {', '.join(found)}.\n"


def _tests(report: Mapping[str, Any]) -> Iterator[str]:
    tests = report["tests"]
    if tests:
        skipped = sum(tests["skipped"].values())
        yield (
            f"Tests that need a GPU: {tests['passed']} passed, {tests['failed']} failed, "
            f"{skipped} skipped.\n"
        )


def _parity(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["parity"]:
        return
    head = "parity with fp32 on the CPU|pictures|embedding, worst|masks|IoU, mean|p5|worst"
    rows = [head.split("|")]
    for row in report["parity"]:
        found = row["mask_iou"]
        shown = [f"{found[key]:.4f}" for key in ("mean", "p5", "worst")] if found else ["–"] * 3
        rows.append(
            [
                f"`{row['model']}`, {row['contender']}",
                str(row["pictures"]),
                f"{row['embedding_error']:.1e}",
                str(found["n"]) if found else "–",
                *shown,
            ]
        )
    yield _table(rows)
    sources = dict.fromkeys(row["source"] for row in report["parity"])
    yield f"Pictures: {'; '.join(sources)}.\n"


def _speed(model: str, report: Mapping[str, Any]) -> str:
    told = [one for one in report["contenders"] if one["model"] == model]
    peers = [one["contender"] for one in told if not one["ours"]]
    rows = [["", "", "wall p50", "p95", "device p50", "p95", "of the peaks"]]
    rows[0] += [f"{peer} / ours" for peer in peers]
    for measure in MEASURES:
        for row in report["speed"]:
            if (row["model"], row["measure"]) == (model, measure):
                rows.append([*_cells(row, report), *(_ratio(row, peer) for peer in peers)])
    weights = told[0]["weights"] if told else "unknown"
    lines = [f"`{model}`, {weights} weights:\n", _table(rows)]
    for one in told:
        if suppression := one["runs"].get("suppression"):
            by = f"overlapping masks suppressed by: {suppression}"
            lines.append(f"{one['contender']}, {by}.\n")
        if agreement := one.get("agreement"):
            lines.append(
                f"{one['contender']} beside {agreement['with']}: embedding "
                f"{agreement['embedding_error']:.1e}, IoU of one box {agreement['mask_iou']:.4f}.\n"
            )
    return "\n".join(lines)


def _cells(row: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    title = MEASURES[row["measure"]].title
    if row["measure"] == "batch":
        title = f"{report['batch']} boxes on one embedding"
    if row["measure"] == "everything":
        title += f", {report['grid']} × {report['grid']} points"
    shares = row.get("shares") or {}
    names = {"matmul": "products", "copy": "copies"}
    peaks = [f"{share:.0%} of {names[name]}" for name, share in shares.items()]
    if gain := row.get("gain"):
        peaks.append(f"× {gain['median']:.2f} frames/s")
    if row["measure"] in _PIPELINE:
        title += f" ({1 / row['wall']['p50']:.3g} frames/s)"
    wall = [_milliseconds(row["wall"][p]) for p in ("p50", "p95")]
    device = [_milliseconds(row["device"][p]) if row["device"] else "–" for p in ("p50", "p95")]
    return [title, row["contender"], *wall, *device, ", ".join(peaks) or "–"]


def _ratio(row: Mapping[str, Any], peer: str) -> str:
    """How many times as long the peer takes."""
    found = row["peers"].get(peer)
    if found is None:
        return "–"
    middle, low, high = (1 / found[key] for key in ("median", "max", "min"))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    if report["failures"]:
        yield "".join(f"- **failed**: {line}\n" for line in report["failures"])


def _warnings(report: Mapping[str, Any]) -> Iterator[str]:
    if report["warnings"]:
        lines = (f"- {line}\n" for line in report["warnings"])
        yield f"edgesam warned:\n\n{''.join(lines)}"


def _not_measured(report: Mapping[str, Any]) -> Iterator[str]:
    if report["not_measured"]:
        lines = (f"- {one['what']}: {one['reason']}\n" for one in report["not_measured"])
        yield f"Not measured:\n\n{''.join(lines)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return page.main("python -m edgesam_bench.gpu.page", read_findings, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
