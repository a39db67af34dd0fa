"""``edgesam models``: the known models, what is on disk, which engines work; opens no file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from edgesam.bundle import MANIFEST
from edgesam.checkpoint_store import checkpoint_path
from edgesam.home import bundle_path, home
from edgesam.models import DEFAULT_MODEL, MODELS, ModelSpec

NAME = "models"
HELP = "list the known models, what is on disk, and which engines work here"


@dataclass(frozen=True)
class ModelRow:
    """A known model, whether its files are on disk (doctor opens them), and what runs it here."""

    name: str
    parameters: int
    image_size: int
    prompts: tuple[str, ...]
    licence: str
    checkpoint: bool
    bundle: bool
    engines: tuple[str, ...]

    @classmethod
    def of(cls, spec: ModelSpec, engines: Iterable[EngineRow]) -> ModelRow:
        """The row of one model, on a machine with these engines."""
        return cls(
            name=spec.name,
            parameters=spec.parameters,
            image_size=spec.image_size,
            prompts=tuple(
                kind for kind in ("point", "box", "mask") if kind in spec.profile.prompt_kinds
            ),
            licence=spec.licence,
            checkpoint=checkpoint_path(spec).is_file(),
            bundle=(bundle_path(spec.name) / MANIFEST).is_file(),
            engines=tuple(engine.name for engine in engines if engine.reason is None),
        )

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        on_disk = ("checkpoint",) * self.checkpoint + ("bundle",) * self.bundle
        return (
            self.name,
            f"{self.parameters / 1e6:.1f} M",
            f"{self.image_size} x {self.image_size}",
            ", ".join(self.prompts),
            self.licence,
            ", ".join(on_disk) or "-",
            ", ".join(self.engines) or "-",
        )


@dataclass(frozen=True)
class EngineRow:
    """An engine: its devices if it works here, else why it does not."""

    name: str
    devices: tuple[str, ...]
    reason: str | None

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        works = f"yes: {', '.join(self.devices)}" if self.reason is None else f"no: {self.reason}"
        return (self.name, works)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Prints both tables."""
    engines = engine_rows()
    models = [ModelRow.of(spec, engines) for spec in MODELS.values()]
    if args.json:
        found = {"home": str(home()), "models": models, "engines": engines}
        print(json.dumps(found, default=asdict))
        return 0
    heads = ("MODEL", "PARAMETERS", "INPUT", "PROMPTS", "LICENCE", "ON DISK", "ENGINES")
    _print_table([heads, *(model.cells() for model in models)])
    print(f"\nOn disk means in {home()}.")
    if not any(model.bundle for model in models):
        print(f"No model is ready to run; try: edgesam pull {DEFAULT_MODEL}")
    print()
    _print_table([("ENGINE", "WORKS HERE"), *(engine.cells() for engine in engines)])
    return 0


def engine_rows() -> list[EngineRow]:
    """What each engine says of this machine."""
    from edgesam.engines import ENGINES

    rows = []
    for name, engine in ENGINES.items():
        reason = engine.available()
        devices = engine.devices() if reason is None else ()
        rows.append(EngineRow(name, devices, reason))
    return rows


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Prints rows in aligned columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
