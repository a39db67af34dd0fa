"""Manifests: returned as written, and whatever else a file may hold is a BundleError."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam import BundleError
from edgesam.manifest import SCHEMA, BundleFile, Computed, Manifest, Variant
from edgesam.models import PROFILES, SAM

ENCODER = BundleFile("image_encoder.fp32.0123abcd.onnx", "0123abcd" * 8, 17)
SIDE = BundleFile("image_side.fp32.456789ab.onnx", "456789ab" * 8, 0)
DECODER = BundleFile("mask_decoder.fp32.89abcdef.onnx", "89abcdef" * 8, 0)
WEIGHTS = BundleFile("image_encoder.fp32.13579bdf.data", "13579bdf" * 8, 9)
PASSPORT = BundleFile("passport.fp32.fedcba98.json", "fedcba98" * 8, 5)

MANIFEST = Manifest(
    model="mobile-sam",
    architecture="tiny-vit",
    image_size=1024,
    grid=64,
    profile=SAM,
    profile_assumed=True,
    checkpoint_sha256="0f" * 32,
    licence="Apache-2.0",
    builder="edgesam 0",
    working_memory=0,
    variants={
        "fp32": Variant(ENCODER, SIDE, DECODER, WEIGHTS, PASSPORT),
        "other": Variant(ENCODER, SIDE, DECODER, None, None),
        "bf16": Variant(ENCODER, SIDE, DECODER, WEIGHTS, None, Computed("bf16", "layers.0/Gelu")),
    },
)
VALUES: dict[str, Any] = json.loads(MANIFEST.to_json())


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every value of a JSON tree."""
    if path:
        yield path
    children = values.items() if isinstance(values, dict) else ()
    children = enumerate(values) if isinstance(values, list) else children
    for key, value in children:
        yield from places(value, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> str:
    values = copy.deepcopy(VALUES)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(values)


def read(text: str) -> Manifest:
    return Manifest.from_json(text, "here/manifest.json")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_round_trip(profile: Any) -> None:
    manifest = Manifest(**{**MANIFEST.__dict__, "profile": profile})
    assert read(manifest.to_json()) == manifest
    assert list(read(manifest.to_json()).variants) == ["fp32", "other", "bf16"]
    assert read(manifest.to_json()).to_json() == manifest.to_json()


def test_the_low_resolution_has_four_logits_a_token() -> None:
    assert MANIFEST.low_resolution == 256
    assert read(changed(("grid",), 16)).low_resolution == 64


def test_the_files_and_graphs_of_a_variant() -> None:
    with_weights, without = MANIFEST.variants["fp32"], MANIFEST.variants["other"]
    assert with_weights.files == (ENCODER, SIDE, DECODER, WEIGHTS, PASSPORT)
    assert without.files == (ENCODER, SIDE, DECODER)
    graphs = {
        "image_encoder": ENCODER.sha256,
        "image_side": SIDE.sha256,
        "mask_decoder": DECODER.sha256,
    }
    assert without.graphs == graphs
    assert with_weights.graphs == {**graphs, "weights": WEIGHTS.sha256}


@pytest.mark.parametrize("until", ["layers.0/Gelu", None])
def test_how_fp32_is_computed_is_part_of_what_a_report_names(until: str | None) -> None:
    """The same files, cut elsewhere, are not what was measured."""
    bf16 = MANIFEST.variants["bf16"]
    found = read(changed(("variants", "bf16", "computed", "fp32_until"), until)).variants["bf16"]
    assert found.computed == Computed("bf16", until)
    assert (found == bf16) is (found.graphs == bf16.graphs) is (until is not None)
    assert found.graphs != MANIFEST.variants["fp32"].graphs
    assert found.files == bf16.files


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("fp32_until",), "", "fp32_until is empty"),
        (("fp32_until",), 3, "fp32_until is a int"),
        (("precision",), "fp8", "computed in 'fp8', which no engine does"),
        ((), "bf16", "computed is a str"),
    ],
)
def test_a_broken_cut_is_named(path: tuple[str, ...], value: Any, said: str) -> None:
    with pytest.raises(BundleError, match=f"is broken.*{said}"):
        read(changed(("variants", "bf16", "computed", *path), value))


def test_only_bf16_is_computed_so() -> None:
    computed = VALUES["variants"]["bf16"]["computed"]
    with pytest.raises(BundleError, match=r"other is computed in bf16 after layers\.0/Gelu"):
        read(changed(("variants", "other", "computed"), computed))
    with pytest.raises(BundleError, match="bf16 is computed in None"):
        read(changed(("variants", "bf16", "computed"), None))


def test_an_earlier_schema_says_what_to_do() -> None:
    said = "here/manifest.json has schema 1, an earlier edgesam's: pull or export it again"
    # Of an earlier schema nothing else is understood, nor complained of.
    for text in (changed(("schema",), 1), json.dumps({"schema": 1, "model": "mobile-sam"})):
        with pytest.raises(BundleError) as raised:
            read(text)
        assert str(raised.value) == said


