"""What a bundle says of itself: manifest.json as data, read strictly. Knows no file but by name."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from edgesam.errors import BundleError
from edgesam.models import Profile, PromptKind

SCHEMA = 4

Role = Literal["image_encoder", "image_side", "mask_decoder"]
ROLES: tuple[Role, ...] = get_args(Role)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHOICES = {
    name: get_args(get_type_hints(Profile)[name])
    for name in ("layout", "resize", "normalization", "prompt_scale", "mask_from")
}

T = TypeVar("T")


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
class Computed:
    """A precision that no graph can say: an engine computes float32's graphs in it.

    The decoder's two graphs stay float32, and so do the picture's first layers where it matters.

    Attributes:
        precision: ``bf16``.
        fp32_until: the value of the image encoder's graph up to which it stays float32; None: the
            whole of it is computed in the precision.
    """

    precision: Literal["bf16"]
    fp32_until: str | None

    def __str__(self) -> str:
        return self.precision if self.fp32_until is None else f"bf16 after {self.fp32_until}"


@dataclass(frozen=True)
class Variant:
    """One precision of the model.

    Attributes:
        image_encoder: picture -> embedding.
        image_side: embedding and mask prompt -> what all points and boxes on it share.
        mask_decoder: that and points and boxes -> logits.
        weights: the image encoder's, where they do not lie inside its graph's file.
        passport: the parity report that measured these graphs, or None.
        computed: what the graphs' own types do not say, or None.
    """

    image_encoder: BundleFile
    image_side: BundleFile
    mask_decoder: BundleFile
    weights: BundleFile | None
    passport: BundleFile | None
    computed: Computed | None = None

    @property
    def graphs(self) -> dict[str, str]:
        """Role -> sha256 of the graphs, and how they are computed: what a parity report names."""
        found: dict[str, str] = {role: self.graph(role).sha256 for role in ROLES}
        if self.weights is not None:
            found["weights"] = self.weights.sha256
        if self.computed is not None:
            found["computed"] = str(self.computed)
        return found

    def graph(self, role: Role) -> BundleFile:
        """The file of one graph."""
        file: BundleFile = getattr(self, role)
        return file

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """All that are there."""
        graphs = (self.graph(role) for role in ROLES)
        return tuple(file for file in (*graphs, self.weights, self.passport) if file is not None)


@dataclass(frozen=True)
class Manifest:
    """A bundle's description.

    Attributes:
        model: the known model's name, or the checkpoint's file name.
        architecture: of the encoder (``tiny-vit``, ``vit``).
        image_size: side of the square input, in pixels.
        grid: side of the embedding, in tokens; low-resolution logits have four times as many.
        profile: preprocessing, whole: a bundle does not depend on a later edgesam's table.
        profile_assumed: the profile was the family's default, nothing vouched for it.
        checkpoint_sha256: of the file the graphs were written from.
        licence: SPDX identifier of the weights, or ``unknown``.
        builder: name and version of what wrote the bundle.
        working_memory: bytes that encoding a picture surely takes beside the weights, on a CPU.
        variants: by name: ``fp32``, ``fp16``, ``bf16``, ``int8``.
    """

    model: str
    architecture: str
    image_size: int
    grid: int
    profile: Profile
    profile_assumed: bool
    checkpoint_sha256: str
    licence: str
    builder: str
    working_memory: int
    variants: dict[str, Variant]

    @property
    def low_resolution(self) -> int:
        """Side of the low-resolution logits."""
        return 4 * self.grid

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
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where} is not JSON ({error}); export the bundle again") from None
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        if type(schema) is not int or schema < 1:
            raise BundleError(f"{where} is not the manifest of an edgesam bundle")
        if schema < SCHEMA:
            raise BundleError(
                f"{where} has schema {schema}, an earlier edgesam's: pull or export it again"
            )
        if schema > SCHEMA:
            raise BundleError(
                f"{where} has schema {schema}, this edgesam reads {SCHEMA}: update edgesam, "
                "or export the bundle with this version"
            )
        try:
            return _manifest(values)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            raise BundleError(f"{where} is broken ({reason}); export the bundle again") from None


def _manifest(values: dict[str, Any]) -> Manifest:
    _exactly(values, Manifest)
    for name, least in (("image_size", 1), ("grid", 1), ("working_memory", 0)):
        if _typed(values, name, int) < least:
            raise ValueError(f"{name} is {values[name]}")
    return Manifest(
        model=_typed(values, "model", str),
        architecture=_typed(values, "architecture", str),
        image_size=values["image_size"],
        grid=values["grid"],
        profile=_profile(_typed(values, "profile", dict)),
        profile_assumed=_typed(values, "profile_assumed", bool),
        checkpoint_sha256=_sha256(values, "checkpoint_sha256"),
        licence=_typed(values, "licence", str),
        builder=_typed(values, "builder", str),
        working_memory=_typed(values, "working_memory", int),
        variants={
            name: _variant(_typed(values["variants"], name, dict), name)
            for name in _typed(values, "variants", dict)
        },
    )


def _profile(values: dict[str, Any]) -> Profile:
    _exactly(values, Profile)
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            raise ValueError(f"{name} is {values[name]!r}, not one of {', '.join(choices)}")
    if values["mask_from"] == "probabilities" and values["layout"] != "stretch":
        raise ValueError("mask_from is probabilities, which leaves no place for padding")
    kinds = _typed(values, "prompt_kinds", list)
    if not kinds or not all(kind in get_args(PromptKind) for kind in kinds):
        raise ValueError(f"prompt_kinds is {kinds}")
    return Profile(
        name=_typed(values, "name", str),
        layout=values["layout"],
        resize=values["resize"],
        normalization=values["normalization"],
        mean=_channels(values, "mean", least=-1e6),
        std=_channels(values, "std", least=1e-6),
        prompt_scale=values["prompt_scale"],
        truncate_boxes=_typed(values, "truncate_boxes", bool),
        mask_from=values["mask_from"],
        prompt_kinds=frozenset(kinds),
    )


def _variant(values: dict[str, Any], variant: str) -> Variant:
    _exactly(values, Variant)
    weights = _file_or_none(values, "weights")
    computed = None if values["computed"] is None else _computed(values)
    # Without it bf16 would be fp32's graphs, and fp32's passport would vouch for it.
    if (computed is None) == (variant == "bf16"):
        raise ValueError(f"{variant} is computed in {computed}")
    # The graph names the file by this name and the engine reads that one: no other may be checked.
    owner = variant if computed is None else "fp32"
    wanted = weights and f"image_encoder.{owner}.{weights.sha256[:8]}.data"
    if weights is not None and weights.file != wanted:
        raise ValueError(f"weights are in {weights.file}, not {wanted}")
    return Variant(
        **{role: _file(_typed(values, role, dict)) for role in ROLES},
        weights=weights,
        passport=_file_or_none(values, "passport"),
        computed=computed,
    )


def _computed(values: dict[str, Any]) -> Computed:
    found = _typed(values, "computed", dict)
    _exactly(found, Computed)
    if found["precision"] != "bf16":
        raise ValueError(f"computed in {found['precision']!r}, which no engine does")
    if found["fp32_until"] is not None and not _typed(found, "fp32_until", str):
        raise ValueError("fp32_until is empty")
    return Computed("bf16", found["fp32_until"])


def _file_or_none(values: dict[str, Any], name: str) -> BundleFile | None:
    return None if values[name] is None else _file(_typed(values, name, dict))


def _file(values: dict[str, Any]) -> BundleFile:
    _exactly(values, BundleFile)
    name = _typed(values, "file", str)
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain file name")
    size = _typed(values, "size", int)
    if size < 0:
        raise ValueError(f"the size of {name} is {size}")
    return BundleFile(name, _sha256(values, "sha256"), size)


def _exactly(values: dict[str, Any], kind: type[Any]) -> None:
    wanted = {field.name for field in fields(kind)}
    if values.keys() != wanted:
        odd = sorted(values.keys() ^ wanted)
        raise KeyError(f"missing or unknown: {', '.join(odd)}")


def _typed(values: dict[str, Any], name: str, kind: type[T]) -> T:
    value = values[name]
    if type(value) is not kind:  # not isinstance: True is no number here
        raise TypeError(f"{name} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _sha256(values: dict[str, Any], name: str) -> str:
    value = _typed(values, name, str)
    if not _SHA256.fullmatch(value):
        raise ValueError(f"{name} is not a sha256")
    return value


def _channels(values: dict[str, Any], name: str, least: float) -> tuple[float, float, float]:
    found = _typed(values, name, list)
    if len(found) != 3 or not all(type(value) in (int, float) for value in found):
        raise TypeError(f"{name} is {found}, not three numbers")
    if not all(least <= value < math.inf for value in found):
        raise ValueError(f"{name} is {found}")
    red, green, blue = map(float, found)
    return red, green, blue
