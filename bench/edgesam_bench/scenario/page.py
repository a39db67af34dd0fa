"""Reports of scenarios as one page for people. Knows no measurement.

python -m edgesam_bench.scenario.page bench/results/scenario-*.json --out docs/scenarios.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgesam_bench import page
from edgesam_bench.scenario import aims
from edgesam_bench.scenario.report import read_report
from edgesam_bench.scenario.table import rows, sentences

_HEAD = """\
# What a person feels

`make scenarios` plays three recorded scenes with `edgesam bench --scenario` and writes this page,
its pictures, and the reports they are made of. What is played and measured:
[performance.md](performance.md#scenarios). A ratio is of the rounds' medians, with the rounds'
range. Seconds are this machine's.
"""
_WHY = """\
Why not more: an encoder on a CPU has all its cores, so that overlap brings no more than what the
rest takes (last section). Files in JPEG 2000 are decoded by imagecodecs here; GDCM keeps Python
while it decodes ([streaming.md](streaming.md)).
"""
_TITLES = {
    "viewer": "A viewer: `Session`",
    "cine": 'A live source: `stream(when_full="drop-oldest")`',
    "batch": "A long list: `stream`",
}


def markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    table = [("aim", "", "reached", ""), ("---",) * 4, *aims.rows(reports)]
    return "\n".join([_HEAD, _lines(table), _WHY, *(_section(report) for report in reports)])


def _lines(table: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def _section(report: Mapping[str, Any]) -> str:
    name, source = report["scenario"], report["source"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    table = [("", "n", "p50", "p95", "max"), ("---",) * 5, *rows(report)]
    parts = [
        f"## {_TITLES[name]}\n",
        f"![{name}: what ran when, memory, latencies](scenario-{name}.png)\n",
        f"{report['model']}, {report['variant']}, {report['engine']}; {report['processor']}; "
        f"{versions}; {source['pictures']} pictures of {source['width']} × {source['height']}; "
        f"rounds: {report['rounds']}; "
        f"[scenario-{name}.json](../bench/results/scenario-{name}.json).\n",
        _lines(table),
        "".join(f"- {told[0].upper()}{told[1:]}.\n" for told in sentences(report)),
        *(f"Note: {doubt}.\n" for doubt in report["doubts"]),
    ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return page.main("python -m edgesam_bench.scenario.page", read_report, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
