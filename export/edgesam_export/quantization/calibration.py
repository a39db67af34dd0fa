"""Learns an INT8 recipe from pictures: ranges, an order of products, how many of them.

Knows the steps and their pictures; each step is a neighbour's business. The pictures that the
gate judges on are not seen here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgesam
from edgesam.bundle import Bundle
from edgesam.embedding import on_host
from edgesam.errors import ExportError
from edgesam.manifest import Manifest
from edgesam.prepared import prepare
from edgesam_bench.gate import LOW_PRECISION, Gate
from edgesam_bench.speed.work import macs
from edgesam_bench.variants.engine import multiplies_bytes
from edgesam_bench.variants.exam import Page, judge, pages
from edgesam_bench.variants.gallery import Sample
from edgesam_bench.variants.parts import Parts
from edgesam_export.graphs.net import Net
from edgesam_export.measured import Candidate, Progress, open_candidate, scratch_in
from edgesam_export.quantization.engine import EncoderRun
from edgesam_export.quantization.learning import learn
from edgesam_export.quantization.order import Joining, in_order
from edgesam_export.quantization.probe import probe
from edgesam_export.quantization.products import products_of
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Recipe
from edgesam_export.quantization.search import Answer, Tried, chosen, pareto, search

ENGINE = "onnxruntime"

_MARGIN_MEAN, _MARGIN_P5 = 0.002, 0.01  # other pictures will be a little worse
_FOR_THE_ORDER = 3  # pictures
_ROUNDS = 5  # of a timing


@dataclass(frozen=True)
class Learned:
    """What calibration found.

    Attributes:
        recipe: None if no set of products holds the gate.
        tried: the sets, smallest first.
        table: of them, for people.
    """

    recipe: Recipe | None
    tried: Sequence[Tried]
    table: str

    @property
    def about(self) -> dict[str, Any]:
        """JSON-ready, for a report."""
        recipe = self.recipe
        rows = [{**asdict(one), "failures": list(one.failures)} for one in self.tried]
        return {"recipe": None if recipe is None else recipe.to_dict(), "tried": rows}


def calibrate(
    bundle: Bundle,
    make: Callable[[], Net],
    parts: Parts,
    *,
    gate: Gate = LOW_PRECISION,
    progress: Progress = lambda _: None,
) -> Learned:
    """Learn which products of a bundle's encoder may run in 8 bits, and how.

    Args:
        bundle: holds fp32.
        make: builds its encoder's network, anew at each call.
        parts: of the pictures; those held out stay unseen.
        gate: that the variant will have to hold.
        progress: told what is happening.

    Raises:
        ExportError: there are no pictures to learn from or to select with.
        EdgeSamError: a picture cannot be read any more, or the engine does not run here.
    """
    if not parts.calibrating or not parts.selecting:
        raise ExportError(
            f"too few pictures to calibrate: {len(parts.held_out)} are held out, "
            f"{len(parts.selecting)} select and {len(parts.calibrating)} calibrate; give more"
        )
    with scratch_in(bundle.path) as scratch:
        order = _order(bundle, make, parts, scratch, progress)
        with edgesam.load(bundle.path, engine=ENGINE, variant="fp32") as fp32:
            exam: list[Page] = []
            for page in pages(fp32, parts.selecting):
                exam.append(page)
                done = len(exam)
                progress(f"asking fp32 about {done} of {len(parts.selecting)} pictures")
        trial = _Trial(bundle, make, exam, scratch, progress)
        tried = search(order, trial.ask, stricter(gate), lambda one: _tell(one, progress))
    best = chosen(tried)
    recipe = None
    if best is not None:
        images = sorted(sample.key for sample in (*parts.calibrating, *parts.selecting))
        nodes = {joining.name: joining.how for joining in order[: best.nodes]}
        recipe = Recipe(bundle.manifest.checkpoint_sha256, tuple(images), nodes)
    return Learned(recipe, tried, pareto(tried, best))


def int8_candidate(bundle: Bundle, encoder: Net, recipe: Recipe, scratch: Path) -> Candidate:
    """INT8 by a recipe, of a network of the bundle's encoder that was just built.

    Raises:
        ExportError: the recipe is of another network, or the graph does not fit together.
    """
    path = scratch / "image_encoder.int8.onnx"
    quantize(encoder, recipe)
    weights = encoder.save(path)
    return Candidate.of("int8", bundle.variants["fp32"], {"image_encoder": path}, weights)


def stricter(gate: Gate) -> Gate:
    """The gate for the pictures that select: what was chosen for them fits them best."""
    return replace(gate, mean=gate.mean + _MARGIN_MEAN, p5=gate.p5 + _MARGIN_P5)


def _order(
    bundle: Bundle,
    make: Callable[[], Net],
    parts: Parts,
    scratch: Path,
    progress: Progress,
) -> list[Joining]:
    """Learn how each product is quantised, and sort them by what they are worth."""
    manifest, samples = bundle.manifest, parts.calibrating
    products = products_of(make())
    start = time.monotonic()
    seen = probe(
        make,
        products,
        _inputs(samples, manifest),
        len(samples),
        scratch,
        lambda done: progress(f"watching what {done} of {len(samples)} pictures become"),
    )
    an_encode = (time.monotonic() - start) / len(samples)
    progress(f"some {_minutes_left(an_encode, len(products), parts, manifest)} minutes are left")
    learned = {}
    for number, product in enumerate(products, start=1):
        progress(f"learning scales of {number} of {len(products)} products")
        learned[product.name] = learn(product, seen[product.name])
    whole = macs(bundle.verified(bundle.variants["fp32"].image_encoder))
    return in_order(
        make,
        learned,
        {name: one.work / whole for name, one in seen.items()},
        list(_inputs(samples[:_FOR_THE_ORDER], manifest)),
        scratch,
        lambda done, of: progress(f"trying {done} of {of} products alone"),
    )


def _minutes_left(an_encode: float, products: int, parts: Parts, manifest: Manifest) -> int:
    """A rough guess: everything takes as long as so many encodes."""
    a_page = 3 if "point" in manifest.profile.prompt_kinds else 2  # its prompts included
    sets = 1 + math.ceil(math.log2(products + 1))
    encodes = products * (_FOR_THE_ORDER + 1)
    encodes += a_page * ((sets + 1) * len(parts.selecting) + 2 * len(parts.held_out))
    return math.ceil(an_encode * encodes / 60)


def _inputs(samples: Sequence[Sample], manifest: Manifest) -> Iterator[NDArray[np.float32]]:
    """Pictures as the network takes them, by the way of :meth:`edgesam.Sam.embed`."""
    for sample in samples:
        yield on_host(prepare(sample.read(), None, manifest).network)


@dataclass(frozen=True, eq=False)
class _Trial:
    """Asks what sets of products do to masks."""

    bundle: Bundle
    make: Callable[[], Net]
    exam: Sequence[Page]
    scratch: Path
    progress: Progress

    def ask(self, joined: Sequence[Joining]) -> Answer:
        recipe = Recipe("", (), {one.name: one.how for one in joined})
        candidate = int8_candidate(self.bundle, self.make(), recipe, self.scratch)
        of = len(self.exam)

        def tell(done: int) -> None:
            self.progress(f"{len(joined)} products in int8: {done} of {of} pictures")

        with open_candidate(self.bundle, candidate, ENGINE) as sam:
            comparison = judge(sam, self.exam, tell)
        encoder = candidate.files[candidate.variant.image_encoder.file]
        return Answer(comparison, self._times(encoder))

    def _times(self, path: Path) -> tuple[float, float] | None:
        """Of an encode in fp32 and in int8, in turn; None where bytes are not multiplied."""
        if not multiplies_bytes(f"{ENGINE}:cpu"):
            return None
        plain = self.bundle.verified(self.bundle.variants["fp32"].image_encoder)
        runs = EncoderRun(plain), EncoderRun(path)
        (picture,) = _inputs([self.exam[0].sample], self.bundle.manifest)
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(_ROUNDS + 1):
            for run, times in zip(runs, seconds, strict=True):
                start = time.perf_counter()
                run(picture)
                if turn:  # the first run is another matter
                    times.append(time.perf_counter() - start)
        return median(seconds[0]), median(seconds[1])


def _tell(one: Tried, progress: Progress) -> None:
    found = one.figures["all"]
    verdict = "fails" if one.failures else "holds"
    progress(
        f"{one.nodes} products ({one.share:.0%}): mean IoU {found.mean:.3f}, p5 {found.p5:.3f}: "
        f"{verdict}"
    )
