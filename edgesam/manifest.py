"""What a bundle says of itself: manifest.json as data, read strictly. Knows no file but by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from edgesam.errors import BundleError
from edgesam.models import Profile

SCHEMA = 1
GRAPHS = ("image_encoder", "mask_decoder")


@dataclass(frozen=True)
class BundleFile:
    """A file inside the bundle's folder.

    Attributes:
        file: its plain name.
        sha256: of its bytes.
        size: in bytes.
    """

    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Variant:
    """One precision of the model.

    Attributes:
        image_encoder: picture -> embedding.
        mask_decoder: embedding and prompts -> logits.
        passport: the parity report that measured these graphs, or None.
    """

    image_encoder: BundleFile
    mask_decoder: BundleFile
    passport: BundleFile | None


@dataclass(frozen=True)
class Manifest:
    """A bundle's description.

    Attributes:
        model: the known model's name, or the checkpoint's file name.
        architecture: of the encoder (``tiny-vit``).
        image_size: side of the square input, in pixels.
        profile: preprocessing, whole: a bundle does not depend on a later edgesam's table.
        profile_assumed: the profile was the family's default, nothing vouched for it.
        checkpoint_sha256: of the file the graphs were written from.
        licence: SPDX identifier of the weights, or ``unknown``.
        builder: name and version of what wrote the bundle.
        variants: by name: ``fp32``.
    """

    model: str
    architecture: str
    image_size: int
    profile: Profile
    profile_assumed: bool
    checkpoint_sha256: str
    licence: str
    builder: str
    variants: dict[str, Variant]

    def to_json(self) -> str:
        """The manifest's text: the same for the same manifest."""
        values = {"schema": SCHEMA, **asdict(self)}
        values["profile"]["prompt_kinds"] = sorted(self.profile.prompt_kinds)
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read a manifest; ``where`` names it in errors.

        Raises:
            BundleError: it is not a manifest, is broken, or has a newer schema.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise BundleError(f"{where} is not JSON ({error}); export the bundle again") from None
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        if not isinstance(schema, int):
            raise BundleError(f"{where} is not the manifest of an edgesam bundle")
        if schema > SCHEMA:
            raise BundleError(
                f"{where} has schema {schema}, this edgesam reads up to {SCHEMA}: update edgesam, "
                "or export the bundle with this version"
            )
        try:
            values["profile"] = _profile(values["profile"])
            values["variants"] = {n: _variant(v) for n, v in values["variants"].items()}
            return cls(**values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{where} is broken ({type(error).__name__}: {error}); export the bundle again"
            ) from None


def _profile(values: dict[str, Any]) -> Profile:
    return Profile(
        **{
            **values,
            "mean": tuple(map(float, values["mean"])),
            "std": tuple(map(float, values["std"])),
            "prompt_kinds": frozenset(values["prompt_kinds"]),
        }
    )


def _variant(values: dict[str, Any]) -> Variant:
    passport = values["passport"]
    return Variant(
        image_encoder=_file(values["image_encoder"]),
        mask_decoder=_file(values["mask_decoder"]),
        passport=None if passport is None else _file(passport),
    )


def _file(values: dict[str, Any]) -> BundleFile:
    file = BundleFile(**values)
    if not isinstance(file.file, str) or set(file.file) & set("/\\:") or file.file in ("", ".", ".."):
        raise ValueError(f"{file.file!r} is not a plain file name")
    if len(file.sha256) != 64 or not isinstance(file.size, int):
        raise ValueError(f"{file.file} needs a sha256 and a size")
    return file
