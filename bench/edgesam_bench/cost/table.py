"""The costs as a page for people. Knows no measurement."""

from __future__ import annotations

from typing import Any

_HEAD = """\
# What SAM's ViTs cost

`make vit-cost` writes this page and [vit-cost.json](../bench/results/vit-cost.json): {processor},
in turn with official PyTorch {torch}, medians of rounds: {rounds}. Each round is a process
of its own that loads the model, embeds one picture of 512 × 512 pixels twice (the faster counts)
and clicks on it ten times. Weights are random, in the official layout. Peak memory is of the whole
process (Linux's `VmHWM`), weights and Python included. Ratios are edgesam / PyTorch; seconds are
this machine's.

"""

_COLUMNS = (
    "model",
    "checkpoint",
    "export: seconds, peak memory (× checkpoint)",
    "encode",
    "ratio",
    "click",
    "ratio",
    "peak memory",
    "ratio",
)


def markdown(report: dict[str, Any]) -> str:
    """The whole page."""
    torch = next(iter(report["models"].values()))["torch"]
    head = _HEAD.format(processor=report["processor"], rounds=report["rounds"], torch=torch)
    head += f"| {' | '.join(_COLUMNS)} |\n" + "|---" * len(_COLUMNS) + "|\n"
    return head + "".join(_row(name, costs) for name, costs in report["models"].items())


def _row(name: str, costs: dict[str, Any]) -> str:
    export, ours, ratio = costs["export"], costs["edgesam"], costs["ratio"]
    multiple = export["peak_mib"] / costs["checkpoint_mib"]
    return (
        f"| `{name}` | {costs['checkpoint_mib']:.0f} MiB "
        f"| {export['seconds']:.1f} s, {export['peak_mib']:.0f} MiB ({multiple:.2f}) "
        f"| {ours['encode']:.1f} s | {ratio['encode']:.2f} "
        f"| {1000 * ours['click']:.0f} ms | {ratio['click']:.2f} "
        f"| {ours['peak_mib']:.0f} MiB | {ratio['peak_mib']:.2f} |\n"
    )
