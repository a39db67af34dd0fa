"""Every name that edgesam calls of TensorRT exists in each version that it takes."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from edgesam.engines.tensorrt.flavour import CLASSIC, RTX, Flavour

HERE = Path(__file__).parent
ENGINES = HERE.parents[3] / "edgesam" / "engines" / "tensorrt"
STORED: dict[str, dict[str, dict[str, list[str]]]] = json.loads(
    (HERE / "names.json").read_text("utf-8")
)
VERSIONS = [(flavour, version) for flavour, versions in STORED.items() for version in versions]


def _listing_program() -> Any:
    spec = importlib.util.spec_from_file_location("listing", HERE / "listing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAM = _listing_program()


def missing(flavour: str, there: dict[str, list[str]]) -> list[str]:
    own = PROGRAM.RTX if flavour == "tensorrt-rtx" else PROGRAM.CLASSIC
    return [
        f"{owner}.{name}"
        for table in (PROGRAM.BOTH, own)
        for owner, names in table.items()
        for name in names
        if name not in there[owner]
    ]


def test_versions_that_were_listed() -> None:
    majors = {version.split(".")[0] for version in STORED["tensorrt"]}
    assert majors == {"10", "11"}
    assert "10.0.1" in STORED["tensorrt"], "the oldest that the extra takes"
    assert list(STORED["tensorrt-rtx"]) == ["1.7.1.116"]


@pytest.mark.parametrize(("flavour", "version"), VERSIONS)
def test_all_names_are_there(flavour: str, version: str) -> None:
    assert missing(flavour, STORED[flavour][version]) == []


@pytest.mark.parametrize("flavour", [CLASSIC, RTX], ids=lambda flavour: flavour.name)
def test_and_in_what_is_installed(flavour: Flavour) -> None:
    if not flavour.is_installed():
        pytest.skip(f"needs the extra {flavour.name}")
    assert missing(flavour.name, PROGRAM.listing(flavour.load())) == []


def test_a_name_that_is_missing_would_be_seen() -> None:
    there = {owner: list(names) for owner, names in STORED["tensorrt"]["10.0.1"].items()}
    there["IExecutionContext"].remove("execute_async_v3")
    assert missing("tensorrt", there) == ["IExecutionContext.execute_async_v3"]


def test_nothing_else_is_called(rtx: None) -> None:
    """All attributes in our sources that any class of TensorRT has, too, are in the tables."""
    trt = RTX.load()
    listed = {
        name
        for table in (PROGRAM.BOTH, PROGRAM.CLASSIC, PROGRAM.RTX)
        for owner, names in table.items()
        for name in (owner, *names)
    }
    classes = [getattr(trt, owner) for owner in {*PROGRAM.BOTH, *PROGRAM.RTX} if owner]
    theirs = {name for one in (trt, *classes) for name in dir(one) if not name.startswith("__")}
    # Ours, or Python's, that are called as one of theirs.
    words = "name value load shape dtype device nbytes close get append pop update clear errors log"
    ours = {*words.split(), "graph", "network", "parser", "builder", "itemsize"}
    ours |= {"float32", "int32", "int64"}
    for part in (
        "network",
        "types",
        "graph",
        "placing",
        "log",
    ):  # those that hold objects of TensorRT's
        path = ENGINES / f"{part}.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in theirs - ours:
                assert node.attr in listed, f"{path.name}:{node.lineno}: {node.attr}"
