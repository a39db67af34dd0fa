"""How many products may run in 8 bits until masks suffer. Knows an order and a judge, no graph.

Errors grow with every product that joins, so the place where masks become too different is found
by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesam_bench.comparison import Comparison
from edgesam_bench.figures import Figures, summarise
from edgesam_bench.gate import Gate
from edgesam_export.quantization.order import Joining


@dataclass(frozen=True)
class Tried:
    """One set of products in 8 bits, and what it does.

    Attributes:
        nodes: how many; they are the first of the order.
        share: of the network's work.
        figures: of mask IoU, by kind of prompt, and ``all``.
        failures: of the gate with its margin.
        times: seconds of an encode in fp32 and of this one, or None where it was not measured.
    """

    nodes: int
    share: float
    figures: dict[str, Figures]
    failures: tuple[str, ...]
    times: tuple[float, float] | None = None


@dataclass(frozen=True)
class Answer:
    """What judging a set of products gives."""

    comparison: Comparison
    times: tuple[float, float] | None = None


def search(
    order: Sequence[Joining],
    ask: Callable[[Sequence[Joining]], Answer],
    gate: Gate,
    on_tried: Callable[[Tried], None] = lambda _: None,
) -> list[Tried]:
    """Try sets by halving; those that hold and those that do not, smallest first.

    Args:
        order: of the products, the most worthwhile first.
        ask: compares the masks of a set with fp32's.
        gate: what must hold on the pictures that select.
        on_tried: told of each set.
    """
    tried: list[Tried] = []
    least, most = 0, len(order) + 1  # holds, does not
    while most - least > 1:
        # All of them first: where that holds nothing is to be sought.
        nodes = len(order) if not tried else (least + most) // 2
        answer = ask(order[:nodes])
        masks = answer.comparison.of_size("ordinary")
        kinds = list(dict.fromkeys(mask.kind for mask in masks))
        figures = {
            "all": summarise(mask.iou for mask in masks),
            **{k: summarise(mask.iou for mask in masks if mask.kind == k) for k in kinds},
        }
        one = Tried(
            nodes=nodes,
            share=sum(joining.work for joining in order[:nodes]),
            figures={name: found for name, found in figures.items() if found is not None},
            failures=tuple(gate.apart(answer.comparison)),
            times=answer.times,
        )
        on_tried(one)
        tried.append(one)
        if one.failures:
            most = nodes
        else:
            least = nodes
    return sorted(tried, key=lambda one: one.nodes)


def chosen(tried: Sequence[Tried]) -> Tried | None:
    """Of those that hold the fastest, or where no times are known the one that saves most work."""
    holding = [one for one in tried if not one.failures]
    if not holding:
        return None
    timed = [one for one in holding if one.times is not None]
    if timed:
        return min(timed, key=lambda one: one.times[1] / one.times[0])  # type: ignore[index]
    return max(holding, key=lambda one: one.share)


def pareto(tried: Sequence[Tried], best: Tried | None) -> str:
    """The table of what was tried, as Markdown."""
    lines = [
        "| nodes in int8 | share of products | encode, int8 / fp32 | prompts | masks "
        "| mean IoU | p5 | worst | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in tried:
        time = "not measured: no VNNI"
        if one.times is not None:
            exact, bytes_ = one.times
            time = f"{1e3 * bytes_:.0f} / {1e3 * exact:.0f} ms = {bytes_ / exact:.2f}"
        verdict = "chosen" if one is best else "fails" if one.failures else "holds"
        for number, (kind, f) in enumerate(one.figures.items()):
            head = f"| {one.nodes} | {one.share:.0%} | {time} " if number == 0 else "| | | "
            said = verdict if number == 0 else ""
            lines.append(
                f"{head}| {kind} | {f.n} | {f.mean:.3f} | {f.p5:.3f} | {f.worst:.3f} | {said} |"
            )
    return "\n".join(lines)
