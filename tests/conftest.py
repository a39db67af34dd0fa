"""What many tests need: a home of their own, and bundles with no checkpoint at hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.bundle import Bundle, open_bundle, write_bundle
from edgesam.digest import sha256_of
from edgesam.engines import Graphs
from edgesam.manifest import ROLES, BundleFile, Manifest, Variant
from edgesam.models import MODELS
from edgesam_bench.random_weights import random_state_dict

StateDict = dict[str, NDArray[Any]]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``EDGESAM_HOME`` of this test alone."""
    folder = tmp_path / "edgesam-home"
    monkeypatch.setenv("EDGESAM_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def lite_weights() -> StateDict:
    """Random weights in the official layout of LiteMedSAM; not to be changed."""
    text = (Path(__file__).parent / "golden" / "shapes.json").read_text("utf-8")
    shapes = {key: tuple(shape) for key, shape in json.loads(text)["lite-medsam"].items()}
    return random_state_dict(shapes, seed=1)


@pytest.fixture(scope="session")
def save_safetensors() -> Callable[[Path, Mapping[str, NDArray[Any]]], Path]:
    """Writes a state dict to a safetensors file."""
    names = {"float32": "F32", "int64": "I64", "float64": "F64"}

    def save(path: Path, weights: Mapping[str, NDArray[Any]]) -> Path:
        header, offset = {}, 0
        for key, array in weights.items():
            end = offset + array.nbytes
            header[key] = {
                "dtype": names[array.dtype.name],
                "shape": list(array.shape),
                "data_offsets": [offset, end],
            }
            offset = end
        text = json.dumps(header).encode()
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in weights.values():
                file.write(array.tobytes())
        return path

    return save


@pytest.fixture(scope="session")
def lite_checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    lite_weights: StateDict,
    save_safetensors: Callable[[Path, Mapping[str, NDArray[Any]]], Path],
) -> Path:
    """The random LiteMedSAM in a file."""
    return save_safetensors(tmp_path_factory.mktemp("ck") / "random.safetensors", lite_weights)


@pytest.fixture(scope="session")
def lite_bundle(tmp_path_factory: pytest.TempPathFactory, lite_checkpoint: Path) -> Path:
    """The bundle of the random LiteMedSAM; not to be changed."""
    from edgesam_export import export_bundle

    out = tmp_path_factory.mktemp("bundles") / "random-lite"
    return export_bundle(lite_checkpoint, out, profile="lite-medsam").path


@pytest.fixture(scope="session")
def lite_graphs(lite_bundle: Path) -> Graphs:
    """The graphs of that bundle."""
    variant = open_bundle(lite_bundle).variants["fp32"]
    return Graphs(**{role: lite_bundle / variant.graph(role).file for role in ROLES})


@pytest.fixture(scope="session")
def write_graph() -> Callable[..., Path]:
    """Writes a small ONNX file; ``floats`` and ``integers`` are element types by ONNX's numbers."""

    def write(
        path: Path,
        nodes: list[tuple[str, list[str], str]],
        inputs: Mapping[str, list[int]],
        outputs: list[str],
        weights: Mapping[str, NDArray[Any]] | None = None,
        integers: Mapping[str, int] | None = None,
        floats: int = 1,
    ) -> Path:
        import onnx
        from onnx import helper, numpy_helper

        takes = [helper.make_tensor_value_info(n, floats, shape) for n, shape in inputs.items()]
        takes += [
            helper.make_tensor_value_info(n, kind, [1]) for n, kind in (integers or {}).items()
        ]
        gives = [helper.make_tensor_value_info(name, floats, None) for name in outputs]
        held = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
        made = [
            helper.make_node(kind, given, [out], **({"to": 1} if kind == "Cast" else {}))
            for kind, given, out in nodes
        ]
        graph = helper.make_graph(made, "small", takes, gives, held)
        model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
        onnx.save(model, path)
        return path

    return write


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Writes a bundle whose graphs are a few bytes: enough for everything but a real engine."""

    def make(
        name: str = "bundle",
        model: str = "mobile-sam",
        content: str = "graph",
        passport: Mapping[str, Any] | None = None,
    ) -> Bundle:
        work = tmp_path / f"{name}.work"
        work.mkdir()
        files: dict[str, Path] = {}

        def enter(role: str, suffix: str, data: bytes) -> BundleFile:
            sha256 = hashlib.sha256(data).hexdigest()
            file = f"{role}.fp32.{sha256[:8]}.{suffix}"
            files[file] = work / file
            files[file].write_bytes(data)
            return BundleFile(file, sha256_of(files[file]), len(data))

        encoder = enter("image_encoder", "onnx", f"{content} encoder".encode())
        side = enter("image_side", "onnx", f"{content} side".encode())
        decoder = enter("mask_decoder", "onnx", f"{content} decoder".encode())
        report = None
        if passport is not None:
            mine = Variant(encoder, side, decoder, None, None).graphs
            text = json.dumps({"graphs": mine, **passport})
            report = enter("passport", "json", text.encode())
        spec = MODELS[model]
        manifest = Manifest(
            model=model,
            architecture=spec.architecture,
            image_size=spec.image_size,
            grid=64,
            profile=spec.profile,
            profile_assumed=False,
            checkpoint_sha256="0" * 64,
            licence="Apache-2.0",
            builder="edgesam 0",
            working_memory=0,
            variants={"fp32": Variant(encoder, side, decoder, None, report)},
        )
        bundle = write_bundle(tmp_path / name, manifest, files)
        work.rmdir()
        return bundle

    return make


@pytest.fixture
def add_variant() -> Callable[..., Bundle]:
    """Gives a bundle one more variant, of the same graphs, with a report or without."""

    def add(bundle: Bundle, name: str, report: Mapping[str, Any] | None) -> Bundle:
        first = bundle.variants["fp32"]
        files: dict[str, Path] = {}
        entry = None
        if report is not None:
            source = bundle.path / "report.tmp"
            source.write_text(json.dumps({"graphs": first.graphs, **report}))
            sha256 = sha256_of(source)
            entry = BundleFile(f"passport.{name}.{sha256[:8]}.json", sha256, source.stat().st_size)
            files[entry.file] = source
        variants = {"fp32": first, name: replace(first, passport=entry)}
        return write_bundle(bundle.path, replace(bundle.manifest, variants=variants), files)

    return add


@pytest.fixture
def noise() -> Callable[..., NDArray[np.uint8]]:
    """Seeded uint8 pixels of a shape, the same on every machine and numpy."""

    def draw(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
        count = int(np.prod(shape))
        raw = np.random.PCG64(seed).random_raw(-(-count // 8)).astype("<u8")
        return np.frombuffer(raw.tobytes(), np.uint8)[:count].reshape(shape)

    return draw
