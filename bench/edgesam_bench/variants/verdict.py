"""Whether a variant holds the gate against fp32 of its bundle, and the report of it. Knows no file.

The report is the variant's passport: bound to the graphs it measured, it names pictures by hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgesam import machine
from edgesam.manifest import Variant
from edgesam.sam import Sam
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.report import make_report, table
from edgesam_bench.variants.engine import what_ran
from edgesam_bench.variants.exam import judge, pages
from edgesam_bench.variants.gallery import Sample


@dataclass(frozen=True)
class OurFp32:
    """The side that a variant is compared with."""

    model: str
    checkpoint_sha256: str
    recipe: str = "fp32 of the same bundle"
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What was measured.

    Attributes:
        report: JSON-ready; the passport if the gate holds. Empty if nothing could be compared.
        failures: one line for each figure that is not close enough; none: the gate holds.
        too_few: one line for each count that is too low to vouch for anything.
    """

    report: dict[str, Any]
    failures: Sequence[str]
    too_few: Sequence[str]

    @property
    def table(self) -> str:
        """For people."""
        return table(self.report) if self.report else ""


def measure(
    fp32: Sam,
    candidate: Sam,
    graphs: Variant,
    samples: Sequence[Sample],
    *,
    gate: Gate = LOW_PRECISION,
    progress: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Compare a variant with fp32 on pictures that had no say in how it was made.

    Args:
        fp32: the reference.
        candidate: the variant, on the engine it is meant for.
        graphs: the candidate's entry in a manifest, its graphs' hashes.
        samples: the pictures.
        gate: what must hold.
        progress: told what is happening.

    Raises:
        EdgeSamError: a picture cannot be read any more.
    """
    name = candidate.variant

    def tell(done: int) -> None:
        progress(f"measuring {name} on held-out pictures: {done} of {len(samples)}")

    comparison = judge(candidate, pages(fp32, samples), tell)
    if not comparison.masks:
        failures = ["nothing was compared: fp32 finds nothing in these pictures"]
        return Verdict({}, failures, ())
    too_few = gate.too_few(comparison)
    manifest = fp32.manifest
    report = make_report(
        comparison,
        OurFp32(manifest.model, manifest.checkpoint_sha256),
        gate,
        variant=name,
        graphs=graphs.graphs,
        engine=what_ran(candidate),
        versions=machine.versions(),
        processor=machine.processor(),
    )
    report["reference"]["graphs"] = manifest.variants[fp32.variant].graphs
    report["reference"]["engine"] = fp32.engine
    report["instruction_sets"] = list(machine.instruction_sets())
    report["too_few"] = too_few
    return Verdict(report, gate.apart(comparison), too_few)
