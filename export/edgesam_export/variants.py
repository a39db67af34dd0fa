"""Which variants a bundle gets beside fp32, and how each is made. Knows no layer and no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgesam.errors import ExportError
from edgesam.manifest import Computed, Role, Variant
from edgesam_export import VARIANTS
from edgesam_export.graphs.net import Net
from edgesam_export.precision.cut import cut_behind, shipped_cut
from edgesam_export.precision.half import halve
from edgesam_export.quantization.qdq import quantize
from edgesam_export.quantization.recipe import Recipe, shipped_recipe
from edgesam_export.unasked import unasked
from edgesam_export.writing import Writing, Written


@dataclass(frozen=True)
class Plan:
    """What to write beside fp32.

    Attributes:
        asked: by name: what has no passport is written all the same.
        fp16: whether. Only if asked: 30 MB that no CPU computes any faster.
        cut: of bf16: the module behind which it begins, or None for all, in a tuple; or None.
        recipe: of int8, or None.
    """

    asked: bool
    fp16: bool
    cut: tuple[str | None] | None
    recipe: Recipe | None


def planned(
    variants: Sequence[str] | None, checkpoint: str, recipe: Recipe | None, where: str
) -> Plan:
    """What is to be written.

    Args:
        variants: that were asked for; None for those whose passport ships.
        checkpoint: its sha256.
        recipe: of int8, instead of the one that ships.
        where: names the checkpoint in errors.

    Raises:
        ExportError: there is no such variant, or it cannot be made of this checkpoint.
    """
    for name in variants or ():
        if name not in VARIANTS:
            raise ExportError(f"no variant is called {name!r}; known: {', '.join(VARIANTS)}")
    asked = variants is not None
    wanted = unasked(checkpoint) if variants is None else variants
    cut = shipped_cut(checkpoint) if "bf16" in wanted else None
    if cut is None and asked and "bf16" in wanted:
        raise ExportError(
            f"it is not known what of {where} must stay float32 in bf16, but for lite-medsam and "
            "mobile-sam: find it with --calibration DIR, on a processor with bf16"
        )
    if "int8" not in wanted:
        return Plan(asked, "fp16" in wanted, cut, None)
    if recipe is not None and recipe.checkpoint != checkpoint:
        raise ExportError(f"the recipe is not of {where}: learn one with --calibration")
    recipe = recipe or shipped_recipe(checkpoint)
    if recipe is None and asked:
        raise ExportError(
            f"{where} has no recipe for int8: they ship for lite-medsam and mobile-sam; learn one "
            "from pictures of your own with --calibration DIR"
        )
    return Plan(asked, "fp16" in wanted, cut, recipe)


def write_others(
    plan: Plan,
    fp32: Variant,
    encoder: Net,
    make_for_gpu: Callable[[], Mapping[Role, Net]],
    make_encoder: Callable[[], Net],
    writing: Writing,
) -> dict[str, Written]:
    """Write the variants of a plan.

    Args:
        plan: what is wanted.
        fp32: the bundle's.
        encoder: fp32's network.
        make_for_gpu: builds all three networks, anew at each call: one that was saved cannot be
            changed. No CPU computes fp16 any faster.
        make_encoder: builds the encoder alone, for a CPU.
        writing: of the bundle.

    Raises:
        ExportError: a graph does not fit together.
    """
    found: dict[str, Written] = {}
    if plan.fp16:
        found["fp16"] = writing.whole("fp16", halved(make_for_gpu()))
    if plan.cut is not None:
        found["bf16"] = writing.computed(bf16(encoder, *plan.cut), fp32)
    if plan.recipe is not None:
        net = make_encoder()
        quantize(net, plan.recipe)
        found["int8"] = writing.encoder("int8", net, fp32)
    if plan.asked:
        return found
    return {name: one for name, one in found.items() if one.variant.passport is not None}


def halved(nets: Mapping[Role, Net]) -> Mapping[Role, Net]:
    """The same networks with their products in float16."""
    for net in nets.values():
        halve(net)
    return nets


def bf16(encoder: Net, module: str | None) -> Computed:
    """What a manifest says of bf16 that begins behind a module, or with the graph.

    Raises:
        ExportError: the network cannot be cut there.
    """
    return Computed("bf16", None if module is None else cut_behind(encoder, module))
