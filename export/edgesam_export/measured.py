"""A variant that is measured before it may enter a bundle. Knows no precision and no picture.

Whoever makes a variant (int8, bf16, fp16) writes its graphs into a scratch folder and hands them
over; here they are run beside fp32, and enter the bundle together with their passport, or not.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgesam
from edgesam.bundle import Bundle, write_bundle
from edgesam.digest import sha256_of
from edgesam.engines import Engine, Graphs, choose
from edgesam.errors import BundleError
from edgesam.manifest import ROLES, BundleFile, Role, Variant
from edgesam.sam import Sam
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.variants.gallery import Sample
from edgesam_bench.variants.verdict import Verdict, measure
from edgesam_export.verify import verify_graph

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A variant outside its bundle.

    Attributes:
        name: ``int8``, ``bf16``...
        variant: its entry in the manifest; graphs that it shares with fp32 are fp32's.
        files: name in the bundle -> where the finished file lies, of what is not in the bundle yet.
    """

    name: str
    variant: Variant
    files: Mapping[str, Path]

    @classmethod
    def of(
        cls, name: str, fp32: Variant, graphs: Mapping[Role, Path], weights: Path | None = None
    ) -> Candidate:
        """A variant of these graphs, checked, and of fp32's where none is given.

        Args:
            name: of the variant.
            fp32: of the bundle.
            graphs: files called ``ROLE.NAME.onnx``.
            weights: the encoder's, where they do not lie inside its graph's file.

        Raises:
            ExportError: a graph does not fit together.
        """
        files: dict[str, Path] = {}
        entries: dict[str, Any] = {}
        for role, path in graphs.items():
            verify_graph(path)
            entries[role] = entered(path, files)
        if "image_encoder" in graphs:
            entries["weights"] = None if weights is None else entered(weights, files)
        return cls(name, replace(fp32, **entries, passport=None), files)


@contextmanager
def scratch_in(bundle: Path) -> Iterator[Path]:
    """A folder on the bundle's disk for unfinished files; it is gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".export-", dir=bundle))
    except OSError as error:
        raise BundleError(f"the bundle {bundle} cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_candidate(bundle: Bundle, candidate: Candidate, engine: str | Engine = "auto") -> Sam:
    """Load a variant that its bundle does not have.

    Raises:
        EdgeSamError: as :func:`edgesam.load`.
    """
    variant = candidate.variant
    at = candidate.files
    graphs = {
        role: at.get(variant.graph(role).file) or bundle.verified(variant.graph(role))
        for role in ROLES
    }
    if variant.weights is not None and variant.image_encoder.file in at:
        # An engine looks for weights beside the graph, under the name that is written in it.
        assert variant.weights.file in at
    runner = choose(engine) if isinstance(engine, str) else engine
    session = runner.open(
        Graphs(**graphs, fp32_until=variant.computed.fp32_until if variant.computed else None),
        precision=candidate.name,
        device="auto",
        threads=None,
    )
    variants = {**bundle.variants, candidate.name: variant}
    with_it = Bundle(bundle.path, replace(bundle.manifest, variants=variants))
    return Sam(with_it, candidate.name, session, None)


def measured(
    bundle: Bundle,
    candidate: Candidate,
    samples: Sequence[Sample],
    *,
    gate: Gate = LOW_PRECISION,
    engine: str | Engine = "auto",
    about: Mapping[str, Any] | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Bundle, Verdict]:
    """Measure a variant beside fp32 and, if the gate holds, put both it and its passport in.

    Of too few pictures, prompts or modalities the passport is written, too, but says so and
    vouches for nothing.

    Args:
        bundle: holds fp32.
        candidate: the variant.
        samples: pictures that had no say in how it was made.
        gate: what must hold.
        engine: runs both, so that nothing differs but the precision.
        about: what else the report is to say, under keys of its own.
        progress: told what is happening.

    Returns:
        The bundle, unchanged if the gate does not hold, and the verdict.

    Raises:
        EdgeSamError: the variant cannot be run, or the bundle not be written.
    """
    with (
        edgesam.load(bundle.path, engine=engine, variant="fp32") as fp32,
        open_candidate(bundle, candidate, engine) as sam,
    ):
        verdict = measure(fp32, sam, candidate.variant, samples, gate=gate, progress=progress)
    verdict.report.update(about or {})
    if verdict.failures:
        return bundle, verdict
    with scratch_in(bundle.path) as scratch:
        passport = scratch / f"passport.{candidate.name}.json"
        passport.write_text(json.dumps(verdict.report, indent=1) + "\n", "utf-8")
        files = dict(candidate.files)
        variant = replace(candidate.variant, passport=entered(passport, files))
        variants = {**bundle.variants, candidate.name: variant}
        manifest = replace(bundle.manifest, variants=variants)
        return write_bundle(bundle.path, manifest, files), verdict


def entered(path: Path, files: dict[str, Path]) -> BundleFile:
    """Name a finished file by its role and the start of its hash, and note where it lies."""
    sha256 = sha256_of(path)
    role, precision, *_, suffix = path.name.split(".")
    name = f"{role}.{precision}.{sha256[:8]}.{suffix}"
    files[name] = path
    return BundleFile(name, sha256, path.stat().st_size)
