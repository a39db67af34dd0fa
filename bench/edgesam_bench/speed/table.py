"""A report as text for a terminal. Knows no measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgesam_bench.speed.contender import EDGESAM
from edgesam_bench.speed.measures import MEASURES, STAGES, parts_of


def text(report: Mapping[str, Any]) -> str:
    """All of it."""
    parts = [
        _head(report),
        _own(report),
        *([_beside(report)] if report["contenders"][1:] else []),
        _stages(report),
        _work(report),
        *_notes(report),
    ]
    return "\n\n".join(parts)


def amount(value: float, unit: str) -> str:
    """Three digits: 46.9 ms, 1.52 s, 448 MiB."""
    if unit == "MiB":
        return f"{value:.0f} MiB"
    return f"{value:.2f} s" if value >= 1 else f"{_three(1000 * value)} ms"


def _three(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def _head(report: Mapping[str, Any]) -> str:
    threads = report["threads"] or "default"
    picture = report["picture"]
    versions = report["versions"]
    engine = report["engine"].partition(":")[0]
    version = f" {versions[engine]}" if engine in versions else ""
    load = report["load"]
    others = "" if load["others"] is None else f", others {load['others']:.0%} of the processor"
    loads = [value for value in (load["load_before"], load["load_after"]) if value is not None]
    shown = f"load {' -> '.join(f'{value:.2f}' for value in loads)}{others}" if loads else ""
    return "\n".join(
        line
        for line in (
            f"{report['model']} {report['variant']}, {report['engine']}{version}, "
            f"edgesam {versions.get('edgesam', '')}, threads: {threads}",
            f"{report['processor']}; {report['system']}",
            f"{picture['name']}, {picture['width']} x {picture['height']} pixels; "
            f"rounds: {report['rounds']}, contenders in turn",
            shown,
        )
        if line
    )


def _own(report: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("EDGESAM", "n", "p50", "p95", "p99", "spread")]
    for name, measure in report["measures"].items():
        found = measure["of"][EDGESAM]
        figures = (amount(found[p], measure["unit"]) for p in ("p50", "p95", "p99"))
        spread = "-" if found["spread"] is None else f"{found['spread']:.0%}"
        rows.append((title(name, report), str(found["n"]), *figures, spread))
    missing = (f"{MEASURES[name].title}: {why}" for name, why in report["not_measured"].items())
    return "\n".join([aligned(rows), *missing])


def title(name: str, report: Mapping[str, Any]) -> str:
    """What a measure is called in a report."""
    if name == "everything":
        return f"{MEASURES[name].title}, {report['grid']} x {report['grid']} points"
    return MEASURES[name].title


def _beside(report: Mapping[str, Any]) -> str:
    peers = report["contenders"][1:]
    rows = [("p50, edgesam / peer (range)", *peers)]
    for name, measure in report["measures"].items():
        cells = []
        for peer in peers:
            if peer not in measure["of"]:
                cells.append("-")
                continue
            ratio = measure["ratio"][peer]
            p50 = amount(measure["of"][peer]["p50"], measure["unit"])
            cells.append(f"{p50}  {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})")
        if set(cells) != {"-"}:
            rows.append((title(name, report), *cells))
    rows.append(("mask IoU with edgesam's", *(sameness(report, peer) for peer in peers)))
    return aligned(rows)


def sameness(report: Mapping[str, Any], peer: str) -> str:
    """How far a peer's mask is edgesam's: what is fast may have become another mask."""
    agreement = report["peers"][peer]["agreement"]
    return "-" if agreement is None else f"{agreement:.4f}"


def _stages(report: Mapping[str, Any]) -> str:
    stages = report["stages"]
    lines = [f"read the picture's file: {amount(stages['read']['p50'], 's')}"]
    for whole in STAGES:
        parts = parts_of(whole, stages)
        told = (f"{_words(part)} {amount(stages[part]['p50'], 's')}" for part in parts)
        lines.append(f"{whole} {amount(stages[whole]['p50'], 's')}: {', '.join(told)}")
    return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _work(report: Mapping[str, Any]) -> str:
    peak = report["peak"]
    by = {name: peak[name] for name in ("numpy", "engine") if name in peak}
    each = ", ".join(f"{name} {gflops:.0f}" for name, gflops in by.items())
    lines = [f"peak of this machine, float32 products: {peak['gflops']:.0f} GFLOP/s ({each})"]
    if peak["reason"]:
        lines.append(f"  the engine's is missing: {peak['reason']}")
    for stage, found in report["work"].items():
        lines.append(
            f"  {_words(stage)}: {found['macs'] / 1e9:.2f} GMAC at {found['gflops']:.0f} GFLOP/s, "
            f"{found['share']:.0%} of the peak"
        )
    return "\n".join(lines)


def _notes(report: Mapping[str, Any]) -> Iterable[str]:
    """Paragraphs of what else must be said, if there is anything."""
    absent = [f"{n}: {peer['reason']}" for n, peer in report["peers"].items() if peer["reason"]]
    if absent:
        yield "\n".join(absent)
    if report["doubts"]:
        yield "\n".join(f"note: {doubt}" for doubt in report["doubts"])
    if (comparison := report["compared"]) is not None:
        yield _comparison(comparison)


def _comparison(comparison: Mapping[str, Any]) -> str:
    rows = [(f"p50 / {comparison['base']}", "ratio", "noise", "verdict")]
    for name, found in comparison["measures"].items():
        noise = "-" if found["noise"] is None else f"{found['noise']:.2f}"
        rows.append((MEASURES[name].title, f"{found['ratio']:.2f}", noise, found["verdict"]))
    lines = [aligned(rows), f"the machine's peak: {comparison['peak']:.2f} of the earlier one"]
    return "\n".join([*lines, *(f"differs: {what}" for what in comparison["differences"])])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of one width each, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