def test_a_newer_schema_says_what_to_do() -> None:
    with pytest.raises(BundleError, match=f"schema {SCHEMA + 1}.*update edgesam"):
        read(changed(("schema",), SCHEMA + 1))
    # Of a newer schema nothing else is understood, nor complained of.
    with pytest.raises(BundleError, match="update edgesam"):
        read(json.dumps({"schema": SCHEMA + 1, "surprise": 1}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "3", "[]", '"text"', "{}", '{"model": "x"}', "[" * 100_000, "\x00", "NaN"],
)
def test_no_manifest(text: str) -> None:
    with pytest.raises(BundleError, match=r"here/manifest\.json is not") as raised:
        read(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("schema", [None, True, "1", 1.0, 0, -1, [], {}])
def test_no_schema(schema: Any) -> None:
    with pytest.raises(BundleError, match="not the manifest of an edgesam bundle"):
        read(changed(("schema",), schema))


JUNK: list[Any] = [
    None,
    True,
    7.5,
    -3,
    0,
    "",
    "junk",
    [],
    ["junk"],
    {},
    {"junk": 1},
    [[]],
    "1" * 64,
]


def fitting(path: tuple[Any, ...], value: Any) -> bool:
    """Values of JUNK that a manifest may hold at that place."""
    last = path[-1]
    if path[-2:-1] == ("weights",) and last in ("file", "sha256"):
        return False  # the name follows from the hash
    texts = {"model", "architecture", "licence", "builder", "name"}
    return (
        (last in texts and isinstance(value, str))
        or (last in ("profile_assumed", "truncate_boxes") and value is True)
        or (last in ("checkpoint_sha256", "sha256") and value == "1" * 64)
        or (last == "file" and value in ("junk", "1" * 64))
        or (last in ("size", "working_memory") and value == 0 and type(value) is int)
        or (last in ("passport", "weights", "fp32_until") and value is None)
        or (last == "computed" and value is None and path[1] != "bf16")
        or (last == "fp32_until" and isinstance(value, str) and value != "")
        or (last == "variants" and value == {})
        or (path[-2:-1] == ("mean",) and type(value) in (int, float))
        or (path[-2:-1] == ("std",) and value == 7.5)
    )


@pytest.mark.parametrize("path", list(places(VALUES)), ids=lambda p: ".".join(map(str, p)))
def test_every_value_replaced(path: tuple[Any, ...]) -> None:
    for value in JUNK:
        text = changed(path, value)
        if fitting(path, value):
            assert read(text)
            continue
        with pytest.raises(BundleError) as raised:
            read(text)
        assert str(raised.value).startswith("here/manifest.json ")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [p for p in places(VALUES) if isinstance(p[-1], str) and p[:-1] != ("variants",)],
    ids=lambda p: ".".join(map(str, p)),
)
def test_every_value_missing(path: tuple[Any, ...]) -> None:
    values = copy.deepcopy(VALUES)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    with pytest.raises(BundleError, match=r"is broken|not the manifest"):
        read(json.dumps(values))


def test_unknown_keys_are_refused() -> None:
    for path in [("more",), ("profile", "more"), ("variants", "fp32", "more")]:
        with pytest.raises(BundleError, match="more"):
            read(changed(path, 1))


@pytest.mark.parametrize(
    "name",
    [
        "../graph.onnx",
        "..",
        ".",
        "/etc/passwd",
        "\\\\server\\share",
        "C:graph.onnx",
        "folder/graph.onnx",
        "folder\\graph.onnx",
        "graph\x00.onnx",
        "graph\n.onnx",
        ".hidden",
        "",
        "graph.onnx\n",
    ],
)
def test_file_names_lead_nowhere_else(name: str) -> None:
    for path in [("image_encoder", "file"), ("weights", "file"), ("passport", "file")]:
        with pytest.raises(BundleError, match="not a plain file name"):
            read(changed(("variants", "fp32", *path), name))


@pytest.mark.parametrize(
    "name",
    [
        "image_encoder.fp32.24680bdf.data",  # a sound copy, beside the file that the engine reads
        "image_encoder.fp16.13579bdf.data",
        "image_encoder.fp32.13579bdf.onnx",
    ],
)
def test_weights_have_the_name_that_their_graph_reads(name: str) -> None:
    with pytest.raises(
        BundleError, match=f"weights are in {name}, not image_encoder.fp32.13579bdf"
    ):
        read(changed(("variants", "fp32", "weights", "file"), name))


@pytest.mark.parametrize("name", ["layout", "resize", "normalization", "prompt_scale", "mask_from"])
def test_a_rule_that_this_edgesam_does_not_know(name: str) -> None:
    with pytest.raises(BundleError, match=f"{name} is 'bicubic', not one of"):
        read(changed(("profile", name), "bicubic"))


@pytest.mark.parametrize("name", ["image_size", "grid"])
def test_sizes_that_no_model_has(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(BundleError, match=f"{name} is {value}"):
            read(changed((name,), value))


def test_numbers_that_would_ruin_pixels() -> None:
    for path, value in [
        (("std", 1), 0.0),
        (("std", 1), -1),
        (("std", 1), float("nan")),
        (("mean", 1), float("inf")),
        (("mean",), [1, 2]),
        (("std",), [1, 2, 3, 4]),
    ]:
        with pytest.raises(BundleError, match=f"{path[0]} is"):
            read(changed(("profile", *path), value))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(list(places(VALUES))), json_values)
def test_nothing_else_is_ever_raised(path: tuple[Any, ...], value: Any) -> None:
    with contextlib.suppress(BundleError):
        read(changed(path, value))
