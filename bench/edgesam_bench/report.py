"""What a comparison found, as a JSON-ready report and as a table. Knows no model, measures nothing.

A report whose gate held is a *passport*: bound to the graphs it measured by their sha256, it
travels in the bundle (see ``edgesam.bundle``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from edgesam_bench.cases import KINDS
from edgesam_bench.comparison import TINY_AREA, Comparison, MaskResult
from edgesam_bench.figures import Figures, summarise
from edgesam_bench.gate import Gate

SCHEMA = 1
_DIGITS = 7


class Compared(Protocol):
    """What a report says of the side that was compared with."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def recipe(self) -> str:
        """Whose code answered, in words."""

    @property
    def checkpoint_sha256(self) -> str:
        """Of the weights."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of that side's packages."""


def make_report(
    comparison: Comparison,
    reference: Compared,
    gate: Gate,
    *,
    variant: str,
    graphs: Mapping[str, str],
    engine: str,
    versions: Mapping[str, str],
    processor: str,
) -> dict[str, Any]:
    """Everything worth keeping of a comparison but its single masks.

    Args:
        comparison: what was found.
        reference: what it was compared with.
        gate: what it was judged by.
        variant: of the bundle.
        graphs: role -> sha256 of the graphs that ran.
        engine: what ran them, with its device.
        versions: of the packages on this side.
        processor: in words.
    """
    ordinary, empty = comparison.of_size("ordinary"), comparison.of_size("empty")
    return {
        "schema": SCHEMA,
        "model": reference.model,
        "variant": variant,
        "graphs": dict(graphs),
        "reference": {
            "recipe": reference.recipe,
            "checkpoint_sha256": reference.checkpoint_sha256,
            "versions": dict(reference.versions),
        },
        "engine": engine,
        "versions": dict(versions),
        "processor": processor,
        "gate": asdict(gate),
        "pictures": {
            "n": len(comparison.pictures),
            "sha256": [picture.sha256 for picture in comparison.pictures],
        },
        "embedding_error": _errors(p.embedding_error for p in comparison.pictures),
        "score_error": _errors(m.score_error for m in comparison.masks),
        "logits_error": _errors(m.logits_error for m in comparison.masks),
        "mask_iou": _figures(ordinary),
        "by_output": _grouped(ordinary, _output, ("single", "multimask")),
        "by_prompt": _grouped(ordinary, lambda m: m.kind, KINDS),
        "by_modality": _grouped(
            ordinary, lambda m: m.modality, sorted({m.modality for m in comparison.masks})
        ),
        "tiny": _figures(comparison.of_size("tiny")),
        "empty": {"n": len(empty), "agreed": sum(m.differing == 0 for m in empty)},
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    reference = report["reference"]
    versions = ", ".join(f"{name} {version}" for name, version in reference["versions"].items())
    against = f"PyTorch ({versions})" if "torch" in reference["versions"] else reference["recipe"]
    lines = [
        f"{report['model']} {report['variant']} on {report['engine']}"
        f" ({report['processor']}) against {against}",
        f"{report['pictures']['n']} pictures; embedding, relative L2: {_told(report, 'embedding')}",
        "",
        f"{'mask IoU':<18}{'n':>7}{'mean':>11}{'p5':>11}{'worst':>11}",
        _row("all", report["mask_iou"]),
    ]
    for group in ("by_output", "by_prompt", "by_modality"):
        lines += [_row(f"  {name}", figures) for name, figures in report[group].items()]
    lines += [
        _row(f"tiny (< {TINY_AREA} px)", report["tiny"]),
        f"{'empty':<18}{report['empty']['n']:>7}  {report['empty']['agreed']} empty here too",
        "",
        f"predicted IoU, absolute difference: {_told(report, 'score')}",
        f"logits, absolute difference:        {_told(report, 'logits')}",
    ]
    return "\n".join(lines)


def _output(mask: MaskResult) -> str:
    return "multimask" if mask.output else "single"


def _figures(masks: Iterable[MaskResult]) -> dict[str, float] | None:
    figures = summarise(mask.iou for mask in masks)
    return None if figures is None else _rounded(figures)


def _rounded(figures: Figures) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(figures).items()}


def _grouped(
    masks: Sequence[MaskResult], key: Callable[[MaskResult], str], names: Iterable[str]
) -> dict[str, dict[str, float]]:
    groups = {name: _figures(m for m in masks if key(m) == name) for name in names}
    return {name: figures for name, figures in groups.items() if figures is not None}


def _errors(values: Iterable[float]) -> dict[str, float]:
    """Where lower is better, the worst is the highest."""
    array = list(values)
    return {
        "n": len(array),
        "mean": float(f"{sum(array) / len(array):.3g}"),
        "worst": float(f"{max(array):.3g}"),
    }


def _told(report: Mapping[str, Any], what: str) -> str:
    errors = report[f"{what}_error"]
    return f"mean {errors['mean']:.1e}, worst {errors['worst']:.1e}"


def _row(name: str, figures: Mapping[str, float] | None) -> str:
    if figures is None:
        return f"{name:<18}{0:>7}"
    shown = "".join(f"{figures[key]:>11.6f}" for key in ("mean", "p5", "worst"))
    return f"{name:<18}{figures['n']:>7}{shown}"
